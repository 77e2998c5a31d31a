import Kubernetes
import Testing

@testable import ClusterSimulator

/// What keeps a pod waiting for its volumes, and what does not.
@Suite("Delays of the kubelet")
struct KubeletDelayTests {
    @Test("a node may not read a claim at once whose last pod has just left, and looks again 12 to 15 s later")
    func forbiddenClaim() throws {
        var world = try World()
        world.cluster.behaviour.nodeForbidsProbability = 1
        try world.claim("data")
        try world.pod("app", ["sleep", "3600"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(5))
        #expect(world.phase(.pods, "app") == "Running")
        try world.cluster.delete(World.key(.pods, "app"), gracePeriodSeconds: 0)
        try world.pod("mover", ["true"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(11))
        #expect(world.phase(.pods, "mover") == "Pending")
        #expect(
            world.events("mover") == [
                "FailedMount: Unable to attach or mount volumes: unmounted volumes=[v0], unattached volumes=[], failed to "
                    + "process volumes=[v0]: error processing PVC rec/data: failed to fetch PVC from API server: "
                    + "persistentvolumeclaims \"data\" is forbidden: User \"system:node:node-1\" cannot get resource "
                    + "\"persistentvolumeclaims\" in API group \"\" in the namespace \"rec\": no relationship found "
                    + "between node 'node-1' and this object"
            ]
        )
        world.pass(.seconds(8))
        #expect(world.phase(.pods, "mover") == "Succeeded")
        try world.pod("later", ["true"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(5))
        #expect(world.phase(.pods, "later") == "Succeeded")
    }

    @Test("a claim goes at once when its pod is removed without grace")
    func freedClaim() throws {
        var world = try World()
        try world.claim("data")
        try world.pod("mover", ["sleep", "3600"], ["data"])
        world.pass(.seconds(5))
        try world.cluster.delete(World.key(.pods, "mover"), gracePeriodSeconds: 0)
        try world.delete(.persistentVolumeClaims, "data")
        world.pass(.milliseconds(100))
        #expect(world.get(.persistentVolumeClaims, "data") == nil)
    }

    @Test("a driver takes its time to attach and to detach, and keeps a volume between two pods of a node")
    func slowAttachment() throws {
        var world = try World()
        world.cluster.behaviour.provisioners["disk.csi.example.com"]?.attachSeconds = 5...30
        try world.addClass("disk", provisioner: "disk.csi.example.com")
        try world.claim("data", class: "disk")
        world.pass(.seconds(3))
        try world.pod("app", ["sleep", "3600"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(4))
        let attachment = try #require(world.cluster.list(.volumeAttachments).first)
        #expect(attachment.at("status", "attached") == false)
        #expect(attachment.finalizers == ["external-attacher/disk-csi-example-com"])
        world.pass(.seconds(30))
        #expect(world.phase(.pods, "app") == "Running")
        #expect(world.events("app").contains { $0.hasPrefix("SuccessfulAttachVolume: ") })
        try world.cluster.delete(World.key(.pods, "app"), gracePeriodSeconds: 0)
        try world.pod("mover", ["true"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(5))
        #expect(world.phase(.pods, "mover") == "Succeeded")
        #expect(world.cluster.list(.volumeAttachments).map(\.uid) == [attachment.uid])
        world.pass(.seconds(1))
        #expect(world.cluster.list(.volumeAttachments).first?.isBeingDeleted == true)
        world.pass(.seconds(30))
        #expect(world.cluster.list(.volumeAttachments).isEmpty)
    }
}
