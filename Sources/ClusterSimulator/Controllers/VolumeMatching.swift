import Kubernetes

/// Which volume a claim gets.
enum VolumeMatching {
    static func storageClass(of claim: JSON, _ cluster: Cluster) -> JSON? {
        cluster.get(ObjectKey(.storageClasses, nil, claim.text("spec", "storageClassName")))
    }

    /// Whether a claimRef names a claim; one without a UID means any claim of that name.
    static func isFor(_ reference: JSON, _ claim: JSON) -> Bool {
        reference.text("namespace") == claim.namespace && reference.text("name") == claim.name
            && (reference["uid"] == nil || reference.text("uid") == claim.uid)
    }

    /// Why a claim cannot have a volume, or nil.
    static func problem(_ volume: JSON, _ claim: JSON, ofAnyClass: Bool = false) -> String? {
        let requested = bytes(claim.text("spec", "resources", "requests", "storage"))
        if bytes(volume.text("spec", "capacity", "storage")) < requested { return "requested PV is too small" }
        if !ofAnyClass, volume.text("spec", "storageClassName") != claim.text("spec", "storageClassName") {
            return "storageClassName does not match"
        }
        if volume.text("spec", "volumeMode") != claim.text("spec", "volumeMode") { return "incompatible volumeMode" }
        let modes = volume.list("spec", "accessModes")
        if !claim.list("spec", "accessModes").allSatisfy(modes.contains) { return "incompatible accessMode" }
        return nil
    }

    /// The smallest volume that fits, first of all one that is reserved for the claim, of whatever class.
    ///
    /// - Parameters:
    ///   - onlyReserved: nobody has chosen a node yet, so that only a reserved volume may be taken.
    ///   - node: the node where it must be usable.
    static func find(for claim: JSON, onlyReserved: Bool = false, node: JSON? = nil, _ cluster: Cluster) -> JSON? {
        var best: JSON?
        for stored in cluster.storedObjects(.persistentVolumes, namespace: nil) {
            let volume = stored.json
            if volume.isBeingDeleted { continue }
            if let reference = volume.at("spec", "claimRef") {
                if isFor(reference, claim), problem(volume, claim, ofAnyClass: true) == nil { return volume }
                continue
            }
            if onlyReserved || volume.text("status", "phase") != "Available" || problem(volume, claim) != nil {
                continue
            }
            let selector = Selector(claim.at("spec", "selector"))
            if !selector.matches(volume.at("metadata", "labels")) { continue }
            if let node, !nodeSelector(volume.at("spec", "nodeAffinity", "required"), matches: node) { continue }
            let size = bytes(volume.text("spec", "capacity", "storage"))
            if let current = best, bytes(current.text("spec", "capacity", "storage")) <= size { continue }
            best = volume
        }
        return best
    }

    /// Where a volume's content is.
    static func storage(of volume: JSON, _ behaviour: Behaviour) -> Storage {
        if let path = (volume.at("spec", "hostPath", "path") ?? volume.at("spec", "local", "path"))?.string {
            return behaviour.provisioners[Behaviour.hostPath]?.isLocal == false
                ? .shared(handle: path) : .node(handle: path)
        }
        if let csi = volume.at("spec", "csi") {
            let isLocal = behaviour.provisioners[csi.text("driver")]?.isLocal ?? false
            return isLocal ? .node(handle: csi.text("volumeHandle")) : .shared(handle: csi.text("volumeHandle"))
        }
        if let nfs = volume.at("spec", "nfs") { return .shared(handle: nfs.text("server") + nfs.text("path")) }
        return .shared(handle: volume.uid)
    }
}
