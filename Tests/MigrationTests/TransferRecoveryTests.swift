import ClusterSimulator
import Foundation
import Kubernetes
import Testing

@testable import Migration

extension World {
    func phase(of claim: ObjectName) -> String? {
        object(.persistentVolumeClaims, claim)?[path: ["status", "phase"]]?.string
    }
}

@Suite("A transfer that is cut off, taken back, or begun anew")
struct TransferRecoveryTests {
    private static let set = ObjectKey(.statefulSets, "shop", "db")
    private static let names = ["data-db-0", "data-db-1", "logs-db-0", "logs-db-1"].map { ObjectName($0, in: "shop") }

    /// Expects that the set runs only with the claims that it had, or not at all.
    private static func expectNoHalves(_ run: World.Run, of world: World, _ story: String) {
        guard run.world.cluster.replicas(set) != 0 else { return }
        for name in names { #expect(run.world.volume(of: name) == world.volume(of: name), "\(name) \(story)") }
    }

    @Test(
        "is not taken back by halves: an abort that means another one leaves what is stopped",
        arguments: [true, false]
    )
    func otherAbort(byEnding: Bool) throws {
        let world = Scenario.moveSet.world(alone: true)
        var other = Scenario.moveSet.options
        if byEnding { other.handover?.ending = .copy } else { other.selection.claims = [Self.names[3]] }
        for (index, point) in world.crashPoints(Scenario.moveSet.options, seed: 2).enumerated() where index % 4 == 1 {
            let run = point.world.migrate(other, as: "abort", work: { migrator, _ in try await migrator.abort() })
            let story = "\(point.name)\n\(run.messages.joined(separator: "\n"))"
            Self.expectNoHalves(run, of: world, story)
            let last = run.world.migrate(Scenario.moveSet.options, as: "last")
            #expect(last.report?.succeeded == true, "\(story)\n\(last.messages.joined(separator: "\n"))")
        }
    }

    @Test("hands over the copies of one workload as they were sealed together, once one of them is handed over")
    func oneMoment() throws {
        let world = Scenario.copySet.world(alone: true)
        var tried = 0
        for point in world.crashPoints(Scenario.copySet.options, seed: 4) {
            let sealed = point.world.cluster.list(.persistentVolumes).filter {
                $0[path: ["metadata", "annotations", Marks.manifest]] != nil
            }
            let isDeleting = sealed.map { $0[path: ["metadata", "annotations", Marks.deleting]] != nil }
            guard isDeleting.contains(true), isDeleting.contains(false) else { continue }
            tried += 1
            let names = sealed.compactMap { $0[path: ["metadata", "name"]]?.string }
            let run = point.world.migrate(Scenario.copySet.options, as: "last")
            #expect(run.report?.succeeded == true, "\(point.name)\n\(run.messages.joined(separator: "\n"))")
            for name in names {
                let before = point.world.cluster.content(ofVolumeNamed: name)
                #expect(run.world.cluster.content(ofVolumeNamed: name) == before, "\(point.name)")
            }
        }
        #expect(tried > 0)
    }

    @Test("makes claims that nothing owns, also where nobody may say whether their owner is there")
    func owners() throws {
        let world = Scenario.moveSet.world(alone: true)
        #expect(
            Self.names.allSatisfy {
                world.object(.persistentVolumeClaims, $0)?[path: ["metadata", "ownerReferences"]] != nil
            }
        )
        let run = world.migrate(Scenario.moveSet.options) { request, _ in
            guard request.target.contains("namespaces/shop-eu/statefulsets") else { return nil }
            let refusal = #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not you"}"#
            return .answer(Response(status: 403, body: Data(refusal.utf8)))
        }
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        var later = run.world
        later.cluster.advance(to: later.cluster.now + .seconds(120))
        for name in Self.names {
            let target = ObjectName(name.name, in: World.otherNamespace)
            #expect(later.volume(of: target) == world.volume(of: name))
            #expect(later.object(.persistentVolumeClaims, target)?[path: ["metadata", "ownerReferences"]] == nil)
        }
    }

