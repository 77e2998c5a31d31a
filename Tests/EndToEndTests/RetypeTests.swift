import Kubernetes
import Testing

/// The same storage under another class; where the cluster's two classes are not of one CSI driver, this ends without a
/// verdict.
struct RetypeTests {
    /// In the sandbox volumes of this driver must be attached.
    private static let storage = Scene.Class(provisioner: TestCluster.isSandbox ? "disk.csi.example.com" : nil)

    @Test("a claim gets another class and its old one back without a copy, and its storage is freed once")
    func thereAndBack() async throws {
        try await Scene.with(source: Self.storage, destination: Self.storage) { scene in
            try await scene.createClaim("orders")
            let deployment = try await scene.deploy("shop", claims: ["/data": "orders"])
            let before = try await scene.contents(of: deployment)
            let old = try await scene.volume(of: "orders")
            guard let storage = old.spec.csi else { try Test.cancel("the volumes are not a CSI driver's") }
            let run = try await scene.migrate("--retype")
            if run.exitCode == 2, !TestCluster.isSandbox {
                try Test.cancel("one of the two classes cannot have the other's volumes:\n\(run.output)")
            }
            scene.expect(run, exit: 0)
            #expect(run.output.contains("retyped") && run.errors.contains("did not have to travel"))
            try await scene.expectMigrated("orders")
            #expect(try await scene.volume(of: "orders").spec.csi == storage)
            #expect(try await scene.client.find(PersistentVolume.self, old.name) == nil)
            try await scene.expectRestarted(deployment, on: before)

            let since = try await scene.contents(of: deployment)
            let classes = ["--source-sc", scene.destinationClass, "--dest-sc", scene.sourceClass]
            scene.expect(try await scene.run(classes + ["--retype"]), exit: 0)
            try await scene.expectBound("orders", to: scene.sourceClass)
            try await scene.expectRestarted(deployment, on: since)
            try await scene.expectNothingLeft()

            let last = try await scene.volume(of: "orders")
            #expect(last.spec.csi == storage && last.reclaimPolicy == .delete)
            let workload = try await scene.client.get(.deployments, ObjectName("shop", in: scene.namespace))
            let uid = workload[path: ["metadata", "uid"]]?.string ?? ""
            try await scene.client.delete(.deployments, ObjectName("shop", in: scene.namespace), uid: uid)
            let claim = try await scene.claim("orders")
            try await scene.client.delete(.claims, claim.name, uid: claim.metadata.uid)
            try await scene.waitUntilGone(last)
        }
    }
}
