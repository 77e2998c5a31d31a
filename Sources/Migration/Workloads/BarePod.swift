import Kubernetes

extension Workload {
    /// Reads a pod that nothing would create again.
    init(_ pod: Pod, manifest: JSON) {
        self.init(
            resource: .pods,
            metadata: pod.metadata,
            brake: .removal(manifest: Self.recreatable(manifest)),
            replicas: 1,
            claimNames: Set(pod.claimNames),
            template: pod.spec,
            isReady: pod.isReady || pod.isFinished
        )
    }

    /// Returns a pod's manifest without the fields that the API server, the scheduler and the kubelet filled in.
    static func recreatable(_ pod: JSON) -> JSON {
        var manifest = withoutIdentity(pod)
        // These are the scheduler's choice, a result of the priority class, and a field of running pods only.
        for field in ["nodeName", "priority", "ephemeralContainers"] { manifest[path: ["spec", field]] = nil }
        // Each pod gets its own service account token.
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

    /// Returns an object's manifest without its status and its identity.
    static func withoutIdentity(_ object: JSON) -> JSON {
        var manifest = object
        manifest["status"] = nil
        for field in [
            "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink",
            "deletionTimestamp", "deletionGracePeriodSeconds",
        ] { manifest[path: ["metadata", field]] = nil }
        return manifest
    }
}