    @Test("gives nothing up where the other namespace has no room for all claims of a workload")
    func quota() throws {
        var world = Scenario.moveSet.world(alone: true)
        world.make(
            .resourceQuotas,
            World.otherNamespace,
            ["metadata": ["name": "small"], "spec": ["hard": ["persistentvolumeclaims": "3"]]]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(5))
        let run = world.migrate(Scenario.moveSet.options)
        let story = run.messages.joined(separator: "\n")
        #expect(run.report?.succeeded != true, "\(story)")
        #expect(story.contains("exceeded quota: small"), "\(story)")
        #expect(run.world.cluster.replicas(Self.set) == 2, "\(story)")
        for name in Self.names { #expect(run.world.volume(of: name) == world.volume(of: name), "\(story)") }
        #expect(run.world.cluster.list(.persistentVolumeClaims, namespace: World.otherNamespace).isEmpty, "\(story)")
        #expect(run.world.marksLeft().isEmpty)
    }

    @Test("to give a claim away after a copy of it was made is refused")
    func afterCopy() throws {
        let copied = Scenario.copy.world(alone: true).migrate(Scenario.copy.options)
        let run = copied.world.migrate(Scenario.move.options, as: "second")
        #expect(run.report?.claims.map(\.result) == [.skipped])
        #expect(run.report?.claims.first?.reason?.contains("the claim shop-eu/data exists already") == true)
        #expect(run.world.volume(of: TransferTests.source) == copied.world.volume(of: TransferTests.source))
    }

    @Test(
        "is finished where somebody deletes the source claim between the seal and its deletion, and the run dies then"
    )
    func prunedAndCut() throws {
        let world = Scenario.move.world(alone: true)
        let key = ObjectKey(.persistentVolumeClaims, "shop", "data")
        let pruner = once(when: { _, cluster in
            cluster.get(ObjectKey(.persistentVolumeClaims, World.otherNamespace, "data")) != nil
        }) { try $0.delete(key) }
        let recording = Recording(from: CrashPoint(world: world, crashes: []), seed: 1)
        let run = world.migrate(Scenario.move.options, observer: recording.observer, meddler: pruner)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        for point in (0..<recording.count).map({ recording[$0] }) where point.world.cluster.get(key) == nil {
            let last = point.world.migrate(Scenario.move.options, as: "last")
            let story = "\(point.name)\n\(last.messages.joined(separator: "\n"))"
            // Before it is written down, nothing tells who deleted the claim: the way back is told, and nothing starts.
            #expect(last.world.cluster.replicas(ObjectKey(.deployments, "shop", "web")) == 0, "\(story)")
            guard let claim = last.report?.claims.first, claim.result != .moved else { continue }
            #expect(claim.reason?.contains("somebody has deleted this claim") == true, "\(claim) \(story)")
        }
    }

    @Test("takes a volume from nobody to whom somebody has given it under another name, and starts nothing beside him")
    func rescued() throws {
        let key = ObjectKey(.persistentVolumeClaims, "shop", "data")
        var world = try Scenario.move.world(alone: true).cut(Scenario.move.options) { $0.get(key) == nil }
        let volume =
            try #require(
                world.cluster.list(.persistentVolumes).first {
                    $0[path: ["metadata", "annotations", Marks.manifest]] != nil
                }
            )[path: ["metadata", "name"]]?.string ?? ""
        world.change(ObjectKey(.persistentVolumes, nil, volume)) {
            $0[path: ["spec", "claimRef"]] = ["namespace": "shop", "name": "restored"]
        }
        world.make(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": ["name": "restored"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": .string(World.source),
                    "volumeName": .string(volume), "resources": ["requests": ["storage": "16Mi"]],
                ],
            ]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        #expect(world.phase(of: ObjectName("restored", in: "shop")) == "Bound")
        let run = world.migrate(Scenario.move.options, as: "second")
        #expect(run.report?.claims.map(\.isDone) == [false], "\(run.messages)")
        let story = "\(run.report?.claims ?? [])"
        #expect(story.contains("to the claim shop/restored"), "\(story)")
        #expect(run.world.phase(of: TransferTests.target) != "Bound")
        let now = run.world.cluster.get(ObjectKey(.persistentVolumes, nil, volume))
        #expect(now?[path: ["spec", "claimRef", "name"]] == "restored")
    }

    @Test("of a claim whose volume is of another class is refused before anything stops")
    func otherClass() throws {
        var world = Scenario.move.world(alone: true)
        let volume = try #require(world.volume(of: TransferTests.source))
        world.change(ObjectKey(.persistentVolumes, nil, volume)) {
            $0[path: ["spec", "storageClassName"]] = .string(World.destination)
        }
        let run = world.migrate(Scenario.move.options)
        #expect(run.report?.claims.map(\.result) == [.skipped])
        let story = "\(run.report?.claims ?? [])"
        #expect(story.contains("another class than its volume"), "\(story)")
        #expect(run.world.cluster.replicas(ObjectKey(.deployments, "shop", "web")) == 1)
    }

    @Test("leaves a volume alone that somebody has given to his claim again, and its pods")
    func madeAnew() throws {
        let name = TransferTests.source
        let key = ObjectKey(.persistentVolumeClaims, "shop", "data")
        var world = try Scenario.move.world(alone: true).cut(Scenario.move.options) { cluster in
            cluster.list(.persistentVolumes).contains {
                $0[path: ["metadata", "annotations", Marks.manifest]] != nil
                    && $0[path: ["metadata", "annotations", Marks.deleting]] == nil
            }
        }
        let volume = try #require(world.volume(of: name))
        var claim: JSON = ["metadata": ["name": "data"]]
        claim["spec"] = world.cluster.get(key)?["spec"]
        try world.cluster.delete(key)
        world.cluster.advance(to: world.cluster.now + .seconds(10))
        world.change(ObjectKey(.persistentVolumes, nil, volume)) { $0[path: ["spec", "claimRef", "uid"]] = nil }
        world.make(.persistentVolumeClaims, "shop", claim)
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        #expect(world.phase(of: name) == "Bound")
        // A run that protects it anew dies at once.
        let cut = try world.cut(Scenario.move.options) { cluster in
            let uid = cluster.get(key)?[path: ["metadata", "uid"]]
            return cluster.get(ObjectKey(.persistentVolumes, nil, volume))?[path: [
                "metadata", "annotations", Marks.sourceUID,
            ]] == uid
        }
        let run = cut.migrate(Scenario.move.options, as: "abort", work: { migrator, _ in try await migrator.abort() })
        let story = run.messages.joined(separator: "\n")
        #expect(run.world.volume(of: name) == volume, "\(story)")
        #expect(run.world.phase(of: name) == "Bound", "\(story)")
        #expect(run.world.phase(of: TransferTests.target) == nil, "\(story)")
        #expect(run.world.cluster.replicas(ObjectKey(.deployments, "shop", "web")) == 1, "\(story)")
        #expect(run.world.marksLeft().isEmpty, "\(story)")
    }
}
