import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

/// The moments at which a run of the Go tool may end, in its order (after its code; it has one claim at a time in hand).
enum GoStage: Int, CaseIterable, Comparable, Sendable {
    case staged
    case scaledDown
    case copying
    case copied
    case sourceRetained
    case destinationMarked
    case claimDeleted
    case stagingDeleted
    case sourceCleared
    case destinationCleared
    case claimCreated
    case policyGivenBack
    case sourceDeleted

    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension World {
    /// Does to a Deployment `web` and its claim `data` what the Go tool does, up to and including a stage.
    mutating func runGoTool(until last: GoStage) throws {
        let claim = ObjectKey(.persistentVolumeClaims, "shop", "data")
        let staging = ObjectKey(.persistentVolumeClaims, "shop", "data-pvcmigrate")
        let workload = ObjectKey(.deployments, "shop", "web")
        let source = ObjectKey(.persistentVolumes, nil, volume(of: ObjectName("data", in: "shop")) ?? "")
        var destination: ObjectKey {
            let name = cluster.get(staging)?[path: ["spec", "volumeName"]]?.string
            return ObjectKey(
                .persistentVolumes,
                nil,
                name ?? cluster.list(.persistentVolumes).lazy.compactMap { volume in
                    volume[path: ["metadata", "annotations", Marks.sourceClaim]] == nil
                        ? nil : volume[path: ["metadata", "name"]]?.string
                }.first ?? ""
            )
        }
        for stage in GoStage.allCases where stage <= last {
            switch stage {
            case .staged:
                make(
                    .persistentVolumeClaims,
                    "shop",
                    [
                        "metadata": [
                            "name": "data-pvcmigrate",
                            "annotations": .object([Marks.claim: "data", Marks.kind: .string(Marks.Kind.staging)]),
                        ],
                        "spec": [
                            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(Self.destination),
                            "resources": ["requests": ["storage": "16Mi"]],
                        ],
                    ]
                )
            case .scaledDown:
                try cluster.update(source) { $0[path: ["metadata", "annotations", Marks.sourceNode]] = "node-2" }
                try cluster.update(workload) {
                    $0[path: ["metadata", "annotations", Marks.scale]] = "1"
                    $0[path: ["spec", "replicas"]] = 0
                }
            case .copying:
                make(
                    .pods,
                    "shop",
                    [
                        "metadata": [
                            "name": "migrate-data",
                            "annotations": .object([Marks.claim: "data", Marks.kind: .string(Marks.Kind.mover)]),
                        ],
                        "spec": [
                            "restartPolicy": "Never",
                            "containers": [
                                [
                                    "name": "pvmigrate", "image": "eeacms/rsync:2.3", "command": ["rsync"],
                                    "args": ["-a", "-v", "-P", "--delete", "/source/", "/dest"],
                                    "volumeMounts": [
                                        ["name": "source", "mountPath": "/source"],
                                        ["name": "dest", "mountPath": "/dest"],
                                    ],
                                ]
                            ],
                            "volumes": [
                                ["name": "source", "persistentVolumeClaim": ["claimName": "data"]],
                                ["name": "dest", "persistentVolumeClaim": ["claimName": "data-pvcmigrate"]],
                            ],
                        ],
                    ]
                )
            case .copied: try cluster.delete(ObjectKey(.pods, "shop", "migrate-data"))
            case .sourceRetained:
                try cluster.update(source) { $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Retain" }
            case .destinationMarked:
                try cluster.update(destination) {
                    $0[path: ["metadata", "annotations", Marks.sourceNamespace]] = "shop"
                    $0[path: ["metadata", "annotations", Marks.sourceClaim]] = "data"
                    $0[path: ["metadata", "annotations", Marks.reclaimPolicy]] = "Delete"
                    $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Retain"
                }
            case .claimDeleted: try cluster.delete(claim)
            case .stagingDeleted: try cluster.delete(staging)
            case .sourceCleared: try cluster.update(source) { $0[path: ["spec", "claimRef"]] = nil }
            case .destinationCleared: try cluster.update(destination) { $0[path: ["spec", "claimRef"]] = nil }
            case .claimCreated:
                make(
                    .persistentVolumeClaims,
                    "shop",
                    [
                        "metadata": ["name": "data", "labels": ["app": "x"]],
                        "spec": [
                            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(Self.destination),
                            "resources": ["requests": ["storage": "16Mi"]],
                            "volumeName": .string(destination.name),
                        ],
                    ]
                )
            case .policyGivenBack:
                try cluster.update(destination) { $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Delete" }
            case .sourceDeleted: try cluster.delete(source)
            }
            // The mover of the stage `copying` is met at work; else the controllers do what they have to.
            if stage != .copying || stage < last { cluster.advance(to: cluster.now + .seconds(20)) }
        }
    }
}

@Suite("A run that the Go tool left")
struct GoToolTests {
    private static func world(until stage: GoStage) throws -> World {
        var world = Scenario.deployment.world(alone: true)
        try world.runGoTool(until: stage)
        return world
    }

    @Test(
        "is finished from each of its moments: the claim has its name and its data, the workload its scale",
        arguments: GoStage.allCases
    )
    func finishes(stage: GoStage) throws {
        let world = try Self.world(until: stage)
        let invariants = Invariants(of: world)
        invariants.check(world.cluster, after: "the Go tool")
        let run = world.migrate(observer: invariants.observer)
        let story = "\(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))"
        #expect(run.report?.succeeded == true, "\(story)")
        #expect(invariants.violations.isEmpty, "\(story)")
        let claim = try #require(world.claims.first)
        let object = try #require(run.world.object(.persistentVolumeClaims, claim))
        #expect(object[path: ["spec", "storageClassName"]]?.string == World.destination)
        #expect(object[path: ["status", "phase"]] == "Bound")
        let volume = try #require(run.world.volume(of: claim))
        let content = try #require(run.world.cluster.content(ofVolumeNamed: volume))
        #expect(World.lines(in: content, of: claim) != nil, "\(story)")
        let workload = run.world.cluster.get(ObjectKey(.deployments, "shop", "web"))
        #expect(workload?[path: ["spec", "replicas"]] == 1, "\(story)")
        #expect(workload?[path: ["metadata", "annotations", Marks.scale]] == nil)
        // Before its volume bears a mark nothing proves whose staging claim it is: it is left, and said.
        let isProven = stage >= .destinationMarked
        let staging = ObjectKey(.persistentVolumeClaims, "shop", "data-pvcmigrate")
        #expect((run.world.cluster.get(staging) == nil) == isProven)
        #expect(try world.discovery().notes.contains { $0.resource.hasSuffix("shop/data-pvcmigrate") } == !isProven)
    }

    @Test("that had deleted the claim leaves the source volume as it is, and says where the storage is")
    func keepsSource() throws {
        let world = try Self.world(until: .stagingDeleted)
        let source = try #require(world.sourceVolumes.first)
        let run = world.migrate()
        #expect(run.world.sourceVolumes == [source])
        let notes = try world.discovery().notes.map(\.message)
        #expect(notes.contains { $0.contains("the Go tool has deleted the claim shop/data") && $0.contains(source) })
    }

    @Test("is not taken for half done after it has ended, even when its claim was deleted later")
    func ended() throws {
        var world = try Self.world(until: .policyGivenBack)
        #expect(try world.discovery().units.isEmpty)
        try world.cluster.update(ObjectKey(.deployments, "shop", "web")) {
            $0[path: ["metadata", "annotations", Marks.scale]] = nil
        }
        let volume = try #require(world.volume(of: ObjectName("data", in: "shop")))
        try world.cluster.update(ObjectKey(.persistentVolumes, nil, volume)) {
            $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Retain"
        }
        try world.cluster.delete(ObjectKey(.persistentVolumeClaims, "shop", "data"))
        world.cluster.advance(to: world.cluster.now + .seconds(20))
        #expect(try world.discovery().units.isEmpty)
    }
}

extension World {
    /// The names of the volumes of the source class, but for those of others.
    var sourceVolumes: [String] {
        cluster.list(.persistentVolumes).filter { $0[path: ["spec", "storageClassName"]]?.string == Self.source }
            .compactMap { $0[path: ["metadata", "name"]]?.string }
            .filter { bystanders[ObjectKey(.persistentVolumes, nil, $0)] == nil }
    }

    /// What a run would find now.
    func discovery(
        _ options: Options = Options(sourceClass: World.source, destinationClass: World.destination)
    ) throws -> Discovery {
        let time = VirtualTime()
        let client = Client(transport: ClusterSimulator(cluster, time: time.source), time: time.source)
        let migrator = Migrator(client: client, options: options, journal: Journal(time: time.source) { _ in })
        return try time.run { try await migrator.discover() }
    }
}
