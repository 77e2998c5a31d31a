import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("What stands where no commands can be run")
struct HoldingTests {
    private static let disk = "disk.csi.example.com"

    private func world(hears: Bool = false, provisioner: String = "network.csi.example.com") -> World {
        var world = World(provisioner: provisioner)
        if hears { world.letMoversStand() }
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"])
        world.settle()
        return world
    }

    private static func isStopped(_ cluster: Cluster) -> Bool {
        cluster.get(Others.deployment)?[path: ["spec", "replicas"]] == 0
    }

    private static func holders(_ cluster: Cluster) -> [ObjectKey] {
        cluster.list(.pods, namespace: "shop").compactMap { $0[path: ["metadata", "name"]]?.string }
            .filter { $0.hasPrefix("stand-") }.map { ObjectKey(.pods, "shop", $0) }
    }

    @Test(
        "a node that forbids the claim of a pod that comes when the last one leaves delays no copy",
        arguments: [true, false]
    )
    func forbids(hears: Bool) {
        var world = world(hears: hears)
        world.cluster.behaviour.nodeForbidsProbability = 1
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("a pass took") }, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("are kept mounted on node node-2") } == !hears, "\(run.messages)")
        let complaints = run.world.cluster.list(.events, namespace: "shop").filter { $0["reason"] == "FailedMount" }
        let names = complaints.compactMap { $0[path: ["involvedObject", "name"]]?.string }
        #expect(!names.contains { $0.hasPrefix("migrate-") }, "\(names)")
    }

    @Test("a pod of the workload whose node forbids its claim is made anew, and does not wait 12 s")
    func forbidsWorkload() {
        var world = world(hears: true)
        world.cluster.behaviour.nodeForbidsProbability = 1
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        let complaints = run.world.cluster.list(.events, namespace: "shop").filter { $0["reason"] == "FailedMount" }
        let names = complaints.compactMap { $0[path: ["involvedObject", "name"]]?.string }
        #expect(names.contains { $0.hasPrefix("web-") }, "\(names)")
        let outages = run.report?.claims.compactMap(\.outage) ?? []
        #expect(outages.count == 1 && outages.allSatisfy { $0 < .seconds(8) }, "\(outages) \(run.messages)")
    }

    @Test("a pod that an Event accuses, and that is none of the workload's, is left alone")
    func accused() {
        var scene = Others(world(hears: true))
        let isSwapped: @Sendable (Request?, Cluster) -> Bool = { _, cluster in
            let claim = cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data"))
            return claim?[path: ["spec", "storageClassName"]] == .string(World.destination)
                && !Self.isStopped(cluster)
        }
        scene.migrate(
            once(when: isSwapped) {
                let pod = try $0.create(
                    .pods,
                    namespace: "shop",
                    [
                        "metadata": ["name": "web-stranger"],
                        "spec": [
                            "nodeName": "node-2",
                            "containers": [["name": "main", "image": "busybox", "command": ["sleep", "9999"]]],
                            "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]],
                        ],
                    ]
                )
                try $0.create(
                    .events,
                    namespace: "shop",
                    [
                        "metadata": ["name": "lie"], "type": "Warning", "reason": "FailedMount",
                        "message": "no relationship found between node 'node-2' and this object",
                        "involvedObject": [
                            "kind": "Pod", "name": "web-stranger", "namespace": "shop",
                            "uid": pod[path: ["metadata", "uid"]] ?? .null,
                        ],
                    ]
                )
            }
        )
        scene.expectSuccess()
        #expect(scene.world.cluster.get(ObjectKey(.pods, "shop", "web-stranger")) != nil)
    }

    @Test("volumes that are long in being attached are attached before the stop", arguments: [true, false])
    func attached(hears: Bool) {
        var world = world(hears: hears, provisioner: Self.disk)
        world.cluster.behaviour.provisioners[Self.disk]?.attachSeconds = 10...10
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        let outages = run.report?.claims.compactMap(\.outage) ?? []
        #expect(outages.count == 1 && outages.allSatisfy { $0 < .seconds(8) }, "\(outages)")
    }

    @Test("where a quota has no room for one more pod, the one that holds the claims leaves its own to the mover")
    func quota() {
        var scene = Others(world())
        scene.migrate(
            once(when: { _, cluster in !Self.holders(cluster).isEmpty }) {
                try $0.create(
                    .resourceQuotas,
                    namespace: "shop",
                    ["metadata": ["name": "pods"], "spec": ["hard": ["pods": "2"]]]
                )
            }
        )
        scene.expectSuccess()
        #expect(scene.outage < .seconds(8), "\(scene.story)")
    }

    @Test("somebody who deletes the pod that holds the claims only costs time")
    func deleted() {
        var scene = Others(world())
        scene.migrate(
            once(when: { _, cluster in Self.isStopped(cluster) && !Self.holders(cluster).isEmpty }) {
                for holder in Self.holders($0) { try $0.delete(holder, gracePeriodSeconds: 0) }
            }
        )
        scene.expectSuccess()
    }

    @Test("whoever takes the name of a mover beside the one that stands is none of ours")
    func impostor() {
        var scene = Others(world(hears: true))
        scene.migrate(
            once(when: { _, cluster in Self.isStopped(cluster) }) { cluster in
                guard let uid = cluster.get(Others.claim)?[path: ["metadata", "uid"]]?.string else { return }
                try cluster.create(
                    .pods,
                    namespace: "shop",
                    [
                        "metadata": [
                            "name": .string(Marks.moverName(of: "data", uid: uid)),
                            "annotations": .object([
                                Marks.kind: .string(Marks.Kind.mover), Marks.claim: "data",
                                Marks.sourceUID: .string(uid),
                            ]),
                        ],
                        "spec": World.template(app: "own", mounts: ["data"]) {
                            ["persistentVolumeClaim": ["claimName": .string($0)]]
                        }["spec"] ?? [:],
                    ]
                )
            }
        )
        scene.expectSuccess()
    }
}
