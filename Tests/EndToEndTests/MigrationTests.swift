import Foundation
import Kubernetes
import Testing

/// Whole migrations of what people run: the files, the claims and the workloads afterwards.
struct MigrationTests {
    @Test("a StatefulSet of two comes back with its claims on the new class and every file as it was")
    func statefulSet() async throws {
        try await Scene.with { scene in
            let set = try await scene.deploySet("database", replicas: 2, template: "data")
            let before = try await scene.contents(of: set)
            #expect(before.keys.sorted() == ["data-database-0", "data-database-1"])
            let run = try await scene.migrate()
            scene.expect(run, exit: 0)
            #expect(run.output.contains("data-database-0") && run.output.contains("data-database-1"))
            try await scene.expectMigrated("data-database-0", "data-database-1")
            try await scene.expectRestarted(set, on: before)
            try await scene.expectNothingLeft()
        }
    }

    @Test("a Deployment comes back with its claim on the new class and every file as it was")
    func deployment() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("site")
            let deployment = try await scene.deploy("web", claims: ["/data": "site"])
            let before = try await scene.contents(of: deployment)
            let files = before["site"]?.lines ?? []
            // That there is something to lose, of each kind.
            for kind in ["hard is one file", "./link -> plain", "./fifo: fifo", "Grüße", " 4755 "] {
                #expect(files.contains { $0.contains(kind) }, "no \(kind)")
            }
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated("site")
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
        }
    }

    @Test("Events on the claim and the workload tell the story, that on the new claim, too")
    func events() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("site")
            let deployment = try await scene.deploy("web", claims: ["/data": "site"])
            _ = try await scene.contents(of: deployment)
            func reasons(_ kind: String) async throws -> [String] {
                try await scene.client.list(Event.self, in: scene.namespace).filter {
                    $0.involvedObject.kind == kind && $0.reason?.hasPrefix("Migration") == true
                }.compactMap { $0.reason.map { String($0.dropFirst("Migration".count)) } }.sorted()
            }
            scene.expect(try await scene.migrate(), exit: 0)
            #expect(try await reasons("PersistentVolumeClaim") == ["Finished", "Sealed", "Started"])
            #expect(try await reasons("Deployment") == ["Finished", "Started"])
            let claim = try await scene.claim("site")
            let now = try await scene.client.list(Event.self, in: scene.namespace).filter {
                $0.involvedObject.uid == claim.metadata.uid && $0.reason?.hasPrefix("Migration") == true
            }
            #expect(now.compactMap(\.reason) == ["MigrationFinished"])
        }
    }

    @Test("--output jsonl tells how far a copy is while it happens, and a pipe sees nothing of a terminal's drawing")
    func progress() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("site")
            let deployment = try await scene.deploy("web", claims: ["/data": "site"])
            _ = try await scene.contents(of: deployment)
            let run = try await scene.migrate("--output=jsonl", "--rsync-flags=--bwlimit=6000")
            scene.expect(run, exit: 0)
            let events = try run.output.split(separator: "\n").map { try JSON(parsing: Data($0.utf8)) }
            let progress = events.filter { $0["type"]?.string == "progress" }
            let claims = Set(progress.compactMap { $0["claim"]?.string })
            #expect(claims == ["\(scene.namespace)/site"])
            // Only what has been watched for a while has a rate.
            let rates = progress.compactMap { $0["rate"]?.integer }
            #expect(rates.contains { $0 > 0 })
            let drawing = "\u{1B}"
            #expect(!run.errors.contains(drawing))
        }
    }

    @Test("several claims of one pod move together, and none takes another's files")
    func severalClaims() async throws {
        try await Scene.with { scene in
            for claim in ["orders", "archive", "index"] { try await scene.createClaim(claim) }
            let claims = ["/data": "orders", "/old": "archive", "/index": "index"]
            let deployment = try await scene.deploy("orders", claims: claims)
            let before = try await scene.contents(of: deployment)
            #expect(before.count == 3)
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated("orders", "archive", "index")
            try await scene.expectRestarted(deployment, on: before)
            try await scene.expectNothingLeft()
        }
    }

    @Test("a claim that two Deployments share moves once, and both come back")
    func sharedClaim() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("shared")
            let first = try await scene.deploy("reader", claims: ["/data": "shared"])
            let second = try await scene.deploy("writer", claims: ["/data": "shared"])
            let before = (try await scene.contents(of: first), try await scene.contents(of: second))
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated("shared")
            try await scene.expectRestarted(first, on: before.0)
            try await scene.expectRestarted(second, on: before.1)
            try await scene.expectNothingLeft()
        }
    }

    @Test("one run moves the claims of two namespaces, also where they have the same name")
    func twoNamespaces() async throws {
        try await Scene.with(namespaces: 2) { scene in
            var before: [(TestWorkload, [String: Contents])] = []
            for namespace in [scene.namespace, scene.otherNamespace] {
                try await scene.createClaim("data", in: namespace)
                let deployment = try await scene.deploy("app", in: namespace, claims: ["/data": "data"])
                before.append((deployment, try await scene.contents(of: deployment)))
            }
            scene.expect(try await scene.migrate(), exit: 0)
            for (deployment, contents) in before {
                try await scene.expectMigrated("data", in: deployment.namespace)
                try await scene.expectRestarted(deployment, on: contents)
            }
            try await scene.expectNothingLeft()
        }
    }

    @Test("--namespace moves the claims of that namespace and leaves the others alone")
    func oneNamespace() async throws {
        try await Scene.with(namespaces: 2) { scene in
            for namespace in [scene.namespace, scene.otherNamespace] {
                try await scene.createClaim("data", in: namespace)
                try await scene.deploy("app", in: namespace, claims: ["/data": "data"])
            }
            let other = try await scene.claim("data", in: scene.otherNamespace)
            let pods = try await scene.client.list(Pod.self, in: scene.otherNamespace).map(\.metadata.uid)
            scene.expect(try await scene.migrate("--namespace", scene.namespace), exit: 0)
            try await scene.expectMigrated("data", in: scene.namespace)
            let untouched = try await scene.claim("data", in: scene.otherNamespace)
            #expect(untouched == other)
            #expect(try await scene.client.list(Pod.self, in: scene.otherNamespace).map(\.metadata.uid) == pods)
            try await scene.expectNothingLeft()
        }
    }

    @Test("labels, names and exclusions choose the claims, and a name that is none's is refused")
    func selection() async throws {
        try await Scene.with(namespaces: 2) { scene in
            for (name, namespace, tier) in [
                ("one", scene.namespace, "web"), ("two", scene.namespace, "web"), ("three", scene.namespace, "db"),
                ("one", scene.otherNamespace, "web"),
            ] {
                try await scene.createClaim(name, in: namespace, metadata: ["labels": ["tier": .string(tier)]])
                try await scene.deploy(name, in: namespace, claims: ["/data": name])
            }
            let missing = try await scene.migrate("--pvc", "\(scene.namespace)/four")
            scene.expect(missing, exit: 2)
            #expect(missing.output.contains("does not exist"), "\(missing.output)")
            let none = try await scene.migrate("-n", scene.namespace, "-l", "tier=cache")
            scene.expect(none, exit: 0)
            #expect(none.errors.contains("of 4 claims of the StorageClass"), "\(none.errors)")
            let unreadable = try await scene.migrate("-l", "tier in web")
            scene.expect(unreadable, exit: 64)
            #expect(unreadable.errors.contains("unable to parse requirement"), "\(unreadable.errors)")
            let run = try await scene.migrate(
                "-n",
                "\(scene.namespace),\(scene.otherNamespace)",
                "-l",
                "tier=web",
                "--exclude",
                "\(scene.namespace)/two"
            )
            scene.expect(run, exit: 0)
            try await scene.expectMigrated("one")
            try await scene.expectMigrated("one", in: scene.otherNamespace)
            for name in ["two", "three"] {
                #expect(try await scene.claim(name).storageClassName == scene.sourceClass)
            }
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectNothingLeft()
        }
    }

    @Test("what a workload writes up to its very end is there afterwards")
    func lateWrites() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("journal")
            let writer = try await scene.deploy("writer", claims: ["/data": "journal"], script: Files.writer)
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated("journal")
            try await scene.waitUntilReady(writer)
            let lines = try await scene.contents(of: writer)["journal"]?.lines ?? []
            #expect(lines.count > 20, "the workload wrote too little for this test to mean anything")
            #expect(lines.last == "end", "the last write is lost")
            #expect(lines.dropLast() == (1..<max(1, lines.count)).map(String.init)[...])
            try await scene.expectNothingLeft()
        }
    }

    @Test("only pods that mount the claims are stopped")
    func unrelatedPods() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.createClaim("elsewhere", class: scene.destinationClass)
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let without = try await scene.deploy("front")
            let elsewhere = try await scene.deploy("cache", claims: ["/data": "elsewhere"])
            func uids(_ workload: TestWorkload) async throws -> [String] {
                try await scene.pods(of: workload).map(\.metadata.uid)
            }
            let before = [try await uids(deployment), try await uids(without), try await uids(elsewhere)]
            let run = try await scene.migrate()
            scene.expect(run, exit: 0)
            #expect(try await uids(deployment) != before[0])
            #expect(try await uids(without) == before[1])
            #expect(try await uids(elsewhere) == before[2])
            #expect(!run.output.contains("elsewhere"), "it is on the destination class already")
        }
    }

    @Test("a claim that no pod mounts moves with its data")
    func claimWithoutPod() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("lonely")
            let before = try await scene.visit("lonely")
            try await scene.nameNode(of: "lonely")
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated("lonely")
            let after = try await scene.visit("lonely")
            scene.expectEqual(after.lines, before.lines, in: "lonely")
            #expect(after.starts == before.starts + 1)
            try await scene.expectNothingLeft()
        }
    }

    @Test("a second run finds nothing to do and ends with 0")
    func secondRun() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            scene.expect(try await scene.migrate(), exit: 0)
            try await scene.expectMigrated("data")
            try await scene.waitUntilReady(deployment)
            let before = try await scene.traces()
            scene.expect(try await scene.migrate(), exit: 0)
            #expect(try await scene.traces() == before)
        }
    }

    @Test("--dry-run shows what would happen and changes nothing")
    func dryRun() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.traces()
            let run = try await scene.migrate("--dry-run")
            scene.expect(run, exit: 0)
            #expect(run.output.contains("data") && run.output.contains("app"), "no plan: \(run.output)")
            #expect(try await scene.traces() == before)
            try await scene.expectNothingLeft()
        }
    }

    @Test("a token proves who one is as well as a certificate", .enabled(if: TestCluster.isSandbox))
    func token() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            let deployment = try await scene.deploy("app", claims: ["/data": "data"])
            let before = try await scene.contents(of: deployment)
            scene.expect(try await scene.migrate(kubeconfig: scene.cluster.kubeconfig + ".token"), exit: 0)
            try await scene.expectMigrated("data")
            try await scene.expectRestarted(deployment, on: before)
        }
    }
}
