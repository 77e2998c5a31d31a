import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("Trying the destination class")
struct PreflightProvisioningTests {
    @Test("an access mode that the class cannot make is named in the driver's words")
    func accessMode() throws {
        var scene = try PreflightScene()
        scene.cluster.behaviour.provisioners["network.csi.example.com"]?.accessModes = ["ReadWriteOnce"]
        try scene.addClaim("data")
        try scene.addClaim("shared", modes: ["ReadWriteMany"])
        try scene.addClaim("shared-too", modes: ["ReadWriteMany"])
        let result = try scene.preflight()
        #expect(
            result.table == [
                "shop | StorageClass fast | a trial of ReadWriteMany, for shared and 1 more, failed: its pod did not run "
                    + "within 60 s: ProvisioningFailed: failed to provision volume with StorageClass \"fast\": rpc error: "
                    + "code = InvalidArgument desc = Volume capabilities not supported: access mode ReadWriteMany"
            ]
        )
        result.expectNoTrace()
    }

    @Test("a class whose provisioner does not answer is named with it")
    func noProvisioner() throws {
        var scene = try PreflightScene(
            destination: PreflightScene.storageClass("fast", provisioner: "example.com/none")
        )
        try scene.addClaim("data")
        scene.options.podReadyTimeout = .seconds(7)
        let result = try scene.preflight()
        #expect(result.rows.count == 1)
        #expect(
            result.table.first?.hasPrefix(
                "shop | StorageClass fast | a trial of ReadWriteOnce, for data, failed: its pod did not run within 7.0 s: "
                    + "ExternalProvisioning: Waiting for a volume to be created either by the external provisioner "
                    + "'example.com/none' or manually"
            ) == true
        )
        result.expectNoTrace()
    }

    @Test("an image that cannot be pulled is named with the reason of the pull")
    func noImage() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.options.rsyncImage = "registry.invalid/none:1"
        let result = try scene.preflight()
        #expect(result.rows.count == 1)
        #expect(result.rows.first?.message.contains("failed to resolve reference \"registry.invalid/none:1\"") == true)
        result.expectNoTrace()
    }

    @Test("an image that is still being pulled is named, and not what the scheduler said before")
    func slowImage() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.options.rsyncImage = "registry.invalid/none:1"
        scene.options.podReadyTimeout = .seconds(6)
        let result = try scene.preflight()
        #expect(
            result.rows.map(\.message) == [
                "a trial of ReadWriteOnce, for data, failed: its pod did not run within 6.0 s: Pulling: Pulling image "
                    + "\"registry.invalid/none:1\""
            ]
        )
        result.expectNoTrace()
    }

    @Test("an image without rsync is named with the container's words")
    func noRsync() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        // The model's images all have rsync: this one's container waits until the kubelet is said to have given up.
        scene.options.rsyncImage = "registry.invalid/none:1"
        let result = try scene.preflight { simulator, client, _ in
            let pod = try await client.wait(for: Pod.self, in: "shop", limit: .seconds(30), what: "the pod") {
                $0.objects.values.first { $0.state(of: Trial.container)?.waiting?.reason == "ErrImagePull" }
            }
            try await simulator.change { cluster in
                _ = try cluster.update(ObjectKey(.pods, "shop", pod.metadata.name), subresource: "status") {
                    $0[path: ["status", "phase"]] = "Failed"
                    $0[path: ["status", "containerStatuses"]] = [
                        [
                            "name": .string(Trial.container), "ready": false, "restartCount": 0, "image": "busybox",
                            "imageID": "",
                            "state": [
                                "terminated": [
                                    "exitCode": 128, "reason": "StartError",
                                    "message": "exec: \"rsync\": executable file not found in $PATH: unknown",
                                ]
                            ],
                        ]
                    ]
                }
            }
        }
        #expect(
            result.rows.map(\.message) == [
                "a trial of ReadWriteOnce, for data, failed: rsync ended with exit code 128, the container could not be "
                    + "started; is rsync in the image?: exec: \"rsync\": executable file not found in $PATH: unknown"
            ]
        )
        result.expectNoTrace()
    }

    @Test("a flag that rsync does not know is found before anything stops")
    func unknownFlag() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.options.rsyncFlags = ["--bwlimit=10m", "--bogus"]
        let result = try scene.preflight()
        #expect(result.rows.count == 1)
        #expect(
            result.rows.first?.message.hasPrefix(
                "a trial of ReadWriteOnce, for data, failed: rsync ended with exit code 1, syntax or usage error; check "
                    + "--rsync-flags: rsync: --bogus: unknown option"
            ) == true
        )
        result.expectNoTrace()
    }

    @Test("a quota with room for just one staging claim is enough")
    func tightQuota() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        try scene.add(
            .resourceQuotas,
            ["metadata": ["name": "q"], "spec": ["hard": ["persistentvolumeclaims": "2", "requests.storage": "2Gi"]]]
        )
        // The dry run comes late: the trial must not take the room before it.
        let isFirst = Mutex(true)
        scene.interceptor = { request, _ in
            guard request.target.contains("/persistentvolumeclaims?"), request.target.contains("dryRun=All") else {
                return nil
            }
            let waits = isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst
            }
            return waits ? .answer(Response(status: 429, headers: [("Retry-After", "2")])) : nil
        }
        let result = try scene.preflight()
        #expect(result.table == [])
        result.expectNoTrace()
    }

    @Test("pods that fit on no node are named in the scheduler's words")
    func unschedulable() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        for node in ["node-1", "node-2"] {
            try scene.cluster.update(ObjectKey(.nodes, nil, node)) { $0[path: ["spec", "unschedulable"]] = true }
        }
        let result = try scene.preflight()
        #expect(result.rows.count == 1)
        #expect(
            result.rows.first?.message.contains("Unschedulable: 0/2 nodes are available: 2 node(s) were unschedulable")
                == true
        )
        result.expectNoTrace()
    }

    @Test("a class that waits for the first consumer gets one")
    func waitsForFirstConsumer() throws {
        var storageClass = PreflightScene.storageClass("fast", provisioner: "local.csi.example.com")
        storageClass["volumeBindingMode"] = "WaitForFirstConsumer"
        var scene = try PreflightScene(destination: storageClass)
        try scene.addClaim("data")
        let result = try scene.preflight()
        #expect(result.table == [])
        result.expectNoTrace()
    }

    @Test("on a class that retains its volumes nothing is left either")
    func retains() throws {
        var scene = try PreflightScene(
            destination: PreflightScene.storageClass("fast", provisioner: "network.csi.example.com", policy: "Retain")
        )
        try scene.addClaim("data")
        let result = try scene.preflight()
        #expect(result.table == [])
        result.expectNoTrace()
    }

    @Test("a volume that a person made beforehand is free again afterwards")
    func staticVolume() throws {
        var scene = try PreflightScene(
            destination: PreflightScene.storageClass("fast", provisioner: "kubernetes.io/no-provisioner")
        )
        try scene.addClaim("data")
        try scene.add(
            .persistentVolumes,
            [
                "metadata": ["name": "by-hand"],
                "spec": [
                    "capacity": ["storage": "2Gi"], "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                    "persistentVolumeReclaimPolicy": "Retain", "nfs": ["server": "nfs", "path": "/x"],
                ],
            ]
        )
        let result = try scene.preflight()
        #expect(result.table == [])
        let volume = result.after.get(ObjectKey(.persistentVolumes, nil, "by-hand"))
        #expect(volume?[path: ["status", "phase"]] == "Available")
        #expect(volume?[path: ["spec"]] == result.before.get(ObjectKey(.persistentVolumes, nil, "by-hand"))?["spec"])
    }

    @Test("a volume that does not go in time is named, with where its storage is")
    func stuckVolume() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.options.deleteVolumeTimeout = .seconds(20)
        let result = try scene.preflight { simulator, client, _ in
            try await client.wait(for: PersistentVolume.self, in: nil, limit: .seconds(30), what: "the volume") {
                $0.objects.values.contains { $0.spec.storageClassName == "fast" } ? () : nil
            }
            await simulator.change { $0.behaviour.provisioners = [:] }
        }
        let volume = try #require(
            result.after.list(.persistentVolumes).first { $0[path: ["spec", "storageClassName"]] == "fast" }
        )
        let name = try #require(volume[path: ["metadata", "name"]]?.string)
        let handle = try #require(volume[path: ["spec", "csi", "volumeHandle"]]?.string)
        #expect(
            result.table == [
                "shop | PersistentVolume \(name) | preflight could not clean up: waited 20 s for the volume of a trial to be "
                    + "deleted; it is Released. Delete it and its storage, network.csi.example.com \(handle), by hand"
            ]
        )
    }

    @Test("an interruption while a trial waits leaves nothing behind, and says so", arguments: [0, 100, 900, 3000])
    func interrupted(milliseconds: Int) throws {
        var scene = try PreflightScene(
            destination: PreflightScene.storageClass("fast", provisioner: "network.csi.example.com", policy: "Retain")
        )
        try scene.addClaim("data")
        // Long enough that the trial is under way at each of the moments.
        scene.options.rsyncImage = "registry.invalid/none:1"
        let result = try scene.preflight { _, client, interruption in
            try await client.wait(for: Pod.self, in: "shop", limit: .seconds(30), what: "the pod") {
                $0.objects.isEmpty ? nil : ()
            }
            try await client.time.sleep(client.time.now() + .milliseconds(milliseconds))
            interruption.request()
        }
        #expect(result.table == [" | preflight | was interrupted"])
        result.expectNoTrace()
    }

    @Test("an interruption before the trials keeps them from being begun")
    func interruptedBefore() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        let result = try scene.preflight { _, _, interruption in interruption.request() }
        #expect(result.table == [" | preflight | was interrupted"])
        #expect(result.difference(.events) == [])
        result.expectNoTrace()
    }

    @Test(
        "an answer that never came doesn't leave a claim or pod behind",
        arguments: ["persistentvolumeclaims", "pods"]
    )
    func lostAnswer(plural: String) throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.interceptor = { request, _ in
            let isCreation = request.method == .post && request.target.contains("/\(plural)?")
            return isCreation && !request.target.contains("dryRun") ? .cutAfter : nil
        }
        let result = try scene.preflight()
        #expect(
            result.rows.map(\.message) == [
                "a trial of ReadWriteOnce, for data, failed: connection reset by peer"
            ]
        )
        result.expectNoTrace()
    }

    @Test("what bears a trial's marks and is not of this preflight is left as it is, whoever wrote them")
    func leftovers() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        let marks: [String: JSON] = [Marks.kind: "preflight"]
        try scene.addClaim("pf-pvc-old", class: "fast", annotations: marks)
        var pod = PreflightScene.pod("pf-pvc-old", claim: "pf-pvc-old")
        pod[path: ["metadata", "annotations"]] = .object(marks)
        try scene.add(.pods, pod)
        scene.pass(.seconds(601))
        let result = try scene.preflight()
        #expect(result.table == [])
        result.expectNoTrace()
    }
}
