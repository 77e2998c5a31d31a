import Kubernetes

/// The volume binder (`pkg/controller/volume/persistentvolume`): one worker looks at claims, another at volumes, and
/// they can get in each other's way.
///
/// A write that is refused is not tried again before the controller's resync, unless the object changes.
enum PersistentVolumeController {
    static let boundByController = "pv.kubernetes.io/bound-by-controller"
    static let bindCompleted = "pv.kubernetes.io/bind-completed"
    static let selectedNode = "volume.kubernetes.io/selected-node"
    static let provisionedBy = "pv.kubernetes.io/provisioned-by"
    static let deletionFinalizer = "kubernetes.io/pv-controller"
    private static let component = "persistentvolume-controller"
    /// Every object is looked at again at multiples of this.
    private static let resyncPeriod = Duration.seconds(15)

    static func claimChanged(_ old: JSON?, _ new: JSON?, _ key: ObjectKey, _ cluster: inout Cluster) {
        if let new {
            cluster.soon(.sync(.claim, key), 2...4)
            if new.isBeingDeleted { cluster.soon(.sync(.claimProtection, key), 3...8) }
        } else {
            cluster.controllers.bindings[key] = nil
            if let volume = old?.at("spec", "volumeName")?.string {
                cluster.soon(.sync(.volume, ObjectKey(.persistentVolumes, nil, volume)), 2...4)
            }
        }
        Scheduler.wake(&cluster)
        Kubelet.wakeWaiting(&cluster)
    }

    static func volumeChanged(_ old: JSON?, _ new: JSON?, _ key: ObjectKey, _ cluster: inout Cluster) {
        if let new {
            // While the claim's worker binds it, the volume's comes late, or first (see `Binding`).
            let isInWork = cluster.controllers.bindings.values.contains { $0.volumeName == key.name }
            cluster.soon(.sync(.volume, key), isInWork ? 8...12 : 2...4)
            if new.isBeingDeleted { cluster.soon(.sync(.volumeProtection, key), 2...4) }
            Provisioner.changed(new, key, &cluster)
            if new.text("status", "phase") == "Available", old?.text("status", "phase") != "Available" {
                for claim in cluster.storedObjects(.persistentVolumeClaims, namespace: nil)
                where claim.json.text("status", "phase") == "Pending" {
                    resync(.sync(.claim, claim.key), &cluster)
                }
            }
        } else if let reference = old?.at("spec", "claimRef") {
            let claim = ObjectKey(.persistentVolumeClaims, reference.text("namespace"), reference.text("name"))
            cluster.soon(.sync(.claim, claim), 2...4)
        }
        Scheduler.wake(&cluster)
    }

    static func resync(_ work: Work, _ cluster: inout Cluster) {
        let passed = Int(cluster.now / resyncPeriod)
        cluster.enqueue(work, after: resyncPeriod * (passed + 1) - cluster.now)
    }

    private static func event(
        _ about: JSON,
        _ type: String,
        _ reason: String,
        _ message: String,
        _ cluster: inout Cluster
    ) {
        cluster.recordEvent(about: about, type: type, reason: reason, message: message, component: component)
    }

    // MARK: Claims

    static func syncClaim(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let claim = cluster.get(key) else { return }
        if cluster.controllers.bindings[key] != nil {
            // The worker is at it; it looks again when it is done.
            cluster.controllers.bindings[key]?.again = true
            return
        }
        if claim.annotations?[bindCompleted] != nil {
            syncBoundClaim(claim, key, &cluster)
        } else {
            syncUnboundClaim(claim, key, &cluster)
        }
    }

    private static func syncBoundClaim(_ claim: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard let name = claim.at("spec", "volumeName")?.string else {
            return lose(
                claim,
                key,
                "ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
                &cluster
            )
        }
        guard let volume = cluster.get(ObjectKey(.persistentVolumes, nil, name)) else {
            return lose(
                claim,
                key,
                "ClaimLost",
                "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
                &cluster
            )
        }
        let owner = volume.at("spec", "claimRef", "uid")?.string
        if volume.at("spec", "claimRef") == nil || owner == claim.uid {
            if Provisioner.grow(claim, volume, &cluster) { return }
            Binding.begin(claim, key, volume, &cluster)
        } else {
            lose(
                claim,
                key,
                "ClaimMisbound",
                "Two claims are bound to the same volume, this one is bound incorrectly",
                &cluster
            )
        }
    }

    private static func lose(
        _ claim: JSON,
        _ key: ObjectKey,
        _ reason: String,
        _ message: String,
        _ cluster: inout Cluster
    ) {
        guard claim.text("status", "phase") != "Lost" else { return }
        event(claim, "Warning", reason, message, &cluster)
        cluster.writeStatus(key, ["phase": "Lost"])
    }

