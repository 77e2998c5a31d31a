import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Somebody touches a mover")
struct OthersMoverTests {
    /// The first moment at which a mover runs on a node.
    private static func whileCopying(_ act: @escaping @Sendable (inout Cluster, ObjectKey) throws -> Void) -> Meddler {
        once(when: { $1.isCopying }) { cluster in try act(&cluster, cluster.moverKey) }
    }

    private static func wheneverCopying(_ act: @escaping @Sendable (inout Cluster, ObjectKey) throws -> Void) -> Meddler
    {
        always(when: { $1.movers.contains { $0[path: ["metadata", "deletionTimestamp"]] == nil } && $1.isCopying }) {
            try act(&$0, $0.moverKey)
        }
    }

    @Test("a mover that somebody deletes is replaced by another one")
    func deleted() {
        var scene = Others()
        scene.migrate(Self.whileCopying { try $0.delete($1) })
        scene.expectSuccess(saying: ["was deleted by somebody", "the copy is repeated from where it stopped"])
    }

    @Test("movers that somebody deletes again and again are given up")
    func deletedAlways() {
        var scene = Others()
        scene.migrate(Self.wheneverCopying { try $0.delete($1) })
        scene.expectFailure(saying: [
            "3 movers have failed, the last one so: Pod shop/migrate-data-", "was deleted by somebody",
        ])
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("a mover that the kubelet evicts is replaced by another one")
    func evicted() {
        var scene = Others()
        scene.migrate(
            Self.whileCopying { cluster, mover in
                try cluster.update(mover, subresource: "status") {
                    $0[path: ["status", "phase"]] = "Failed"
                    $0[path: ["status", "reason"]] = "Evicted"
                    $0[path: ["status", "message"]] = "The node was low on resource: memory."
                }
            }
        )
        scene.expectSuccess(saying: ["failed: Evicted: The node was low on resource: memory."])
    }

    @Test(
        "the node of a mover goes away: no second mover is started, and the workload is given back",
        arguments: [Scenario.deployment, .hostPath]
    )
    func lostNode(scenario: Scenario) {
        var scene = Others(scenario.world(alone: true))
        // Else a pass would copy it before.
        scene.world.labelFiles()
        scene.addLargeFile()
        scene.migrate(
            once(when: { $1.isTransferring }) { cluster in
                cluster.loseNode(cluster.get(cluster.moverKey)?[path: ["spec", "nodeName"]]?.string ?? "")
            }
        )
        scene.expectFailure(saying: ["doesn't say that it has ended"])
        // What it takes a cluster to give a node up, and little more.
        #expect(scene.outage < .seconds(480))
        for node in ["node-1", "node-2"] { scene.world.cluster.recoverNode(node) }
        scene.wait(.seconds(60))
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("a node that comes back is waited for")
    func nodeComesBack() {
        var scene = Others()
        scene.world.labelFiles()
        scene.addLargeFile()
        let lost = once(when: { $1.isTransferring }) { cluster in
            cluster.loseNode(cluster.get(cluster.moverKey)?[path: ["spec", "nodeName"]]?.string ?? "")
        }
        let back = once(when: { $1.movers.contains { $0[path: ["metadata", "deletionTimestamp"]] != nil } }) {
            for node in ["node-1", "node-2"] { $0.recoverNode(node) }
        }
        scene.migrate { request, cluster in
            lost(request, &cluster)
            back(request, &cluster)
        }
        scene.expectSuccess(saying: ["or its node node-"])
    }

    private static let nosy = ObjectKey(.pods, "shop", "nosy")

    /// Somebody's pod, which mounts the staging claim while that is filled.
    private static func nosy(sleeping seconds: String) -> Meddler {
        whileCopying { cluster, _ in
            try cluster.create(
                .pods,
                namespace: "shop",
                [
                    "metadata": ["name": .string(nosy.name)],
                    "spec": [
                        "restartPolicy": "Never",
                        "containers": [
                            [
                                "name": "c", "image": "busybox:latest",
                                "command": ["sh", "-c", .string("touch /data/written && sleep \(seconds)")],
                                "volumeMounts": [["name": "data", "mountPath": "/data"]],
                            ]
                        ],
                        "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data-pvcmigrate"]]],
                    ],
                ]
            )
        }
    }

    @Test("a pod of somebody's that mounts the staging claim during the copy voids it, and it is repeated")
    func intruder() {
        var scene = Others()
        let comes = Self.nosy(sleeping: "infinity")
        let goes = once(when: { $1.get(Self.nosy)?[path: ["status", "phase"]] == "Running" }) {
            try $0.delete(Self.nosy)
        }
        scene.addLargeFile()
        scene.migrate { request, cluster in
            comes(request, &cluster)
            goes(request, &cluster)
        }
        scene.expectSuccess(saying: ["Pod shop/nosy uses the claims again; the copy is repeated"])
    }

    @Test("one that has ended would hold the staging claim for ever, and is told of while the unit can go back")
    func endedIntruder() {
        var scene = Others()
        scene.addLargeFile()
        scene.migrate(Self.nosy(sleeping: "1"))
        scene.expectFailure(saying: ["Pod shop/nosy uses the claims again, which has spoilt 3 copies"])
        scene.change { try $0.delete(Self.nosy) }
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("an image that can't be pulled is named, with the registry's words")
    func image() {
        var scene = Others()
        scene.world.cluster.behaviour.images.remove("eeacms/rsync:2.3")
        scene.migrate()
        scene.expectFailure(saying: ["ImagePullBackOff", "eeacms/rsync:2.3: not found", "--rsync-image"])
        scene.world.cluster.behaviour.images.insert("eeacms/rsync:2.3")
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("a container that others put into the mover, and that never ends, does not hold the migration up")
    func sidecar() {
        var scene = Others()
        scene.world.cluster.behaviour.injectedContainers = [
            ["name": "agent", "image": "busybox:latest", "command": ["sleep", "infinity"]]
        ]
        scene.migrate()
        scene.expectSuccess()
        #expect(scene.outage < .seconds(60))
    }

    @Test("Pod Security that refuses a mover is named, with what to do")
    func podSecurity() {
        var scene = Others()
        let namespace = ObjectKey(.namespaces, nil, "shop")
        let level = ["metadata", "labels", "pod-security.kubernetes.io/enforce"]
        scene.change { try $0.update(namespace) { $0[path: level] = "restricted" } }
        scene.migrate()
        scene.expectFailure(saying: [
            "violates PodSecurity \"restricted:latest\"",
            "kubectl label namespace shop --overwrite pod-security.kubernetes.io/enforce=baseline",
        ])
        scene.change { try $0.update(namespace) { $0[path: level] = "baseline" } }
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("rsync's end is told with its words and what to do", arguments: [11, 12, 23, 137])
    func exits(code: Int) {
        var scene = Others()
        scene.world.cluster.behaviour.rsyncExits = Array(repeating: code, count: 4)
        scene.migrate()
        scene.expectFailure(saying: [
            "rsync ended with exit code \(code), \(MoverExit(rsync: code).meaning)", "It says:",
        ])
        if code == 11 {
            scene.expectFailure(saying: ["No space left on device", "advice: the destination volume is full"])
        }
        scene.world.cluster.behaviour.rsyncExits = []
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("a pod of a stranger that has a mover's name is left alone")
    func stranger() {
        var scene = Others()
        let uid = scene.world.cluster.get(Others.claim)?[path: ["metadata", "uid"]]?.string ?? ""
        let pod = ObjectKey(.pods, "shop", Marks.moverName(of: "data", uid: uid))
        scene.change {
            try $0.create(
                .pods,
                namespace: "shop",
                [
                    "metadata": ["name": .string(pod.name)],
                    "spec": [
                        "containers": [["name": "c", "image": "busybox:latest", "command": ["sleep", "infinity"]]]
                    ],
                ]
            )
        }
        scene.migrate()
        scene.expectFailure(saying: ["has the name of a mover and is none; it is left untouched"])
        #expect(scene.world.cluster.get(pod)?[path: ["metadata", "deletionTimestamp"]] == nil)
        scene.change { try $0.delete(pod, gracePeriodSeconds: 0) }
        scene.migrate()
        scene.expectSuccess()
    }
}
