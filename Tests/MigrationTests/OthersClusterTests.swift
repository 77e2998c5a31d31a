import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Somebody changes what surrounds a migration")
struct OthersClusterTests {
    private static let finalizer = "example.com/backup"

    private static func hold(_ key: ObjectKey, _ cluster: inout Cluster) throws {
        try cluster.update(key) { object in
            let finalizers = object[path: ["metadata", "finalizers"]]?.array ?? []
            object[path: ["metadata", "finalizers"]] = .array(finalizers + [.string(finalizer)])
        }
    }

    private static func letGo(_ key: ObjectKey, _ cluster: inout Cluster) throws {
        try cluster.update(key) { object in
            let finalizers = object[path: ["metadata", "finalizers"]]?.array ?? []
            object[path: ["metadata", "finalizers"]] = .array(finalizers.filter { $0.string != finalizer })
        }
    }

    @Test("the destination class is deleted before the staging claims are made")
    func noClass() {
        var scene = Others()
        let key = ObjectKey(.storageClasses, nil, World.destination)
        let storageClass = scene.world.cluster.get(key) ?? .null
        scene.migrate(once(when: { $1.isProtected }) { try $0.delete(key) })
        scene.expectFailure(saying: ["waited 300 s", "storageclass.storage.k8s.io \"fast\" not found"])
        scene.change {
            try $0.create(
                .storageClasses,
                [
                    "metadata": ["name": "fast"], "provisioner": storageClass["provisioner"] ?? .null,
                    "reclaimPolicy": "Delete",
                ]
            )
        }
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("the destination class is deleted later: it is not needed any more")
    func noClassLater() {
        var scene = Others()
        scene.migrate(
            once(when: { $1.isCopying }) { try $0.delete(ObjectKey(.storageClasses, nil, World.destination)) }
        )
        scene.expectSuccess()
    }

    @Test("a quota lets one staging claim in and not the other: nothing is stopped")
    func quota() {
        var scene = Others(Scenario.twoClaimsInOnePod.world(alone: true))
        let quota = ObjectKey(.resourceQuotas, "shop", "small")
        scene.migrate(
            once(when: { $1.isProtected }) {
                try $0.create(
                    .resourceQuotas,
                    namespace: "shop",
                    ["metadata": ["name": "small"], "spec": ["hard": ["persistentvolumeclaims": "3"]]]
                )
            }
        )
        scene.expectFailure(saying: ["exceeded quota: small"])
        #expect(!scene.hasStopped)
        scene.change { try $0.delete(quota) }
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("a quota wants what a mover does not say: that is told, and what to do")
    func computeQuota() {
        var scene = Others()
        let quota = ObjectKey(.resourceQuotas, "shop", "compute")
        scene.migrate(
            once(when: { $1.isProtected }) {
                try $0.create(
                    .resourceQuotas,
                    namespace: "shop",
                    ["metadata": ["name": "compute"], "spec": ["hard": ["requests.cpu": "4"]]]
                )
            }
        )
        scene.expectFailure(saying: ["failed quota: compute: must specify requests.cpu", "LimitRange"])
        scene.change { try $0.delete(quota) }
        // Its pods were refused as well.
        scene.wait(.seconds(120))
        scene.migrate()
        scene.expectSuccess()
    }

    @Test(
        "a finalizer of somebody else would hold the source claim: it is named, and nothing is stopped until it is gone"
    )
    func sourceFinalizer() {
        var scene = Others()
        scene.change { try Self.hold(Others.claim, &$0) }
        scene.migrate()
        scene.expectFailure(saying: [Self.finalizer])
        #expect(!scene.hasStopped)
        scene.change { try Self.letGo(Others.claim, &$0) }
        scene.migrate()
        scene.expectSuccess()
    }

    @Test(
        "a finalizer comes onto a claim while it is copied: the unit goes back",
        arguments: [Others.claim, Others.staging]
    )
    func lateFinalizer(key: ObjectKey) {
        var scene = Others()
        scene.migrate(once(when: { $1.isCopying }) { try Self.hold(key, &$0) })
        scene.expectFailure(saying: [Self.finalizer])
        #expect(scene.hasStopped && scene.world.isOn(World.source))
        scene.change { try Self.letGo(key, &$0) }
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("a finalizer comes onto the source claim at the last moment: it is named, and a run finishes when it is gone")
    func lastFinalizer() {
        var scene = Others()
        scene.migrate(once(when: { $1.isSealed }) { try Self.hold(Others.claim, &$0) })
        scene.expectFailure(stopped: ["Deployment shop/web"], saying: [Self.finalizer])
        scene.change { try Self.letGo(Others.claim, &$0) }
        scene.migrate()
        scene.expectSuccess()
    }

    private static func deletesNamespace(when isMoment: @escaping @Sendable (Cluster) -> Bool) -> Meddler {
        once(when: { isMoment($1) }) { try $0.delete(ObjectKey(.namespaces, nil, "shop")) }
    }

    @Test("the namespace is deleted before anything stops: the server says so, and the volume has its policy again")
    func namespaceEarly() {
        var scene = Others()
        // Without a migration it would be no different.
        scene.forgiven = [Others.deletion, ": 1: no volume", ": 2: the source volume", ": 8: the source volume"]
        scene.migrate(Self.deletesNamespace { $0.isProtected })
        scene.expectFailure(saying: ["unable to create new content in namespace shop because it is being terminated"])
        #expect(!scene.hasStopped)
    }

    @Test("the namespace is deleted during the copy: the data is kept, and the volume is named")
    func namespace() {
        var scene = Others()
        scene.forgiven = [Others.deletion]
        let volume = scene.world.cluster.get(Others.claim)?[path: ["spec", "volumeName"]]?.string ?? ""
        scene.migrate(Self.deletesNamespace { $0.isCopying })
        scene.expectFailure(saying: ["Its data is complete on the volume \(volume), which is kept"])
    }

    @Test("the namespace is deleted after the seal: when it is there again, a run gives the claim back its name")
    func namespaceLate() {
        var scene = Others()
        // Everything else of the namespace is gone.
        scene.forgiven = [Others.deletion, "Deployment web has not its scale", ": 8: the source volume"]
        scene.migrate(Self.deletesNamespace { $0.isSealed })
        scene.expectFailure(saying: ["namespaces \"shop\" not found", "Its data is complete on the volume"])
        scene.change { try $0.create(.namespaces, ["metadata": ["name": "shop"]]) }
        scene.migrate()
        scene.expectSuccess()
    }
}