    /// Binds a claim that names its volume.
    private static func syncClaim(_ claim: JSON, _ key: ObjectKey, naming name: String, _ cluster: inout Cluster) {
        guard let volume = cluster.get(ObjectKey(.persistentVolumes, nil, name)) else { return }
        guard let reference = volume.at("spec", "claimRef") else {
            if let problem = VolumeMatching.problem(volume, claim) {
                event(
                    claim,
                    "Warning",
                    "VolumeMismatch",
                    "Cannot bind to requested volume \"\(name)\": \(problem)",
                    &cluster
                )
                return
            }
            return Binding.begin(claim, key, volume, &cluster)
        }
        if VolumeMatching.isFor(reference, claim) { return Binding.begin(claim, key, volume, &cluster) }
        if claim.annotations?[boundByController] == nil {
            event(
                claim,
                "Warning",
                "FailedBinding",
                "volume \"\(name)\" already bound to a different claim.",
                &cluster
            )
        }
    }

    private static func syncUnboundClaim(_ claim: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        if let name = claim.at("spec", "volumeName")?.string { return syncClaim(claim, key, naming: name, &cluster) }
        let storageClass = VolumeMatching.storageClass(of: claim, cluster)
        let delayed =
            storageClass?.text("volumeBindingMode") == "WaitForFirstConsumer" && claim.annotations?[selectedNode] == nil
        if let volume = VolumeMatching.find(for: claim, onlyReserved: delayed, cluster) {
            return Binding.begin(claim, key, volume, &cluster)
        }
        let className = claim.text("spec", "storageClassName")
        if delayed {
            event(
                claim,
                "Normal",
                "WaitForFirstConsumer",
                "waiting for first consumer to be created before binding",
                &cluster
            )
        } else if className.isEmpty {
            event(
                claim,
                "Normal",
                "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set",
                &cluster
            )
        } else if let storageClass {
            Provisioner.begin(claim, key, storageClass, &cluster)
        } else {
            event(
                claim,
                "Warning",
                "ProvisioningFailed",
                "storageclass.storage.k8s.io \"\(className)\" not found",
                &cluster
            )
        }
    }

    // MARK: Volumes

    static func syncVolume(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let volume = guardDeletion(key, &cluster) else { return }
        guard let reference = volume.at("spec", "claimRef") else { return setPhase("Available", volume, key, &cluster) }
        // Reserved for a claim that has not come yet.
        guard let uid = reference["uid"]?.string else { return setPhase("Available", volume, key, &cluster) }
        let claimKey = ObjectKey(.persistentVolumeClaims, reference.text("namespace"), reference.text("name"))
        guard let claim = cluster.get(claimKey), claim.uid == uid else {
            let phase = volume.text("status", "phase")
            if phase != "Released", phase != "Failed" { setPhase("Released", volume, key, &cluster) }
            return reclaim(volume, key, &cluster)
        }
        let bound = claim.text("spec", "volumeName")
        if bound.isEmpty {
            cluster.soon(.sync(.claim, claimKey), 1...2)
        } else if bound == key.name {
            setPhase("Bound", volume, key, &cluster)
        } else if volume.annotations?[provisionedBy] != nil,
            volume.text("spec", "persistentVolumeReclaimPolicy") == "Delete"
        {
            setPhase("Released", volume, key, &cluster)
            reclaim(volume, key, &cluster)
        } else {
            let mine = volume.annotations?[boundByController] != nil
            cluster.write(key) { volume in
                if mine {
                    volume.put(nil, "spec", "claimRef")
                    volume.put(nil, "metadata", "annotations", boundByController)
                } else {
                    volume.put(nil, "spec", "claimRef", "uid")
                }
            }
        }
    }

    /// A volume that will be freed with its claim must not go before its storage: a finalizer holds it as long as the
    /// policy is Delete.
    ///
    /// - Returns: the volume as it is then.
    private static func guardDeletion(_ key: ObjectKey, _ cluster: inout Cluster) -> JSON? {
        guard let volume = cluster.get(key), !volume.isBeingDeleted,
            volume.annotations?[provisionedBy]?.string == Behaviour.hostPath
        else { return cluster.get(key) }
        let wanted = volume.text("spec", "persistentVolumeReclaimPolicy") == "Delete"
        var finalizers = volume.finalizers
        if wanted == finalizers.contains(deletionFinalizer) { return volume }
        if wanted { finalizers.append(deletionFinalizer) } else { finalizers.removeAll { $0 == deletionFinalizer } }
        return cluster.write(key) { $0.setFinalizers(finalizers) }
    }

    private static func setPhase(_ phase: String, _ volume: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        if volume.text("status", "phase") == phase { return }
        let now = cluster.timestamp
        cluster.write(key, subresource: "status") { volume in
            volume.put(.string(phase), "status", "phase")
            volume.put(.string(now), "status", "lastPhaseTransitionTime")
        }
    }

    private static func reclaim(_ volume: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard volume.text("spec", "persistentVolumeReclaimPolicy") == "Delete" else { return }
        Provisioner.reclaim(volume, key, &cluster)
    }
}
