import Kubernetes

/// The order, the sleeps and the polls of the Go tool of the same name (version 0.12.3), with nothing of its own.
///
/// It stands in for that tool, so that both can be measured on the same cluster. Where that one reads an object and puts
/// it back whole, this sends a patch that is refused like the other where the object has changed: as many requests, with
/// the same waits. Its errors end the run, since nothing goes wrong in a benchmark.
struct GoSchedule {
    var client: Client

    private let image = "eeacms/rsync:2.3"
    private let scale = "kurl.sh/pvcmigrate-scale"
    private let mark = "kurl.sh/pvcmigrate"

    func run() async throws {
        try await preflight()
        let claims = try await stage()
        // Everything stops before the first copy and starts after the last swap.
        try await scaleDown(claims)
        for claim in claims { try await copy(claim) }
        for claim in claims { try await swap(claim) }
        try await scaleUp()
    }

    private func sleep(_ duration: Duration) async throws { try await client.time.sleep(client.time.now() + duration) }

    // MARK: Preflight

    /// One claim after the other gets a small one of the destination class and a pod that mounts it.
    private func preflight() async throws {
        _ = try await client.list(StorageClass.self)
        _ = try await client.get(StorageClass.self, ObjectName(World.sourceClass, in: nil))
        for claim in try await sourceClaims() {
            let name = ObjectName("pf-pvc-" + claim.metadata.name, in: World.namespace)
            try await client.create(
                .claims,
                name,
                ["spec": claimSpec(claim, size: "1Mi")]
            )
            let pod = ObjectName("pvmigrate-pf-pod-" + name.name, in: World.namespace)
            let made = try await client.create(
                .pods,
                pod,
                podManifest(["tmp": name.name], command: ["sleep", "3600"], mounts: ["tmp": "/tmpmount"])
            )
            // Looked at once a second until it is ready; after a minute it counts as failed, and the run goes on.
            let end = client.time.now() + .seconds(60)
            while try await !client.get(Pod.self, pod).isReady, client.time.now() < end { try await sleep(.seconds(1)) }
            try await client.delete(.pods, pod, uid: uid(of: made), grace: 0)
            let volumes = try await client.list(PersistentVolume.self)
            let trial = try await client.get(PersistentVolumeClaim.self, name)
            try await client.delete(.claims, name, uid: trial.metadata.uid)
            // Its volume is looked for every five seconds until it is gone.
            guard let volume = volumes.first(where: { $0.claim == name }) else { continue }
            while try await client.find(PersistentVolume.self, volume.name) != nil { try await sleep(.seconds(5)) }
        }
    }

    /// Lists all volumes, and reads the claim of each one of the source class.
    private func sourceClaims() async throws -> [PersistentVolumeClaim] {
        var claims: [PersistentVolumeClaim] = []
        for volume in try await client.list(PersistentVolume.self) {
            guard volume.spec.storageClassName == World.sourceClass, let claim = volume.claim else { continue }
            claims.append(try await client.get(PersistentVolumeClaim.self, claim))
        }
        return claims
    }

    // MARK: Steps

    /// Creates all claims of the destination class before anything is stopped; does not wait for them.
    private func stage() async throws -> [PersistentVolumeClaim] {
        _ = try await client.list(StorageClass.self)
        let claims = try await sourceClaims()
        for claim in claims {
            let name = stagingName(claim.name)
            guard try await client.find(PersistentVolumeClaim.self, name) == nil else { continue }
            try await client.create(.claims, name, ["spec": claimSpec(claim, size: "1Gi")])
        }
        return claims
    }

    /// Sets every Deployment that has a pod on one of the claims to 0, and looks every five seconds whether the last of
    /// their pods is gone.
    private func scaleDown(_ claims: [PersistentVolumeClaim]) async throws {
        let names = Set(claims.map(\.metadata.name))
        _ = try await client.list(Pod.self, in: World.namespace)
        let pods = try await mounting(names)
        for pod in pods {
            // Each volume is told the node of the pod.
            for claim in claims where pod.claimNames.contains(claim.metadata.name) {
                let volume = ObjectName(claim.spec.volumeName ?? "", in: nil)
                try await change(volume, ["metadata": annotations(["-sourcenode": pod.spec.nodeName ?? ""])])
            }
        }
        for owner in Set(pods.compactMap(\.metadata.controller?.name)) {
            let set = try await client.get(
                MetadataObject.self,
                of: .replicaSets,
                ObjectName(owner, in: World.namespace)
            )
            let name = ObjectName(set.metadata.controller?.name ?? "", in: World.namespace)
            let deployment = try await client.get(WorkloadObject.self, of: .deployments, name)
            let former = String(deployment.spec.replicas ?? 1)
            try await client.patch(
                .deployments,
                name,
                .merge(
                    onto: deployment.metadata,
                    ["metadata": annotations(["-scale": former]), "spec": ["replicas": 0]]
                )
            )
        }
        // A sixteenth of the interval before the first look.
        try await sleep(.seconds(5) / 16)
        while try await !mounting(names).isEmpty { try await sleep(.seconds(5)) }
    }

    private func mounting(_ claims: Set<String>) async throws -> [Pod] {
        try await client.list(Pod.self, in: World.namespace).filter { !claims.isDisjoint(with: $0.claimNames) }
    }

