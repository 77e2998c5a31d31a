import Foundation
import Kubernetes
import Testing

/// What takes a migration back, while it is under way and afterwards, and what makes that impossible at last.
struct UndoTests {
    @Test("--keep-source leaves the old volumes to go back to, and the status tells of them")
    func keepSource() async throws {
        try await Scene.with { scene in
            let set = try await scene.deploySet("database", replicas: 2, template: "data")
            let before = try await scene.contents(of: set)
            let claims = before.keys.sorted()
            let old = try await scene.volumes(of: claims)
            let run = try await scene.migrate("--keep-source")
            scene.expect(run, exit: 0)
            #expect(run.errors.contains("2 old volumes kept"), "\(run.errors)")
            try await scene.expectMigrated("data-database-0", "data-database-1")
            try await scene.expectRestarted(set, on: before)
            try await scene.expectKept(old)

            let text = try await scene.status()
            scene.expect(text, exit: 0)
            for (claim, volume) in old {
                let row = text.output.split(separator: "\n").first { $0.contains(volume.metadata.name) } ?? ""
                let size = try #require(volume.spec.capacity?["storage"]?.text)
                for word in ["\(scene.namespace)/\(claim)", scene.sourceClass, size] {
                    #expect(row.contains(word), "no \(word) for \(claim):\n\(text.output)")
                }
            }
            #expect(text.errors.contains("2 volumes of "), "\(text.errors)")
            let json = try await scene.status("--output", "json")
            scene.expect(json, exit: 0)
            let status = try JSON(parsing: Data(json.output.utf8))
            let kept = status["kept"]?.array ?? []
            #expect(status["open"] == false && kept.count == 2, "\(json.output)")
            for (claim, volume) in old {
                let entry = kept.first { $0["volume"]?.string == volume.metadata.name }
                #expect(entry?["name"]?.string == claim && entry?["namespace"]?.string == scene.namespace)
                #expect(entry?["size"]?.string == volume.spec.capacity?["storage"]?.text)
                #expect(entry?["bytes"]?.integer == volume.spec.capacity?["storage"]?.bytes)
                #expect(entry?["successorExists"] == true && entry?["reclaimPolicy"] == "Delete")
            }

            let traces = try await scene.traces()
            scene.expect(try await scene.migrate("--keep-source"), exit: 0)
            scene.expect(try await scene.migrate(), exit: 0)
            #expect(try await scene.traces() == traces, "what is kept was migrated once more")
        }
    }

