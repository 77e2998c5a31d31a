import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("A transfer, and others at either end")
struct TransferInterferenceTests {
    private static let source = TransferTests.source
    private static let target = TransferTests.target
    private static let sourceKey = ObjectKey(.persistentVolumeClaims, "shop", "data")
    private static let targetKey = ObjectKey(.persistentVolumeClaims, World.otherNamespace, "data")

    private static func claim(of storageClass: String = World.source, volume: String? = nil) -> JSON {
        var spec: JSON = [
            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(storageClass),
            "resources": ["requests": ["storage": "16Mi"]],
        ]
        spec["volumeName"] = volume.map(JSON.string)
        return ["metadata": ["name": "data"], "spec": spec]
    }

    private static func isReserved(_ cluster: Cluster) -> Bool {
        cluster.list(.persistentVolumes).contains {
            $0[path: ["metadata", "annotations", Marks.manifest]] != nil
                && $0[path: ["spec", "claimRef", "namespace"]]?.string == World.otherNamespace
                && $0[path: ["spec", "claimRef", "uid"]] == nil
        }
    }

    /// A moment from which a move only goes forward, before its volume is reserved.
    /// Somebody who puts a claim of his in the place of ours once the source is given up.
    private static func usurper(_ claim: JSON) -> Meddler {
        let remove = once(when: { isDeleting($1) && !isReserved($1) }) { try $0.delete(targetKey) }
        let isRemoved = Mutex(false)
        let make = once(when: { isRemoved.withLock { $0 } && $1.get(targetKey) == nil }) {
            try $0.create(.persistentVolumeClaims, namespace: World.otherNamespace, claim)
        }
        return { request, cluster in
            remove(request, &cluster)
            if isDeleting(cluster),
                cluster.get(targetKey).map({ $0[path: ["metadata", "deletionTimestamp"]] != nil }) ?? true
            {
                isRemoved.withLock { $0 = true }
            }
            make(request, &cluster)
        }
    }

    private static func isDeleting(_ cluster: Cluster) -> Bool {
        cluster.list(.persistentVolumes).contains { $0[path: ["metadata", "annotations", Marks.deleting]] != nil }
    }

    /// A moment at which a volume is sealed, and nothing is given up yet.
    private static func isSealed(_ cluster: Cluster) -> Bool {
        cluster.list(.persistentVolumes).contains {
            $0[path: ["metadata", "annotations", Marks.manifest]] != nil
                && $0[path: ["metadata", "annotations", Marks.deleting]] == nil
        }
    }

    @Test(
        "a claim that has the name in the other namespace already is left, and nothing is begun",
        arguments: [Scenario.move, .copy]
    )
    func taken(scenario: Scenario) throws {
        var world = scenario.world(alone: true)
        world.make(.persistentVolumeClaims, World.otherNamespace, Self.claim())
        world.cluster.advance(to: world.cluster.now + .seconds(20))
        let before = world.cluster.get(Self.targetKey)
        let run = world.migrate(scenario.options)
        #expect(run.report?.claims.map(\.result) == [.skipped])
        #expect(run.report?.claims.first?.reason?.contains("the claim shop-eu/data exists already") == true)
        #expect(run.world.cluster.get(Self.targetKey)?["spec"] == before?["spec"])
        #expect(run.world.volume(of: Self.source) == world.volume(of: Self.source))
        #expect(run.world.cluster.replicas(ObjectKey(.deployments, "shop", "web")) == 1)
        #expect(run.world.marksLeft().isEmpty)
    }

    @Test("a claim that waits for the very volume already gets it")
    func waiting() throws {
        var world = Scenario.move.world(alone: true)
        let volume = world.volume(of: Self.source)
        world.make(.persistentVolumeClaims, World.otherNamespace, Self.claim(volume: volume))
        world.cluster.advance(to: world.cluster.now + .seconds(20))
        let uid = world.cluster.get(Self.targetKey)?[path: ["metadata", "uid"]]
        let run = world.migrate(Scenario.move.options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.volume(of: Self.target) == volume)
        #expect(run.world.cluster.get(Self.targetKey)?[path: ["metadata", "uid"]] == uid)
    }

