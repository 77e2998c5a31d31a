import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("The old volume is freed only after the workload runs on the new one")
struct ReadyBeforeReleaseTests {
    private static let web = ObjectKey(.deployments, "shop", "web")
    private static let claim = ObjectName("data", in: "shop")

    private static func world() -> World { Scenario.deployment.world(alone: true) }

    /// The source volume as it is now; nil where it is gone.
    private static func source(_ world: World) -> JSON? {
        world.sources[claim].flatMap { world.object(.persistentVolumes, ObjectName($0.volume, in: nil)) }
    }

    private static func expectKept(_ run: World.Run, _ why: String, _ location: SourceLocation = #_sourceLocation) {
        let volume = source(run.world)
        #expect(volume?[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain", sourceLocation: location)
        #expect(volume?[path: ["metadata", "annotations", Marks.kept]] != nil, sourceLocation: location)
        #expect(run.world.isOn(World.destination), sourceLocation: location)
        #expect(run.report?.succeeded == false, sourceLocation: location)
        #expect(run.report?.stopped == [], sourceLocation: location)
        let failures = run.report?.failures.joined() ?? ""
        #expect(failures.contains(why), "\(failures)", sourceLocation: location)
        #expect(failures.contains("pvmigrate rollback --source-sc slow --dest-sc fast --pvc shop/data"))
    }

    /// Does something as soon as the claim has its successor.
    static func onceSwapped(_ change: @escaping @Sendable (inout Cluster) throws -> Void) -> Meddler {
        once(
            when: { _, cluster in
                let claim = cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data"))
                return claim?[path: ["spec", "storageClassName"]]?.string == World.destination
                    && claim?.phase == "Bound"
            },
            change
        )
    }

    @Test("a workload that does not become ready keeps its old volume, and a rollback swaps back to it")
    func neverReady() throws {
        let world = Self.world()
        let run = world.migrate(
            // No node takes its pods any more.
            meddler: Self.onceSwapped { try $0.cordonNodes(true) }
        )
        Self.expectKept(run, "waited")
        var later = run.world
        try later.cluster.cordonNodes(false)
        later.cluster.advance(to: later.cluster.now + .seconds(30))
        let back = later.migrate(.rollback(discardingChanges: true), as: "second")
        #expect(back.report?.succeeded == true, "\(back.messages)")
        #expect(back.world.isOn(World.source))
    }

    @Test("a workload that somebody scales to 0 meanwhile keeps its old volume, and that is said")
    func scaledToZero() throws {
        let run = Self.world().migrate(
            meddler: once(
                when: { _, cluster in
                    cluster.get(Self.web)?[path: ["spec", "replicas"]] == 1
                        && cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data"))?[
                            path: ["spec", "storageClassName"]
                        ]?.string == World.destination
                }
            ) { try $0.scale(Self.web, to: 0) }
        )
        Self.expectKept(run, "Deployment shop/web")
    }

    @Test("a workload at 0 before the migration has its old volume freed at once")
    func atZeroBefore() throws {
        var world = Self.world()
        try world.cluster.scale(Self.web, to: 0)
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        let run = world.migrate()
        #expect(run.report?.succeeded == true)
        #expect(Self.source(run.world) == nil)
    }

    @Test("a run that dies after the restart leaves the rest to the next one, also where that sees the workload at 0")
    func diesBeforeRelease() throws {
        let world = Self.world()
        let options = Options(sourceClass: World.source, destinationClass: World.destination)
        let points = world.crashPoints(options, seed: 3).filter { point in
            point.world.cluster.get(Self.web)?[path: ["spec", "replicas"]] == 1
                && point.world.isOn(World.destination)
                && Self.source(point.world)?[path: ["metadata", "annotations", Marks.sourceUID]] != nil
        }
        #expect(!points.isEmpty)
        for point in points {
            let next = point.world.migrate(as: "second")
            #expect(next.report?.succeeded == true, "\(point.name): \(next.messages)")
            #expect(Self.source(next.world) == nil, "\(point.name)")
            var stopped = point.world
            try stopped.cluster.scale(Self.web, to: 0)
            stopped.cluster.advance(to: stopped.cluster.now + .seconds(30))
            Self.expectKept(stopped.migrate(as: "second"), "Deployment shop/web, which used it, does not run now")
        }
    }

    @Test("a ReplicaSet loses the mark that its Deployment's controller has copied to it")
    func copiedMark() throws {
        let run = Self.world().migrate()
        #expect(run.report?.succeeded == true)
        let marked = run.world.cluster.list(.replicaSets).filter {
            $0[path: ["metadata", "annotations", Marks.scale]] != nil
        }
        #expect(marked.isEmpty)
        #expect(try run.world.status().isOpen == false)
    }

    @Test("a ReplicaSet with a mark that was copied to it is not taken for a stopped workload")
    func foreignMark() throws {
        var world = Self.world()
        let name = world.cluster.list(.replicaSets).first?[path: ["metadata", "name"]]?.string ?? ""
        try world.cluster.update(ObjectKey(.replicaSets, "shop", name)) {
            $0[path: ["metadata", "annotations", Marks.scale]] = "7"
        }
        #expect(try world.status().workloads.isEmpty)
        #expect(try world.discovery().forgotten.isEmpty)
    }
}

extension Cluster {
    /// Has the nodes take no more pods, or take them again, as `kubectl cordon` does.
    mutating func cordonNodes(_ isCordoned: Bool) throws {
        for node in ["node-1", "node-2"] {
            try update(ObjectKey(.nodes, nil, node)) { $0[path: ["spec", "unschedulable"]] = isCordoned ? true : nil }
        }
    }
}