    /// Runs a mover: sleeps a second, looks once a second whether it has started, follows its log to the end, and looks
    /// once a second whether it has succeeded.
    private func copy(_ claim: PersistentVolumeClaim) async throws {
        _ = try await client.get(PersistentVolumeClaim.self, claim.name)
        _ = try await client.get(PersistentVolume.self, ObjectName(claim.spec.volumeName ?? "", in: nil))
        let name = ObjectName("migrate-" + claim.metadata.name, in: World.namespace)
        let pod = try await client.create(
            .pods,
            name,
            podManifest(
                ["source": claim.metadata.name, "dest": stagingName(claim.name).name],
                command: ["rsync", "-a", "-v", "-P", "--delete", "/source/", "/dest"],
                mounts: ["source": "/source", "dest": "/dest"]
            )
        )
        try await sleep(.seconds(1))
        while try await client.get(Pod.self, name).phase == .pending { try await sleep(.seconds(1)) }
        try await client.followLog(of: name, container: "pvmigrate", silence: .seconds(600)) { _ in }
        while true {
            let phase = try await client.get(Pod.self, name).phase
            if phase == .succeeded { break }
            guard phase == .running else { throw BenchError("the mover \(name) is \(phase)") }
            try await sleep(.seconds(1))
        }
        try await client.delete(.pods, name, uid: uid(of: pod))
    }

    /// Swaps the volumes of a claim: deletions are looked for twenty times a second, and what a volume is to be is read,
    /// written and read again.
    private func swap(_ claim: PersistentVolumeClaim) async throws {
        let staging = stagingName(claim.name)
        let original = try await client.get(PersistentVolumeClaim.self, claim.name)
        let migrated = try await client.get(PersistentVolumeClaim.self, staging)
        let source = ObjectName(original.spec.volumeName ?? "", in: nil)
        let destination = ObjectName(migrated.spec.volumeName ?? "", in: nil)
        let retain: JSON = ["persistentVolumeReclaimPolicy": "Retain"]
        try await change(source, ["spec": retain])
        _ = try await client.get(PersistentVolume.self, source)
        let origin = ["-sourcens": World.namespace, "-sourcepvc": claim.metadata.name, "-reclaim": "Delete"]
        try await change(destination, ["metadata": annotations(origin), "spec": retain])
        _ = try await client.get(PersistentVolume.self, destination)
        try await client.delete(.claims, original.name, uid: original.metadata.uid)
        try await client.delete(.claims, migrated.name, uid: migrated.metadata.uid)
        for name in [original.name, migrated.name] {
            while try await client.find(PersistentVolumeClaim.self, name) != nil { try await sleep(.milliseconds(50)) }
        }
        for volume in [source, destination] {
            try await change(volume, ["spec": ["claimRef": .null]])
            _ = try await client.get(PersistentVolume.self, volume)
        }
        var spec = claimSpec(original, size: "1Gi")
        spec["volumeName"] = .string(destination.name)
        try await client.create(.claims, claim.name, ["spec": spec])
        try await resetPolicy(destination)
        let redundant = try await client.get(PersistentVolume.self, source)
        try await client.delete(.volumes, source, uid: redundant.metadata.uid)
    }

    /// Gives the volume its reclaim policy back as soon as a claim has it, which is looked at every five seconds.
    private func resetPolicy(_ name: ObjectName) async throws {
        while try await client.get(PersistentVolume.self, name).claim == nil { try await sleep(.seconds(5)) }
        try await change(name, ["spec": ["persistentVolumeReclaimPolicy": "Delete"]])
        _ = try await client.get(PersistentVolume.self, name)
    }

    /// Starts everything that bears the mark, and does not wait for it.
    private func scaleUp() async throws {
        _ = try await client.list(WorkloadObject.self, of: .statefulSets, in: World.namespace)
        for deployment in try await client.list(WorkloadObject.self, of: .deployments, in: World.namespace) {
            guard let former = deployment.metadata.annotation(scale).flatMap({ Int64($0) }) else { continue }
            try await client.patch(
                .deployments,
                deployment.name,
                .merge(
                    onto: deployment.metadata,
                    ["metadata": ["annotations": .object([scale: .null])], "spec": ["replicas": .integer(former)]]
                )
            )
        }
    }

    // MARK: Objects

    /// Reads a volume and changes it, again after five seconds where somebody else did meanwhile.
    private func change(_ name: ObjectName, _ patch: JSON) async throws {
        while true {
            let volume = try await client.get(PersistentVolume.self, name)
            do {
                try await client.patch(.volumes, name, .merge(onto: volume.metadata, patch))
                return
            } catch let error as APIError where error.reason == .conflict {
                try await sleep(.seconds(5))
            }
        }
    }

    private func uid(of object: JSON) -> String { object[path: ["metadata", "uid"]]?.string ?? "" }

    private func stagingName(_ claim: ObjectName) -> ObjectName {
        ObjectName(claim.name + "-pvcmigrate", in: claim.namespace)
    }

    private func annotations(_ values: [String: String]) -> JSON {
        ["annotations": .object(Dictionary(uniqueKeysWithValues: values.map { (mark + $0, .string($1)) }))]
    }

    private func claimSpec(_ claim: PersistentVolumeClaim, size: String) -> JSON {
        [
            "accessModes": .array((claim.spec.accessModes ?? []).map { JSON($0) }),
            "storageClassName": .string(World.destinationClass),
            "resources": ["requests": ["storage": .string(size)]],
        ]
    }

    private func podManifest(_ claims: [String: String], command: [String], mounts: [String: String]) -> JSON {
        [
            "spec": [
                "restartPolicy": "Never",
                "volumes": .array(
                    claims.map { ["name": .string($0), "persistentVolumeClaim": ["claimName": .string($1)]] }
                ),
                "containers": [
                    [
                        "name": "pvmigrate", "image": .string(image), "command": .array(command.map(JSON.string)),
                        "volumeMounts": .array(mounts.map { ["name": .string($0), "mountPath": .string($1)] }),
                    ]
                ],
            ]
        ]
    }
}