    @Test(
        "a claim that somebody makes before anything is given up stops that: the source has all, and its workload runs",
        arguments: [Scenario.move, .copy]
    )
    func takenLate(scenario: Scenario) throws {
        let world = scenario.world(alone: true)
        let invariants = Invariants(of: world)
        let run = world.migrate(
            scenario.options,
            observer: invariants.observer,
            meddler: once(when: { Self.isSealed($1) }) {
                try $0.create(.persistentVolumeClaims, namespace: World.otherNamespace, Self.claim())
            }
        )
        let story = run.messages.joined(separator: "\n")
        #expect(run.report?.claims.map(\.result) == [.failed], "\(story)")
        #expect(run.report?.claims.first?.reason?.contains("the claim shop-eu/data exists already") == true, "\(story)")
        #expect(run.world.volume(of: Self.source) == world.volume(of: Self.source), "\(story)")
        #expect(run.world.cluster.replicas(ObjectKey(.deployments, "shop", "web")) == 1, "\(story)")
        #expect(run.report?.stopped == [])
        var later = run.world
        try later.cluster.delete(Self.targetKey)
        later.cluster.advance(to: later.cluster.now + .seconds(30))
        let last = later.migrate(scenario.options, as: "second", observer: invariants.observer)
        TransferTests.expectDone(last, invariants)
    }

    @Test(
        "whoever makes the claim of the name meanwhile gets what it is to have, and nothing of his is changed",
        arguments: [Scenario.move, .copy]
    )
    func adopted(scenario: Scenario) throws {
        let world = scenario.world(alone: true)
        let run = world.migrate(
            scenario.options,
            meddler: Self.usurper(Self.claim())
        )
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        let volume = try #require(run.world.volume(of: Self.target))
        let content = try #require(run.world.cluster.content(ofVolumeNamed: volume))
        #expect(World.lines(in: content, of: Self.source) != nil)
        #expect(run.world.marksLeft().isEmpty)
    }

    @Test(
        "a claim of the name that names another volume, or another class, gets no data, and a rerun finishes when it is gone",
        arguments: [Scenario.move, .copy],
        [true, false]
    )
    func redirected(scenario: Scenario, byVolume: Bool) throws {
        var world = scenario.world(alone: true)
        world.make(
            .persistentVolumes,
            nil,
            [
                "metadata": ["name": "his"],
                "spec": [
                    "capacity": ["storage": "16Mi"], "accessModes": ["ReadWriteOnce"],
                    "storageClassName": .string(World.source), "persistentVolumeReclaimPolicy": "Retain",
                    "csi": ["driver": "network.csi.example.com", "volumeHandle": "his"],
                    "claimRef": ["namespace": .string(World.otherNamespace), "name": "data"],
                ],
            ]
        )
        let claim = byVolume ? Self.claim(volume: "his") : Self.claim(of: World.destination)
        let run = world.migrate(
            scenario.options,
            meddler: Self.usurper(claim)
        )
        let story = run.messages.joined(separator: "\n")
        #expect(run.report?.claims.map(\.result) == [.failed], "\(story)")
        #expect(run.report?.claims.first?.reason?.contains("somebody made the claim shop-eu/data") == true, "\(story)")
        let his = run.world.cluster.get(Self.targetKey)
        #expect(his?[path: ["spec", "storageClassName"]] == claim[path: ["spec", "storageClassName"]])
        if let volume = run.world.volume(of: Self.target),
            let content = run.world.cluster.content(ofVolumeNamed: volume)
        {
            #expect(World.lines(in: content, of: Self.source) == nil)
        }
        var later = run.world
        try later.cluster.delete(Self.targetKey)
        later.cluster.advance(to: later.cluster.now + .seconds(30))
        let last = later.migrate(scenario.options, as: "second")
        #expect(last.report?.succeeded == true, "\(last.messages.joined(separator: "\n"))")
        let volume = try #require(last.world.volume(of: Self.target))
        let content = try #require(last.world.cluster.content(ofVolumeNamed: volume))
        #expect(World.lines(in: content, of: Self.source) != nil)
    }

