import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("A claim that names its class by the old annotation")
struct BetaClassTests {
    private static let slow = ObjectKey(.storageClasses, nil, World.source)

    /// A Deployment on a claim that was made when classes were named by an annotation alone.
    private static func world() throws -> World {
        var world = World()
        world.addClaim("data")
        try world.cluster.delete(Others.claim)
        world.cluster.advance(to: world.cluster.now + .seconds(10))
        // Else the claim would be given the default class in its spec.
        let annotations = ["metadata", "annotations"]
        world.change(slow) { $0[path: annotations] = nil }
        world.make(
            .persistentVolumes,
            nil,
            [
                "metadata": [
                    "name": "old", "annotations": ["pv.kubernetes.io/provisioned-by": "network.csi.example.com"],
                ],
                "spec": [
                    "capacity": ["storage": "16Mi"], "accessModes": ["ReadWriteOnce"],
                    "storageClassName": .string(World.source), "persistentVolumeReclaimPolicy": "Delete",
                    "csi": ["driver": "network.csi.example.com", "volumeHandle": "old"],
                    "claimRef": ["namespace": "shop", "name": "data"],
                ],
            ]
        )
        world.make(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": [
                    "name": "data",
                    "annotations": .object([PersistentVolumeClaim.betaClassAnnotation: .string(World.source)]),
                ],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "16Mi"]],
                    "volumeName": "old",
                ],
            ]
        )
        world.change(slow) { $0[path: annotations] = .object([StorageClass.defaultAnnotation: "true"]) }
        world.addDeployment("web", claims: ["data"])
        world.settle()
        return world
    }

    @Test("is migrated, and names the new class in its spec alone")
    func migrates() throws {
        let world = try Self.world()
        let invariants = Invariants(of: world)
        let run = world.migrate(observer: invariants.observer)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.shortcomings(keepsLines: invariants) == [])
        let annotations = try #require(run.world.cluster.get(Others.claim))[path: ["metadata", "annotations"]]
        #expect(annotations?[PersistentVolumeClaim.betaClassAnnotation] == nil)
    }

    @Test("is finished by the next run where one dies after its deletion")
    func crash() throws {
        let options = Scenario.deployment.options
        let points = try Self.world().crashPoints(options, seed: 1)
        let deleted = try #require(points.first { $0.world.cluster.get(Others.claim) == nil })
        let next = WatchedRun(from: deleted, seed: 1, options: options)
        #expect(next.problems == [], "\(next.story)")
    }
}
