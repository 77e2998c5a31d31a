import Kubernetes
import Testing

@testable import ClusterSimulator

@Suite("Volume controllers")
struct ControllerVolumeTests {
    @Test(
        "a claim of an Immediate class gets a volume, and its storage goes with it",
        arguments: 1...20 as ClosedRange<UInt64>
    )
    func provision(seed: UInt64) throws {
        var world = try World(seed: seed)
        try world.claim("data")
        world.pass(.seconds(1))
        #expect(world.phase(.persistentVolumeClaims, "data") == "Bound")
        let volume = world.volume("data")
        let storage = try #require(world.cluster.storage(ofVolumeNamed: volume))
        world.cluster.write(["a": File("x")], toVolumeNamed: volume)
        try world.delete(.persistentVolumeClaims, "data")
        world.pass(.seconds(20))
        #expect(world.get(.persistentVolumes, volume) == nil)
        #expect(world.cluster.content(of: storage) == nil)
    }

    @Test("a volume that is kept stays Released with its content, until its policy becomes Delete")
    func retain() throws {
        var world = try World()
        try world.claim("data")
        world.pass(.seconds(1))
        let volume = world.volume("data")
        world.cluster.write(["a": File("x")], toVolumeNamed: volume)
        try world.change(.persistentVolumes, volume) { $0.put("Retain", "spec", "persistentVolumeReclaimPolicy") }
        try world.delete(.persistentVolumeClaims, "data")
        world.pass(.seconds(60))
        #expect(world.phase(.persistentVolumes, volume) == "Released")
        #expect(world.cluster.content(ofVolumeNamed: volume)?["a"]?.content == "x")
        try world.change(.persistentVolumes, volume) { $0.put("Delete", "spec", "persistentVolumeReclaimPolicy") }
        world.pass(.seconds(20))
        #expect(world.get(.persistentVolumes, volume) == nil)
    }

    /// Transcript csi_retype_without_copy.
    @Test("the provisioner of a driver holds a bound volume with Delete, and lets go of one with Retain")
    func provisionerFinalizer() throws {
        let finalizer = "external-provisioner.volume.kubernetes.io/finalizer"
        var world = try World()
        try world.cluster.create(
            .storageClasses,
            ["metadata": ["name": "csi"], "provisioner": "network.csi.example.com", "reclaimPolicy": "Delete"]
        )
        try world.claim("data", class: "csi")
        world.pass(.seconds(3))
        let volume = world.volume("data")
        func isHeld() -> Bool { world.get(.persistentVolumes, volume)?.finalizers.contains(finalizer) == true }
        #expect(isHeld())
        try world.change(.persistentVolumes, volume) { $0.put("Retain", "spec", "persistentVolumeReclaimPolicy") }
        #expect(isHeld())
        world.pass(.milliseconds(100))
        #expect(!isHeld())
        try world.change(.persistentVolumes, volume) { $0.put("Delete", "spec", "persistentVolumeReclaimPolicy") }
        world.pass(.milliseconds(100))
        #expect(isHeld())
    }

