import Kubernetes
import Testing

/// Claims for devices; where the cluster's storage makes none, these tests end without a verdict.
struct BlockTests {
    /// The sandbox's own default storage makes none, as the one that it is modelled on.
    private static let storage = Scene.Class(provisioner: TestCluster.isSandbox ? "network.csi.example.com" : nil)

    @Test("a block volume moves with every byte, and back again")
    func moves() async throws {
        try await Scene.with(source: Self.storage, destination: Self.storage) { scene in
            var claim = Scene.claim(class: scene.sourceClass)
            claim[path: ["spec", "volumeMode"]] = "Block"
            claim[path: ["spec", "resources", "requests", "storage"]] = "64Mi"
            try await scene.create(.claims, "disk", claim)
            let before = try await scene.sum(of: "disk", writing: true)
            let run = try await scene.migrate("--keep-source")
            scene.expect(run, exit: 0)
            #expect(run.errors.contains("copied: a device of"))
            try await scene.expectMigrated("disk")
            #expect(try await scene.claim("disk").volumeMode == .block)
            #expect(try await scene.sum(of: "disk") == before)
            scene.expect(try await scene.rollback(), exit: 0)
            try await scene.expectBound("disk", to: scene.sourceClass)
            #expect(try await scene.sum(of: "disk") == before)
        }
    }
}

extension Scene {
    /// The checksum of the first 64 MiB of a claim's device.
    fileprivate func sum(of claim: String, writing: Bool = false) async throws -> String {
        let name = "visitor-" + String(UInt32.random(in: .min ... .max), radix: 36)
        let write = "dd if=/dev/urandom of=/disk bs=1048576 seek=9 count=5 conv=notrunc,fsync 2>/dev/null; "
        let script = (writing ? write : "") + "head -c 67108864 /disk | sha256sum"
        let container: JSON = [
            "name": "main", "image": .string(cluster.image), "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", .string(script)],
            "volumeDevices": [["name": "disk", "devicePath": "/disk"]],
        ]
        try await create(
            .pods,
            name,
            [
                "spec": [
                    "restartPolicy": "Never", "containers": [container],
                    "volumes": [["name": "disk", "persistentVolumeClaim": ["claimName": .string(claim)]]],
                ]
            ]
        )
        do {
            let pod = try await client.wait(
                for: Pod.self,
                in: namespace,
                named: name,
                limit: writing && cluster.sandbox == nil ? .seconds(60) : Self.limit,
                what: "Pod \(name) to end"
            ) { pods in pods.object(named: name).flatMap { $0.isFinished ? $0 : nil } }
            let log = try await client.log(of: pod.name, container: "main", tail: 10)
            try await client.delete(.pods, pod.name, uid: pod.metadata.uid)
            try await waitUntilGone(pod)
            #expect(pod.phase == .succeeded, "\(log)")
            return log
        } catch let timeout as WaitTimeout where writing && cluster.sandbox == nil {
            try Test.cancel("this cluster's storage makes no block volumes: \(timeout)")
        }
    }
}
