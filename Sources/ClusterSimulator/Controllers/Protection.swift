import Kubernetes

/// Keeps claims that pods use, and volumes that are bound, from going away (pvc- and pv-protection-controller).
enum Protection {
    static let claimFinalizer = "kubernetes.io/pvc-protection"
    static let volumeFinalizer = "kubernetes.io/pv-protection"

    static func syncClaim(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let claim = cluster.get(key), claim.isBeingDeleted, claim.finalizers.contains(claimFinalizer) else {
            return
        }
        let inUse = cluster.storedObjects(.pods, namespace: key.namespace).contains { stored in
            let pod = stored.json
            // A pod that has ended counts as long as its object exists; one without a node does not, since none is
            // given to it while its claim is being deleted.
            return pod.at("spec", "nodeName") != nil && pod.claimNames.contains(key.name)
        }
        if inUse { return }
        cluster.write(key) { claim in claim.setFinalizers(claim.finalizers.filter { $0 != claimFinalizer }) }
    }

    static func syncVolume(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let volume = cluster.get(key), volume.isBeingDeleted, volume.finalizers.contains(volumeFinalizer),
            volume.text("status", "phase") != "Bound"
        else { return }
        cluster.write(key) { volume in volume.setFinalizers(volume.finalizers.filter { $0 != volumeFinalizer }) }
    }
}