    @Test("a reserved volume is only for the claim of that name")
    func reserved() throws {
        var world = try World()
        try world.claim("staging", class: "dst-sc")
        world.pass(.seconds(1))
        let volume = try world.reserve("staging", for: "data")
        #expect(world.phase(.persistentVolumes, volume) == "Available")
        try world.claim("thief", class: "dst-sc", volume: volume)
        world.pass(.seconds(30))
        #expect(world.phase(.persistentVolumeClaims, "thief") == "Pending")
        #expect(
            world.events("thief").contains("FailedBinding: volume \"\(volume)\" already bound to a different claim.")
        )
        try world.claim("data", class: "dst-sc", volume: volume)
        world.pass(.seconds(1))
        #expect(world.phase(.persistentVolumeClaims, "data") == "Bound")
        // Bound by name, so the binder does not say that it chose.
        #expect(world.get(.persistentVolumeClaims, "data")?.annotations == ["pv.kubernetes.io/bind-completed": "yes"])
    }

    @Test("a volume without a claimRef is taken by whoever comes")
    func cleared() throws {
        var world = try World()
        try world.claim("old", class: "dst-sc")
        world.pass(.seconds(1))
        let volume = try world.reserve("old", for: "data")
        try world.change(.persistentVolumes, volume) { $0.put(nil, "spec", "claimRef") }
        world.pass(.seconds(1))
        try world.claim("stranger", class: "dst-sc")
        world.pass(.seconds(1))
        #expect(world.volume("stranger") == volume)
    }

    @Test("the claim's worker loses the race: the volume is Bound, the claim Pending until the resync")
    func lostRace() throws {
        var world = try World()
        world.cluster.behaviour.lostRaceProbability = 1
        try world.claim("staging", class: "dst-sc")
        world.pass(.seconds(1))
        let volume = try world.reserve("staging", for: "data")
        // Just after a resync, so that the next one is far.
        world.cluster.advance(to: .seconds(16))
        try world.claim("data", class: "dst-sc", volume: volume)
        world.pass(.seconds(10))
        #expect(world.phase(.persistentVolumes, volume) == "Bound")
        #expect(world.phase(.persistentVolumeClaims, "data") == "Pending")
        var woken = world
        try woken.change(.persistentVolumeClaims, "data") { $0.put("1", "metadata", "annotations", "example/wake") }
        woken.pass(.milliseconds(100))
        #expect(woken.phase(.persistentVolumeClaims, "data") == "Bound")
        world.pass(.seconds(5))
        #expect(world.phase(.persistentVolumeClaims, "data") == "Bound")
    }

    @Test("the race is lost as often as it is set to be, and no other claim is touched by it")
    func lostRaceProbability() throws {
        var pending = 0
        for seed in 1...100 as ClosedRange<UInt64> {
            var world = try World(seed: seed)
            world.cluster.behaviour.lostRaceProbability = 0.3
            try world.claim("staging", class: "dst-sc")
            world.pass(.seconds(1))
            #expect(world.phase(.persistentVolumeClaims, "staging") == "Bound")
            let volume = try world.reserve("staging", for: "data")
            try world.claim("data", class: "dst-sc", volume: volume)
            world.pass(.seconds(1))
            if world.phase(.persistentVolumeClaims, "data") == "Pending" { pending += 1 }
        }
        #expect((15...45).contains(pending))
    }

    @Test("a claim whose volume goes away is Lost")
    func lost() throws {
        var world = try World()
        try world.claim("data")
        world.pass(.seconds(1))
        let volume = world.volume("data")
        try world.delete(.persistentVolumes, volume)
        world.pass(.seconds(1))
        #expect(world.phase(.persistentVolumeClaims, "data") == "Bound")
        try world.change(.persistentVolumes, volume) { $0.put(nil, "metadata", "finalizers") }
        world.pass(.seconds(1))
        #expect(world.get(.persistentVolumeClaims, "data")?["status"] == ["phase": "Lost"])
    }

    @Test("a claim that a pod names is kept as long as the pod's object exists")
    func claimInUse() throws {
        var world = try World()
        try world.claim("data")
        try world.pod("user", ["true"], ["data"])
        world.pass(.seconds(10))
        #expect(world.phase(.pods, "user") == "Succeeded")
        try world.delete(.persistentVolumeClaims, "data")
        world.pass(.seconds(10))
        #expect(world.get(.persistentVolumeClaims, "data")?.isBeingDeleted == true)
        try world.delete(.pods, "user")
        world.pass(.seconds(1))
        #expect(world.get(.persistentVolumeClaims, "data") == nil)
    }

    @Test("a claim that waits for its first consumer is provisioned when a pod comes, on the pod's node")
    func waitForFirstConsumer() throws {
        var world = try World()
        try world.addClass("local", provisioner: "local.csi.example.com", mode: "WaitForFirstConsumer")
        try world.claim("late", class: "local")
        world.pass(.seconds(30))
        #expect(world.phase(.persistentVolumeClaims, "late") == "Pending")
        #expect(
            world.events("late") == ["WaitForFirstConsumer: waiting for first consumer to be created before binding"]
        )
        try world.pod("user", ["sleep", "3600"], ["late"]) {
            $0.put(["kubernetes.io/hostname": "node-2"], "spec", "nodeSelector")
        }
        world.pass(.seconds(10))
        #expect(world.phase(.pods, "user") == "Running")
        let affinity = world.get(.persistentVolumes, world.volume("late"))?.at("spec", "nodeAffinity", "required")
        #expect(affinity?.list("nodeSelectorTerms").first?.list("matchExpressions").first?.list("values") == ["node-2"])
        try world.delete(.pods, "user")
        world.pass(.seconds(10))
        try world.pod("elsewhere", ["true"], ["late"]) {
            $0.put(["kubernetes.io/hostname": "node-1"], "spec", "nodeSelector")
        }
        world.pass(.seconds(10))
        #expect(
            world.get(.pods, "elsewhere")?.condition("PodScheduled")?.text("message")
                == "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had volume "
                + "node affinity conflict. preemption: 0/2 nodes are available: 2 Preemption is not helpful for "
                + "scheduling."
        )
    }

    @Test("a claim whose class nobody provisions, or is not there, stays Pending and says why")
    func unprovisionable() throws {
        var world = try World()
        try world.addClass("broken", provisioner: "example.com/none")
        try world.claim("stuck", class: "broken")
        try world.claim("missing", class: "nosuch")
        try world.pod("user", ["true"], ["stuck"])
        world.pass(.seconds(30))
        #expect(world.phase(.persistentVolumeClaims, "stuck") == "Pending")
        #expect(
            world.events("stuck").first?.hasPrefix("ExternalProvisioning: Waiting for a volume to be created") == true
        )
        #expect(world.events("missing") == ["ProvisioningFailed: storageclass.storage.k8s.io \"nosuch\" not found"])
        #expect(world.events("user").first?.contains("pod has unbound immediate PersistentVolumeClaims") == true)
        try world.delete(.persistentVolumeClaims, "stuck")
        world.pass(.seconds(5))
        #expect(world.get(.persistentVolumeClaims, "stuck") == nil)
    }

    @Test("a volume that attaches to one node keeps a pod on another one waiting until it is free")
    func multiAttach() throws {
        var world = try World()
        try world.addClass("disk", provisioner: "disk.csi.example.com")
        try world.claim("data", class: "disk")
        world.pass(.seconds(5))
        try world.pod("first", ["sleep", "3600"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(5))
        #expect(world.phase(.pods, "first") == "Running")
        try world.pod("second", ["sleep", "3600"], ["data"]) { $0.put("node-2", "spec", "nodeName") }
        world.pass(.seconds(20))
        #expect(world.phase(.pods, "second") == "Pending")
        #expect(world.events("second").contains { $0.hasPrefix("FailedAttachVolume: Multi-Attach error") })
        try world.delete(.pods, "first")
        world.pass(.seconds(20))
        #expect(world.phase(.pods, "second") == "Running")
        let nodes = world.cluster.list(.volumeAttachments).map { $0.text("spec", "nodeName") }
        #expect(nodes == ["node-2"])
    }

    @Test("storage of a driver beside the cluster is freed with its claim")
    func externalReclaim() throws {
        var world = try World()
        try world.addClass("net", provisioner: "network.csi.example.com")
        try world.claim("data", class: "net", mode: "ReadWriteMany")
        world.pass(.seconds(5))
        let volume = world.volume("data")
        let storage = try #require(world.cluster.storage(ofVolumeNamed: volume))
        world.cluster.write(["a": File("x")], toVolumeNamed: volume)
        #expect(world.cluster.content(of: storage)?.count == 1)
        try world.delete(.persistentVolumeClaims, "data")
        world.pass(.seconds(10))
        #expect(world.get(.persistentVolumes, volume) == nil)
        #expect(world.cluster.content(of: storage) == nil)
    }

    @Test("a claim of one pod only keeps a second pod unscheduled")
    func readWriteOncePod() throws {
        var world = try World()
        try world.claim("data", mode: "ReadWriteOncePod")
        try world.pod("first", ["sleep", "3600"], ["data"])
        world.pass(.seconds(5))
        try world.pod("second", ["true"], ["data"])
        world.pass(.seconds(5))
        #expect(world.events("second").first?.contains("ReadWriteOncePod access mode") == true)
        try world.delete(.pods, "first")
        world.pass(.seconds(10))
        #expect(world.phase(.pods, "second") == "Succeeded")
    }

    @Test("a claim that asks for more gets it where its class allows that")
    func growth() throws {
        var world = try World()
        try world.change(.storageClasses, "src-sc") { $0["allowVolumeExpansion"] = true }
        try world.claim("data")
        world.pass(.seconds(1))
        try world.change(.persistentVolumeClaims, "data") { $0.put("32Mi", "spec", "resources", "requests", "storage") }
        world.pass(.seconds(3))
        #expect(world.get(.persistentVolumeClaims, "data")?.text("status", "capacity", "storage") == "32Mi")
        #expect(world.get(.persistentVolumes, world.volume("data"))?.text("spec", "capacity", "storage") == "32Mi")
    }
}
