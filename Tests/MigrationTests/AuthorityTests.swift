import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("What only a tenant's mark says")
struct AuthorityTests {
    private static let third = "third"

    private static func options(_ source: String, _ destination: String) -> Options {
        Options(sourceClass: source, destinationClass: destination)
    }

    /// A Deployment with a claim, and a third class.
    private static func world() -> World {
        var world = Scenario.deployment.world(alone: true)
        world.make(
            .storageClasses,
            nil,
            ["metadata": ["name": .string(third)], "provisioner": "network.csi.example.com", "reclaimPolicy": "Delete"]
        )
        return world
    }

    /// Plants a claim, bound to a volume that an administrator retains.
    private static func plant(
        _ name: String,
        of storageClass: String,
        size: String = "16Mi",
        marks: [String: JSON],
        in world: inout World
    ) throws -> String {
        world.make(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": ["name": .string(name), "annotations": .object(marks)],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": .string(storageClass),
                    "resources": ["requests": ["storage": .string(size)]],
                ],
            ]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(10))
        let volume = try #require(world.volume(of: ObjectName(name, in: "shop")))
        try world.cluster.update(ObjectKey(.persistentVolumes, nil, volume)) {
            $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Retain"
        }
        return volume
    }

    @Test(
        "a claim that calls itself a staging claim is left with its volume and its policy, of whatever class and size",
        arguments: [World.source, World.destination, third],
        ["1Mi", "16Mi"]
    )
    func staging(storageClass: String, size: String) throws {
        var world = Self.world()
        let uid = world.sources[ObjectName("data", in: "shop")]?.uid ?? ""
        let marks: [String: JSON] = [
            Marks.claim: "data", Marks.kind: .string(Marks.Kind.staging), Marks.sourceUID: .string(uid),
        ]
        let volume = try Self.plant("data-pvcmigrate", of: storageClass, size: size, marks: marks, in: &world)
        let key = ObjectKey(.persistentVolumes, nil, volume)
        let before = world.cluster.get(key)
        let run = world.migrate()
        #expect(run.report?.claims.contains { $0.name.name == "data" && $0.result == .migrated } == true)
        #expect(run.world.cluster.get(key)?["spec"] == before?["spec"])
        #expect(run.world.cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data-pvcmigrate")) != nil)
        let back = world.abort()
        #expect(back.world.cluster.get(key)?["spec"] == before?["spec"])
    }

    @Test("what was staged for one class is never swapped in for another")
    func staged() throws {
        let world = Self.world()
        var staging = Self.options(World.source, World.destination)
        staging.goal = .stage
        let staged = world.migrate(staging).world
        let run = staged.migrate(Self.options(World.source, Self.third), as: "second")
        #expect(run.report?.claims.map(\.result) == [.skipped])
        #expect(run.report?.claims.first?.reason?.contains("pvmigrate abort --source-sc slow --dest-sc fast") == true)
        #expect(run.world.isOn(World.source) && run.world.areScalesRight)
        // The way out that is named leads out.
        let aborted = run.world.abort().world
        let last = aborted.migrate(Self.options(World.source, Self.third), as: "third")
        #expect(last.report?.succeeded == true, "\(last.messages)")
        #expect(last.world.isOn(Self.third))
    }

    @Test("a migration that died leaves its staging claims and volumes to itself, not to the next one in the chain")
    func chained() throws {
        let world = Self.world()
        for point in world.crashPoints(Self.options(World.source, World.destination), seed: 2) {
            let next = point.world.migrate(Self.options(World.destination, Self.third), as: "second")
            let migrated = next.report?.claims.filter { $0.result == .migrated }.map(\.name.name) ?? []
            // Once it is all done, it is an ordinary claim.
            let isDone = point.world.marksLeft().isEmpty && point.world.isOn(World.destination)
            #expect(migrated == (isDone ? ["data"] : []), "\(point.name): \(next.messages)")
            guard !isDone else { continue }
            let last = next.world.migrate(as: "third")
            #expect(last.report?.succeeded == true, "\(point.name): \(last.messages)")
        }
    }

    @Test("a claim of the source class that calls itself a staging claim stays on it, and the run says so and fails")
    func markedSource() throws {
        var world = Self.world()
        world.addClaim("other", annotations: [Marks.claim: "data", Marks.kind: .string(Marks.Kind.staging)])
        world.settle()
        let run = world.migrate()
        #expect(run.report?.claims.map { "\($0.name.name) \($0.result)" } == ["data migrated"])
        #expect(
            run.report?.failures.count == 1 && run.report?.failures[0].contains("shop/other bears the mark") == true
        )
        #expect(run.world.isOn(World.source, [ObjectName("other", in: "shop")]))
        #expect(run.world.migrate(as: "second").report?.succeeded == false)
    }

    @Test("a pass's copy that somebody replaces by a claim of his own is his")
    func copy() throws {
        var options = Self.options(World.source, World.destination)
        options.copyFrom = .clone
        options.isLive = true
        let world = Self.world()
        let planted = Mutex<String?>(nil)
        let run = world.migrate(
            options,
            meddler: once(
                when: { _, cluster in
                    cluster.allMovers.contains { mover in
                        mover[path: ["spec", "nodeName"]] != nil
                            && (mover[path: ["spec", "volumes"]]?.array ?? []).contains {
                                let claim = $0[path: ["persistentVolumeClaim", "claimName"]]?.string
                                return claim?.contains("-pvcmigrate-copy-") == true
                            }
                    }
                }
            ) { cluster in
                let copy = cluster.list(.persistentVolumeClaims, namespace: "shop").first {
                    $0[path: ["metadata", "annotations", Marks.kind]]?.string == Marks.Kind.copy
                }
                guard let name = copy?[path: ["metadata", "name"]]?.string else { return }
                let key = ObjectKey(.persistentVolumeClaims, "shop", name)
                try cluster.update(key) { $0[path: ["metadata", "finalizers"]] = nil }
                try cluster.delete(key)
                try cluster.create(
                    .persistentVolumeClaims,
                    namespace: "shop",
                    [
                        "metadata": ["name": .string(name)],
                        "spec": [
                            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(Self.third),
                            "resources": ["requests": ["storage": "16Mi"]],
                        ],
                    ]
                )
                planted.withLock { $0 = name }
            }
        )
        let name = try #require(planted.withLock { $0 }, "\(run.messages)")
        #expect(run.world.cluster.get(ObjectKey(.persistentVolumeClaims, "shop", name)) != nil, "\(run.messages)")
    }

    @Test("a stopped workload says nothing of a volume that the Go tool has long given back")
    func givenBack() throws {
        var world = Scenario.deployment.world(alone: true)
        try world.runGoTool(until: .sourceDeleted)
        let volume = try #require(world.volume(of: ObjectName("data", in: "shop")))
        let key = ObjectKey(.persistentVolumes, nil, volume)
        // An administrator keeps it, and has it free for the next one.
        try world.cluster.update(key) { $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Retain" }
        try world.cluster.delete(ObjectKey(.persistentVolumeClaims, "shop", "data"))
        world.cluster.advance(to: world.cluster.now + .seconds(20))
        try world.cluster.update(key) { $0[path: ["spec", "claimRef"]] = nil }
        world.cluster.advance(to: world.cluster.now + .seconds(20))
        let run = world.migrate()
        #expect(run.world.volume(of: ObjectName("data", in: "shop")) == nil, "\(run.messages)")
        let policy = run.world.cluster.get(key)?[path: ["spec", "persistentVolumeReclaimPolicy"]]
        #expect(policy == "Retain")
    }

    @Test("cleanup frees a kept volume only beside the very claim that took its claim's place")
    func cleanup() throws {
        var options = Self.options(World.source, World.destination)
        options.keepSource = true
        var world = Self.world().migrate(options).world
        try world.cluster.scale(ObjectKey(.deployments, "shop", "web"), to: 0)
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        let key = ObjectKey(.persistentVolumeClaims, "shop", "data")
        let claim = try #require(world.cluster.get(key))
        try world.cluster.delete(key)
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        world.make(
            .persistentVolumeClaims,
            "shop",
            ["metadata": ["name": "data"], "spec": claim["spec"]?.without("volumeName") ?? .null]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        let run = world.migrate(
            as: "second",
            work: { migrator, _ in
                let cleaned = try await migrator.cleanup(olderThan: .zero, dryRun: false)
                #expect(cleaned.count == 1)
                guard case .kept(let why)? = cleaned.first?.result else {
                    Issue.record("it is not kept")
                    return Report()
                }
                #expect(why.contains("it may hold the only copy"))
                return Report()
            }
        )
        #expect(run.world.sourceVolumes.count == 1)
    }
}

extension JSON {
    fileprivate func without(_ key: String) -> JSON {
        var copy = self
        copy[key] = nil
        return copy
    }
}
