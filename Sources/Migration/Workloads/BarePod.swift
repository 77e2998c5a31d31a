import Kubernetes

extension Workload {
    /// A pod that nothing would create again.
    init(_ pod: Pod, manifest: JSON) {
        self.init(
            resource: .pods,
            metadata: pod.metadata,
            brake: .removal(manifest: Self.recreatable(manifest)),
            replicas: 1,
            claimNames: Set(pod.claimNames),
            isReady: pod.isReady || pod.isFinished
        )
    }

    /// A pod's manifest without what the API server, the scheduler and the kubelet have filled in.
    static func recreatable(_ pod: JSON) -> JSON {
        var manifest = pod
        manifest["status"] = nil
        for field in [
            "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink",
            "deletionTimestamp", "deletionGracePeriodSeconds",
        ] { manifest[path: ["metadata", field]] = nil }
        // The scheduler's choice, what follows from the priority class, and what only a running pod can have.
        for field in ["nodeName", "priority", "ephemeralContainers"] { manifest[path: ["spec", field]] = nil }
        // The service account's token: each pod gets its own.
        let volumes = manifest[path: ["spec", "volumes"]]?.array ?? []
        func isToken(_ volume: JSON) -> Bool { volume["name"]?.string?.hasPrefix("kube-api-access-") == true }
        manifest[path: ["spec", "volumes"]] = .array(volumes.filter { !isToken($0) })
        for list in ["containers", "initContainers"] {
            guard let containers = manifest[path: ["spec", list]]?.array else { continue }
            manifest[path: ["spec", list]] = .array(
                containers.map { container in
                    var container = container
                    let mounts = container["volumeMounts"]?.array?.filter { !isToken($0) } ?? []
                    container["volumeMounts"] = mounts.isEmpty ? nil : .array(mounts)
                    return container
                }
            )
        }
        return manifest
    }
}

extension Client {
    /// Reads a pod that is deleted for the migration; one that a record is kept of may be gone.
    func currentPod(_ workload: Workload, isRecorded: Bool) async throws -> Workload? {
        var now = workload
        let pod = try await find(Pod.self, workload.name)
        if let pod, pod.metadata.uid == workload.metadata.uid {
            now.metadata = pod.metadata
            now.replicas = pod.metadata.isTerminating ? 0 : 1
        } else {
            // Another one of its name was created by an earlier run, or by somebody.
            guard isRecorded else { return nil }
            now.replicas = 0
        }
        return now
    }
}
