import Kubernetes

extension CustomOwner {
    /// Returns the reason why the scale must not be set to 0; nil where none is known.
    ///
    /// - Parameter claims: The claims that its pods mount.
    func hazard(of claims: [PersistentVolumeClaim]) -> String? {
        let name = "\(served.resource.kind)/\(metadata.name)"
        // Its operator sets a scale of 0 back to 1, and the number of its pods is the product of shards and replicas.
        if served.resource.group == "monitoring.coreos.com",
            ["Prometheus", "PrometheusAgent"].contains(served.resource.kind)
        {
            return "is owned by the \(title), whose scale counts shards and no pods; give "
                + "--pause '\(name)={\"spec\":{\"paused\":true}}', so that its StatefulSet can be stopped"
        }
        let retention = object[path: ["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"]]?.string
        if retention == "Delete" {
            return
                "is owned by the \(title), which deletes its claims when it is scaled down (whenScaled); set that to "
                + "Retain first"
        }
        // A CloneSet of Kruise and a Cluster of CloudNativePG own their claims.
        let own = claims.first { $0.metadata.ownerReferences?.contains { $0.uid == metadata.uid } == true }
        return own.map {
            "is owned by the \(title), to which the claim \($0.metadata.name) belongs, so that it may be deleted when that is "
                + "scaled down; " + adviceToPause
        }
    }

    /// The advice to pause it instead.
    var adviceToPause: String {
        "give --pause '\(served.resource.kind)/\(metadata.name)=PATCH' with a merge patch that makes it stop its pods, or leave "
            + "them alone when they are stopped"
    }
}
