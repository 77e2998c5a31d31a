import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Somebody takes a name")
struct OthersNamesTests {
    private static func claim(_ name: String, of storageClass: String, volume: String? = nil) -> JSON {
        var spec: JSON = [
            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(storageClass),
            "resources": ["requests": ["storage": "16Mi"]],
        ]
        spec["volumeName"] = volume.map(JSON.string)
        return ["metadata": ["name": .string(name)], "spec": spec]
    }

    /// Somebody, such as a StatefulSet's controller, who misses the claim and makes it anew.
    private static func recreates() -> Meddler {
        once(when: { $1.get(Others.claim) == nil }) {
            try $0.create(.persistentVolumeClaims, namespace: "shop", claim("data", of: World.source))
        }
    }

    @Test("the claim's own while it is being swapped, with a claim that is empty: that one makes way")
    func emptyClaim() {
        var scene = Others()
        scene.migrate(Self.recreates())
        scene.expectSuccess(saying: ["somebody made a new claim of this name, which was never bound; it is deleted"])
    }

    @Test("the claim's own, with a claim that is bound before it is seen: it is left alone until a person deletes it")
    func boundClaim() {
        var scene = Others()
        let provisioner = "network.csi.example.com"
        let hurry = once(when: { $1.isSealed }) {
            $0.behaviour.provisioners[provisioner]?.delay = .zero
        }
        let usurp = Self.recreates()
        scene.migrate { request, cluster in
            hurry(request, &cluster)
            usurp(request, &cluster)
        }
        scene.expectFailure(stopped: ["Deployment shop/web"], saying: ["somebody made a new claim of this name"])
        scene.migrate()
        scene.expectFailure(stopped: ["Deployment shop/web"], saying: ["somebody made a new claim of this name"])
        scene.change { try $0.delete(Others.claim) }
        scene.wait(.seconds(10))
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("the claims' own, by the StatefulSet's controller, since somebody starts the set in the middle of the swap")
    func statefulSet() {
        var scene = Others(Scenario.statefulSet.world(alone: true))
        let set = ObjectKey(.statefulSets, "shop", "db")
        scene.migrate(
            once(when: { $1.get(ObjectKey(.persistentVolumeClaims, "shop", "data-db-0")) == nil }) {
                try $0.scale(set, to: 3)
            }
        )
        // The old volumes are kept: nobody can tell whether the set's pods have written to them.
        scene.expectKept(saying: ["which was never bound; it is deleted", "which is kept"])
    }

    @Test(
        "the staging claim's, before or during the run: it is never touched, and another name is taken",
        arguments: [true, false]
    )
    func stagingName(before: Bool) {
        var scene = Others()
        let take: @Sendable (inout Cluster) throws -> Void = {
            try $0.create(
                .persistentVolumeClaims,
                namespace: "shop",
                Self.claim("data-pvcmigrate", of: World.destination)
            )
        }
        if before {
            scene.change(take)
            scene.wait(.seconds(10))
        }
        let before = scene.world.cluster.get(Others.staging)
        scene.migrate(once(when: { before == nil && $1.isProtected }, take))
        scene.expectSuccess(saying: ["staging claim data-pvcmigrate-2 of"])
        #expect(scene.world.cluster.get(Others.staging) != nil)
        #expect(before == nil || scene.world.cluster.get(Others.staging) == before)
    }

    @Test("of our volume, with a waiting claim that names it: it never gets it")
    func volumeName() {
        var scene = Others()
        let thief = ObjectKey(.persistentVolumeClaims, "shop", "thief")
        scene.migrate(
            once(when: { $1.isSealed }) {
                let volume = $0.get(Others.staging)?[path: ["spec", "volumeName"]]?.string
                try $0.create(
                    .persistentVolumeClaims,
                    namespace: "shop",
                    Self.claim("thief", of: World.destination, volume: volume)
                )
            }
        )
        scene.expectSuccess()
        #expect(scene.world.cluster.get(thief)?.phase == "Pending")
    }
}