    @Test("a rollback gives up newer data only when it is told to, and then every file is as it was")
    func rollback() async throws {
        try await Scene.with { scene in
            for claim in ["orders", "archive"] { try await scene.createClaim(claim) }
            let deployment = try await scene.deploy("shop", claims: ["/data": "orders", "/old": "archive"])
            let before = try await scene.contents(of: deployment)
            let old = try await scene.volumes(of: ["orders", "archive"])
            scene.expect(try await scene.migrate("--keep-source"), exit: 0)
            try await scene.expectRestarted(deployment, on: before)
            let new = try await scene.volumes(of: ["orders", "archive"])

            // The workload has written down that it was started once more.
            let since = try await scene.contents(of: deployment)
            let refused = try await scene.rollback()
            scene.expect(refused, exit: 1)
            for word in ["has newer data", "starts-of-shop", "--discard-changes"] {
                #expect(refused.errors.contains(word), "\(refused.errors)")
            }
            #expect(
                try await scene.volumes(of: ["orders", "archive"]).mapValues(\.metadata.uid)
                    == new.mapValues(\.metadata.uid)
            )
            try await scene.waitUntilReady(deployment)
            try await scene.expectRestarted(deployment, on: since)
            try await scene.expectKept(old)
            scene.expect(try await scene.status(), exit: 0)

            let run = try await scene.rollback("--discard-changes")
            scene.expect(run, exit: 0)
            #expect(run.errors.contains("newer data is given up"), "\(run.errors)")
            for claim in ["orders", "archive"] { try await scene.expectBound(claim, to: scene.sourceClass) }
            #expect(
                try await scene.volumes(of: ["orders", "archive"]).mapValues(\.metadata.uid)
                    == old.mapValues(\.metadata.uid)
            )
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
            #expect(try await scene.volumes().allSatisfy { $0.reclaimPolicy == .delete })
        }
    }

    @Test("a rollback of a claim that nobody wrote to needs no leave to discard anything")
    func unchanged() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("lonely")
            let before = try await scene.visit("lonely")
            let old = try await scene.volumes(of: ["lonely"])
            try await scene.nameNode(of: "lonely")
            scene.expect(try await scene.migrate("--keep-source"), exit: 0)
            try await scene.expectMigrated("lonely")
            try await scene.nameNode(of: "lonely")
            scene.expect(try await scene.rollback(), exit: 0)
            try await scene.expectBound("lonely", to: scene.sourceClass)
            #expect(try await scene.volume(of: "lonely").metadata.uid == old["lonely"]?.metadata.uid)
            let after = try await scene.visit("lonely")
            scene.expectEqual(after.lines, before.lines, in: "lonely")
            #expect(after.starts == before.starts + 1)
            try await scene.expectNothingLeft()
        }
    }

    @Test("--pvc rolls one claim back and leaves the others where they are")
    func oneClaim() async throws {
        try await Scene.with { scene in
            for name in ["first", "second"] { try await scene.createClaim(name) }
            let first = try await scene.deploy("first", claims: ["/data": "first"])
            let second = try await scene.deploy("second", claims: ["/data": "second"])
            let before = try await scene.contents(of: first)
            let old = try await scene.volumes(of: ["second"])
            scene.expect(try await scene.migrate("--keep-source"), exit: 0)
            try await scene.waitUntilReady(second)
            let pods = try await scene.pods(of: second).map(\.metadata.uid)
            let run = try await scene.rollback("--pvc", "\(scene.namespace)/first", "--discard-changes")
            scene.expect(run, exit: 0)
            try await scene.expectBound("first", to: scene.sourceClass)
            try await scene.expectRestarted(first, on: before)
            try await scene.expectMigrated("second")
            #expect(try await scene.pods(of: second).map(\.metadata.uid) == pods)
            try await scene.expectKept(old)
        }
    }

    @Test("cleanup shows with --dry-run what it frees without")
    func cleanup() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            let old = try await scene.volumes(of: ["data"])
            let volume = try #require(old["data"])
            scene.expect(try await scene.migrate("--keep-source"), exit: 0)
            try await scene.expectRestarted(deployment, on: before)

            let traces = try await scene.traces()
            // Of other namespaces too: other tests have theirs.
            func clean(_ further: String...) async throws -> Program {
                try await scene.run(["cleanup", "--namespace", scene.namespace] + further)
            }
            let shown = try await clean("--keep-days", "0", "--dry-run")
            scene.expect(shown, exit: 0)
            #expect(shown.output.contains(volume.metadata.name), "\(shown.output)")
            let young = try await clean("--keep-days", "1")
            scene.expect(young, exit: 0)
            #expect(young.output.contains("kept: not old enough"), "\(young.output)")
            #expect(try await scene.traces() == traces)
            try await scene.expectKept(old)

            let run = try await clean("--keep-days", "0")
            scene.expect(run, exit: 0)
            #expect(run.output.contains(volume.metadata.name) && run.output.contains("freed"), "\(run.output)")
            try await scene.waitUntilGone(volume)
            try await scene.expectNothingLeft()
            #expect(try await scene.volumes().count == 1)
            scene.expect(try await clean("--keep-days", "0"), exit: 0)
            scene.expect(try await scene.rollback("--discard-changes"), exit: 0)
            try await scene.expectMigrated("data")
        }
    }

    @Test("abort brings everything back to where it was before a run that died")
    func abort() async throws {
        try await Scene.with { scene in
            for claim in ["orders", "archive"] { try await scene.createClaim(claim) }
            let deployment = try await scene.deploy("shop", claims: ["/data": "orders", "/old": "archive"])
            let before = try await scene.contents(of: deployment)
            let old = try await scene.volumes(of: ["orders", "archive"])
            let killed = try await scene.startSlowly()
            killed.send(SIGKILL)
            scene.expect(try await killed.end(), exit: 128 + SIGKILL)
            let status = try await scene.status()
            scene.expect(status, exit: 3)
            #expect(status.output.contains("Deployment \(scene.namespace)/shop"), "\(status.output)")
            try await scene.removeLocks()

            let run = try await scene.run(["abort"] + scene.classes)
            scene.expect(run, exit: 0)
            for claim in ["orders", "archive"] { try await scene.expectBound(claim, to: scene.sourceClass) }
            #expect(
                try await scene.volumes(of: ["orders", "archive"]).mapValues(\.metadata.uid)
                    == old.mapValues(\.metadata.uid)
            )
            // It returns when the workload was started, not when it is ready.
            try await scene.waitUntilReady(deployment)
            try await scene.expectRestarted(deployment, on: before)
            for volume in try await scene.volumes() where volume.spec.storageClassName == scene.destinationClass {
                try await scene.waitUntilGone(volume)
            }
            try await scene.expectNothingLeft()
            #expect(try await scene.volumes().allSatisfy { $0.reclaimPolicy == .delete })
            scene.expect(try await scene.status(), exit: 0)
        }
    }
}

extension Scene {
    /// The volumes that claims are bound to.
    fileprivate func volumes(of claims: [String]) async throws -> [String: PersistentVolume] {
        var volumes: [String: PersistentVolume] = [:]
        for claim in claims { volumes[claim] = try await volume(of: claim) }
        return volumes
    }

    /// Expects the old volumes of claims to wait for a rollback, which nothing will reclaim meanwhile.
    fileprivate func expectKept(
        _ old: [String: PersistentVolume],
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        for volume in old.values {
            let now = try await client.get(PersistentVolume.self, volume.name)
            #expect(now.metadata.uid == volume.metadata.uid, sourceLocation: location)
            #expect(now.phase == .released && now.reclaimPolicy == .retain, sourceLocation: location)
        }
    }
}
