import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("The claim that is to take a claim's place")
struct SuccessorTests {
    /// A claim whose StatefulSet may not be deleted before it, where the cluster asks for the right to say so.
    private static func scene(_ permissions: [Permission]) throws -> PreflightScene {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.cluster.behaviour.enforcesOwnerReferences = true
        try scene.add(
            .statefulSets,
            [
                "metadata": ["name": "db"],
                "spec": [
                    "replicas": 0, "serviceName": "db", "selector": ["matchLabels": ["app": "db"]],
                    "template": [
                        "metadata": ["labels": ["app": "db"]],
                        "spec": ["containers": [["name": "main", "image": "busybox"]]],
                    ],
                ],
            ]
        )
        let uid = scene.cluster.get(ObjectKey(.statefulSets, "shop", "db"))?[path: ["metadata", "uid"]] ?? .null
        try scene.cluster.update(ObjectKey(.persistentVolumeClaims, "shop", "data")) {
            $0[path: ["metadata", "ownerReferences"]] = [
                [
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": uid, "controller": true,
                    "blockOwnerDeletion": true,
                ]
            ]
        }
        try scene.permit(permissions)
        return scene
    }

    @Test("is tried with its owners before anything stops, and what `pvmigrate rbac` grants suffices for it")
    func owners() throws {
        let options = try PreflightScene().options
        let needed = Permissions.needed(for: options)
        let refused = try Self.scene(needed).preflight()
        #expect(refused.rows.count == 1)
        #expect(refused.rows.first?.resource == "PersistentVolumeClaim shop/data")
        let message = refused.rows.first?.message ?? ""
        #expect(message.hasPrefix("the API server refuses the claim that is to take its place: "), "\(message)")
        #expect(message.contains("cannot set blockOwnerDeletion") && message.contains("pvmigrate rbac"))
        refused.expectNoTrace()
        let granted = Permissions.all.filter { $0.purpose == .owners }
        #expect(try Self.scene(needed + granted).preflight().table == [])
    }

    @Test("is not taken for refused where a quota is full only as long as its predecessor is there")
    func quota() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.add(
            .resourceQuotas,
            [
                "metadata": ["name": "small"],
                "spec": ["hard": ["fast.storageclass.storage.k8s.io/requests.storage": "1Gi"]],
            ]
        )
        // What the staging claim takes its successor has, as the two share a volume.
        #expect(try scene.preflight().table == [])
    }

    @Test("waits for whoever has set a finalizer: preflight names that")
    func finalizer() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.cluster.update(ObjectKey(.persistentVolumeClaims, "shop", "data")) {
            let known = $0[path: ["metadata", "finalizers"]]?.array ?? []
            $0[path: ["metadata", "finalizers"]] = .array(known + ["example.com/backup"])
        }
        let result = try scene.preflight()
        #expect(
            result.table == [
                "shop | PersistentVolumeClaim shop/data | it bears the finalizers example.com/backup, so that its deletion would "
                    + "wait for whoever set them; have them removed first"
            ]
        )
    }

    @Test("leaves behind what belongs to the old one: that, and snapshots of the old volume, are told of")
    func dependents() throws {
        var world = try StandInTests.world()
        let uid = world.sources[ObjectName("data", in: "shop")]?.uid ?? ""
        world.make(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": [
                    "name": "child",
                    "ownerReferences": [
                        ["apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data", "uid": .string(uid)]
                    ],
                ],
                "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Mi"]]],
            ]
        )
        world.make(
            .volumeSnapshots,
            "shop",
            ["metadata": ["name": "nightly"], "spec": ["source": ["persistentVolumeClaimName": "data"]]]
        )
        #expect(
            try world.discovery().notes.contains {
                $0.resource == "PersistentVolumeClaim shop/child"
                    && $0.message.hasPrefix("belongs to the claim shop/data")
            }
        )
        let run = world.migrate(
            work: { migrator, interruption in
                _ = await migrator.preflight(try await migrator.discover(), interruption: interruption)
                return Report()
            }
        )
        #expect(
            run.messages.contains {
                $0.contains(
                    "VolumeSnapshot shop/nightly: was taken of the old volume of shop/data, which is to be freed"
                )
            },
            "\(run.messages)"
        )
    }
}
