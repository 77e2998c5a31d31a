import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Somebody uses a claim at the last moment")
struct OthersDisturbTests {
    /// The moment at which everything is checked, and the deletion of the source claim is on its way.
    private static func whenDeleting(_ act: @escaping @Sendable (inout Cluster) throws -> Void) -> Meddler {
        once(
            when: { request, _ in request?.method == .delete && request?.target.hasSuffix("/data") == true },
            act
        )
    }

    @Test("what a pod writes between the check and the deletion is kept on the old volume, and that is said")
    func intruder() throws {
        var scene = Others()
        let source = try #require(scene.world.sourceVolumes.first)
        let key = ObjectKey(.pods, "shop", "late")
        scene.migrate(
            Self.whenDeleting { cluster in
                try cluster.create(
                    .pods,
                    namespace: "shop",
                    [
                        "metadata": ["name": "late"],
                        "spec": [
                            "terminationGracePeriodSeconds": 1, "nodeSelector": ["kubernetes.io/hostname": "node-2"],
                            "containers": [
                                [
                                    "name": "c", "image": "busybox:latest", "command": ["writer", "/data/late", "1"],
                                    "volumeMounts": [["name": "data", "mountPath": "/data"]],
                                ]
                            ],
                            "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]],
                        ],
                    ]
                )
                cluster.advance(to: cluster.now + .seconds(5))
            }
        )
        let first = scene.runs[0]
        #expect(first.report?.succeeded == false, "the claim is in use: \(scene.story)")
        #expect(first.report?.stopped == ["Deployment shop/web"], "\(scene.story)")
        #expect(scene.story.contains("Pod shop/late was started after the copy"), "\(scene.story)")
        #expect(scene.story.contains("is on the volume \(source), which is kept"), "\(scene.story)")

        scene.change { try $0.delete(key) }
        scene.wait(.seconds(10))
        scene.migrate()
        #expect(scene.runs[1].report?.claims.map(\.result) == [.migrated], "\(scene.story)")
        #expect(scene.runs[1].report?.failures.count == 1, "\(scene.story)")
        #expect(scene.world.isOn(World.destination) && scene.world.areScalesRight)
        scene.wait(.seconds(30))
        let kept = scene.world.cluster.content(ofVolumeNamed: source)
        #expect((kept?["late"]?.content ?? "").isEmpty == false, "what it wrote is there: \(scene.story)")
        let volume = scene.world.object(.persistentVolumes, ObjectName(source, in: nil))
        #expect(volume?[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain")
        #expect(try scene.world.keptVolumes().map(\.claim) == [ObjectName("data", in: "shop")])
    }

    @Test("a workload that was started again while nobody was there makes the old volume be kept, too")
    func revived() throws {
        let world = Scenario.deployment.world(alone: true)
        let source = try #require(world.sourceVolumes.first)
        let options = Options(sourceClass: World.source, destinationClass: World.destination)
        // Dead between the deletion of the source claim and the creation of its successor.
        let points = world.crashPoints(options, seed: 1)
        var point = try #require(
            points.first { point in
                guard let claim = point.world.object(.persistentVolumeClaims, ObjectName("data", in: "shop")) else {
                    return true
                }
                return claim[path: ["metadata", "deletionTimestamp"]] != nil
            }
        )
        try point.world.cluster.update(Others.deployment) { $0[path: ["spec", "replicas"]] = 1 }
        let run = point.world.migrate(as: "second")
        #expect(run.report?.claims.map(\.result) == [.migrated], "\(run.messages)")
        #expect(run.report?.stopped == [])
        #expect(run.report?.failures.contains { $0.contains("was started after the copy") } == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("which is kept") }, "\(run.messages)")
        #expect(try run.world.keptVolumes().map(\.volume.metadata.name) == [source])
        // The one that finishes a run which died after that says it as well.
        for second in point.world.crashPoints(options, seed: 2) {
            guard try second.world.keptVolumes().contains(where: { $0.reason == .disturbed }) else { continue }
            let third = second.world.migrate(as: "third")
            guard third.report?.claims.isEmpty == false else { continue }
            #expect(third.report?.failures.count == 1, "\(second.name): \(third.messages)")
        }
    }
}
