import Kubernetes

/// The marks of the Go tool of the same name on its destination volume. It writes them once everything is copied,
/// before it deletes the source claim, and never removes them.
struct GoMarks {
    let volume: PersistentVolume
    /// The name of the source claim.
    let claim: ObjectName
    /// The reclaim policy that the source volume had.
    let reclaimPolicy: ReclaimPolicy?

    /// Reads the marks; nil where a volume bears none, or those of this program.
    init?(_ volume: PersistentVolume) {
        guard let namespace = volume.metadata.annotation(Marks.sourceNamespace),
            let name = volume.metadata.annotation(Marks.sourceClaim),
            volume.metadata.annotation(Marks.manifest) == nil, !volume.isKept
        else { return nil }
        self.volume = volume
        claim = ObjectName(name, in: namespace)
        reclaimPolicy = volume.markedPolicy
    }

    /// The progress of the run that wrote the marks.
    enum State {
        case finished
        /// Only a person can tell how far the run came.
        case unclear(Obstacle)
        /// The source claim is deleted and its successor does not exist yet. The seal holds what is still known of the
        /// claim.
        case halfDone(Seal, note: Obstacle)
    }

    func state(in inventory: Inventory, from sources: ClassChoice) -> State {
        let successor = inventory.claims[claim]
        if let successor, successor.spec.volumeName == volume.metadata.name {
            return boundAgain(to: successor, in: inventory)
        }
        // The source claim lives and is an ordinary claim to migrate, or another claim was bound meanwhile.
        if let successor, successor.phase != .pending || successor.spec.volumeName != nil { return .finished }

        let isReleased = volume.claim == ObjectName(Marks.stagingName(of: claim.name), in: claim.namespace)
        let isCleared = volume.claim == nil
        let isReserved = volume.claim == claim && (volume.spec.claimRef?.uid ?? "").isEmpty
        // Somebody deleted the successor after the migration, and the volume is Released.
        guard isReleased || isCleared || isReserved else { return .finished }
        // Until that run restored the volume's policy it was not done, and its source volume existed. A tenant's
        // workload alone proves nothing.
        let hasSource = inventory.volumes.values.contains {
            sources.admits($0) && $0.claim == nil && $0.phase == .available
                && $0.reclaimPolicy == .retain && !$0.metadata.isTerminating
        }
        let isOpen = hasSource && reclaimPolicy.map { $0 != volume.reclaimPolicy } ?? false
        guard isReleased || isOpen && inventory.isStopped(whatMounts: claim) else {
            return .unclear(
                note(
                    "bears the marks of a run of the Go tool for the claim \(claim), which does not exist. Where that run "
                        + "was cut off, its data is complete on this volume. To get the claim back: "
                        + pasteable(
                            "`kubectl patch pv \(volume.metadata.name) -p '{\"spec\":{\"claimRef\":{\"namespace\":"
                                + "\"\(claim.namespace ?? "")\",\"name\":\"\(claim.name)\"}}}'`, which reserves the volume, "
                                + "and create the claim with volumeName \(volume.metadata.name)",
                            names: [claim.description]
                        )
                )
            )
        }
        let source = inventory.volumes.values.first {
            sources.admits($0) && $0.claim == claim && $0.phase == .released
        }
        return .halfDone(
            Seal(
                manifest: manifest(source: source, class: sources.name ?? ""),
                reclaimPolicy: reclaimPolicy ?? .retain
            ),
            note: note(
                "the Go tool has deleted the claim \(claim) and not created it anew: that is done now. The claim's labels "
                    + "and annotations are lost with it. "
                    + (source.map { "The source volume \($0.metadata.name) is left as it is (\($0.handle))" }
                        ?? "Which volume was its source can't be told any more; see those without a claim")
            )
        )
    }

    /// Returns the progress of a run whose claim has its name back. The Go tool restores the volume's policy before it
    /// starts the workloads.
    private func boundAgain(to successor: PersistentVolumeClaim, in inventory: Inventory) -> State {
        // Another policy is invalid, and no person should paste it.
        guard let reclaimPolicy, [.delete, .retain].contains(reclaimPolicy), reclaimPolicy != volume.reclaimPolicy,
            inventory.isStopped(whatMounts: claim)
        else {
            return .finished
        }
        return .unclear(
            note(
                "has the policy \(volume.reclaimPolicy), and its source volume had \(reclaimPolicy): a run of the Go tool "
                    + "did not come to set it. If it shall be so: kubectl patch pv \(volume.metadata.name) -p "
                    + "'{\"spec\":{\"persistentVolumeReclaimPolicy\":\"\(reclaimPolicy)\"}}'"
            )
        )
    }

    private func note(_ message: String) -> Obstacle {
        Obstacle(namespace: claim.namespace, resource: volume.title, message: message)
    }

    /// Returns the source claim as far as its volumes tell. Without a source volume it has no UID, so no other claim
    /// matches it.
    private func manifest(source: PersistentVolume?, class sourceClass: String) -> JSON {
        let modes = volume.spec.accessModes ?? []
        let capacity = source?.spec.capacity?["storage"] ?? volume.spec.capacity?["storage"]
        var spec: JSON = [
            "accessModes": .array(modes.map { JSON($0) }), "storageClassName": .string(sourceClass),
            "volumeMode": JSON(volume.spec.volumeMode ?? .filesystem),
            "resources": ["requests": ["storage": .string(capacity?.text ?? "0")]],
        ]
        spec["volumeName"] = source.map { .string($0.metadata.name) }
        return [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": [
                "name": .string(claim.name), "namespace": .string(claim.namespace ?? ""),
                "uid": .string(source?.spec.claimRef?.uid ?? ""),
            ],
            "spec": spec,
        ]
    }
}

extension Inventory {
    /// Returns true where a migration stopped a workload that mounts the claim, and the workload was not started again.
    fileprivate func isStopped(whatMounts claim: ObjectName) -> Bool {
        workloads.contains {
            $0.isMarked && $0.name.namespace == claim.namespace
                && $0.claimNames.contains(claim.name)
        }
    }
}