    @Test("marks of a tenant on his claim, his workload and his namespace's objects give nothing away")
    func marks() throws {
        var world = Scenario.deployment.world(alone: true)
        world.make(.namespaces, nil, ["metadata": ["name": .string(World.otherNamespace)]])
        world.change(Self.sourceKey) {
            for (mark, text) in [
                (Marks.ending, "move"), (Marks.targetNamespace, World.otherNamespace), (Marks.target, "data"),
                (Marks.manifest, "{}"), (Marks.deleting, "x"),
            ] {
                $0[path: ["metadata", "annotations", mark]] = .string(text)
            }
        }
        let run = world.migrate()
        #expect(run.report?.claims.map(\.result) == [.migrated])
        #expect(run.world.cluster.list(.persistentVolumeClaims, namespace: World.otherNamespace).isEmpty)
    }

    @Test("a claim that names a volume of somebody else takes nothing with it", arguments: [Scenario.move, .copy])
    func foreignVolume(scenario: Scenario) throws {
        var world = scenario.world(alone: true)
        world.make(.namespaces, nil, ["metadata": ["name": "bank"]])
        world.addClaim("gold", in: "bank")
        world.settle()
        let volume = try #require(world.volume(of: ObjectName("gold", in: "bank")))
        var thief = Self.claim(volume: volume)
        thief[path: ["metadata", "name"]] = "thief"
        world.make(.persistentVolumeClaims, "shop", thief)
        world.cluster.advance(to: world.cluster.now + .seconds(20))
        let before = world.object(.persistentVolumes, ObjectName(volume, in: nil))
        var options = scenario.options
        options.selection.claims = [ObjectName("thief", in: "shop")]
        let run = world.migrate(options)
        #expect(run.report?.claims.allSatisfy { $0.result == .skipped } == true)
        #expect(run.world.object(.persistentVolumes, ObjectName(volume, in: nil))?["spec"] == before?["spec"])
    }

    @Test(
        "a transfer that died is finished by the same command only, and never to another namespace",
        arguments: [Scenario.move, .copy]
    )
    func elsewhere(scenario: Scenario) throws {
        var world = try scenario.world(alone: true).cut(scenario.options) { Self.isDeleting($0) }
        world.make(.namespaces, nil, ["metadata": ["name": "evil"]])
        var other = scenario.options
        other.handover?.namespace = "evil"
        let run = world.migrate(other, as: "second")
        #expect(run.report?.claims.contains { $0.isDone } != true, "\(run.messages)")
        #expect(run.world.cluster.list(.persistentVolumeClaims, namespace: "evil").isEmpty)
        let migration = run.world.migrate(as: "third")
        #expect(migration.report?.claims.contains { $0.isDone } != true, "\(migration.messages)")
        let last = migration.world.migrate(scenario.options, as: "fourth")
        #expect(last.report?.succeeded == true, "\(last.messages.joined(separator: "\n"))")
        #expect(last.world.volume(of: Self.target) != nil)
    }

    @Test(
        "an abort takes back what is not the other namespace's yet, and finishes the rest",
        arguments: [Scenario.move, .copy]
    )
    func aborted(scenario: Scenario) throws {
        let world = scenario.world(alone: true)
        for point in world.crashPoints(scenario.options, seed: 3) {
            let source = point.world.cluster.get(Self.sourceKey)
            let isPast =
                scenario == .copy
                ? Self.isDeleting(point.world.cluster)
                : source == nil || source?[path: ["metadata", "deletionTimestamp"]] != nil
            let isDone = point.world.phase(of: Self.target) == "Bound"
            let run = point.world.migrate(
                scenario.options,
                as: "abort",
                work: { migrator, _ in try await migrator.abort() }
            )
            let story = "\(point.name)\n\(run.messages.joined(separator: "\n"))"
            #expect(run.report?.succeeded == true, "\(story)")
            #expect((run.world.phase(of: Self.target) == "Bound") == (isPast || isDone), "\(story)")
            #expect(run.world.marksLeft().isEmpty, "\(story)")
            guard !isPast, !isDone else { continue }
            #expect(run.world.volume(of: Self.source) == world.volume(of: Self.source), "\(story)")
            #expect(run.world.cluster.replicas(ObjectKey(.deployments, "shop", "web")) == 1, "\(story)")
        }
    }
}
