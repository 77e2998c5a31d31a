import Kubernetes

// A claim of another namespace or name takes over the destination volume. In a hand-over that is the source volume itself.

extension ClaimState {
    /// True where the source volume is the destination volume.
    var isHandedOver: Bool {
        guard transfer.ending == .move, let source, let destination else { return false }
        return source.metadata.uid == destination.metadata.uid
    }

    /// True where the source has its copy and goes on: nothing of it must be quiet any more.
    var isApart: Bool { transfer.ending == .copy && seal != nil }

    /// True where the claims of the workloads are on their new volumes.
    var isReboundInPlace: Bool { transfer.isInPlace && isRebound }

    /// True where the source claim is given up for one of another name: what mounts a claim of its name now is somebody else's.
    private var isGivenAway: Bool { transfer.ending == .move && seal != nil && sourceClaim == nil }

    /// True where no pod may run: the source claim is still to be copied or deleted, or the successor to be bound.
    var needsQuiet: Bool { !isApart && !isGivenAway && next.needsQuiet }

    /// The next action of a hand-over before the seal.
    var handingOver: Action {
        if staging != nil {
            return .blocked(
                Refusal(
                    "a copy of it is under way, to the staging claim \(stagingName). To take that back: pvmigrate abort "
                        + flags(to: staging?.storageClassName ?? "")
                )
            )
        }
        if source?.isHeldByProvisioner == true { return .protect(.awaitProvisioner) }
        return copied ? .seal : .detach
    }

    /// The reason why the destination's name is not free; nil where it is, or its claim waits for the volume.
    var strangerAtTarget: Refusal? {
        guard !transfer.isInPlace, let target else { return nil }
        let volume = transfer.ending == .move ? source : destination
        if transfer.serves(target, with: volume, volumeMode: claim?.spec.volumeMode ?? .filesystem) { return nil }
        return Refusal(
            "the claim \(target.name) exists already (\(target.phase)), and is not changed: delete it where nobody needs it, "
                + "or give another name with --pvc \(name)=NEWNAME"
        )
    }

    /// The next action until a claim has the destination's name, before anything is given up for it: with that it has passed
    /// admission and counts for its quota. It waits until the volume is reserved for it.
    var announcingTarget: Action? {
        guard !transfer.isInPlace else { return nil }
        if let strangerAtTarget { return .blocked(strangerAtTarget) }
        return target == nil ? .rebind(.create) : nil
    }

    /// The next action while the destination's name, which is not the source claim's, is not bound to the sealed volume
    /// yet; nil where it is.
    ///
    /// A claim that somebody else makes in the destination's namespace is never deleted. One that is bound to the sealed
    /// volume has what it is to have.
    func bindingTarget(_ seal: Seal, to destination: PersistentVolume) -> Action? {
        if !seal.isDeleting { return .rebind(.recordDeletion) }
        if let target, target.metadata.isTerminating {
            return .blocked(
                Refusal("the claim \(target.name) is being deleted by somebody. \(target.wayOn(to: safeVolume))")
            )
        }
        if isRebound { return nil }
        if let target, let bound = target.spec.volumeName, bound != destination.metadata.name {
            return .blocked(
                Refusal(
                    "somebody made the claim \(target.name), which names the volume \(bound). \(target.wayOn(to: safeVolume))"
                )
            )
        }
        // The volume is reserved for whichever claim has the name, so only one of another class is in the way.
        if let target, destination.spec.claimRef?.uid != target.metadata.uid,
            !ClassChoice(name: destination.spec.storageClassName).admits(target)
        {
            let storageClass = target.storageClassName ?? ""
            return .blocked(
                Refusal(
                    "somebody made the claim \(target.name) of the class \"\(storageClass)\". \(target.wayOn(to: safeVolume))"
                )
            )
        }
        if let holderOfSealed { return .blocked(holderOfSealed) }
        let holder = destination.spec.claimRef?.uid ?? ""
        guard destination.claim == transfer.destination, holder.isEmpty || holder == target?.metadata.uid else {
            return .rebind(.reserve)
        }
        if target != nil { return .rebind(.awaitBound) }
        return destination.phase == .available ? .rebind(.create) : .rebind(.awaitAvailable)
    }

    /// True where the source volume is protected, and tells where its claim goes.
    var isProtectedAsPlanned: Bool {
        isProtected && source?.markedPlan == (transfer.isInPlace ? nil : transfer.plan)
    }
}

extension Transfer {
    /// Returns true where a claim of the destination's name can get the volume that it is to have, and waits for it: it names
    /// that volume, or none as long as no pod wants it. Whoever made it, it gets the volume.
    ///
    /// - Parameter volume: nil where it is not made yet.
    fileprivate func serves(
        _ target: PersistentVolumeClaim,
        with volume: PersistentVolume?,
        volumeMode: VolumeMode
    ) -> Bool {
        guard target.phase == .pending, !target.metadata.isTerminating,
            ClassChoice(name: volume?.spec.storageClassName ?? storageClass).admits(target),
            target.spec.volumeMode ?? .filesystem == volumeMode
        else { return false }
        if let volume {
            // The binder refuses a volume of another attributes class.
            let attributes = (target.spec.volumeAttributesClassName, volume.spec.volumeAttributesClassName)
            guard volume.suffices(for: target), attributes.0 == attributes.1 else { return false }
        }
        if let named = target.spec.volumeName, !named.isEmpty { return named == volume?.metadata.name }
        return !bindsAtOnce && target.metadata.annotation(PersistentVolumeClaim.selectedNode) == nil
    }
}

extension PersistentVolumeClaim {
    /// What to do about a claim that has the destination's name, and cannot get the volume that is complete.
    fileprivate func wayOn(to volume: String) -> String {
        "The data is complete on the volume \(volume), which nothing reclaims. Delete the claim \(name), or let whoever makes "
            + "it name that volume, and run again"
    }
}

/// What a volume's claim was made of by a transfer.
struct Origin: Equatable {
    var uid: String
    var name: ObjectName

    var text: String { "\(uid) \(name)" }

    init(uid: String, name: ObjectName) { (self.uid, self.name) = (uid, name) }

    /// Reads the mark of a volume; nil where there is none, or the transfer is still under way.
    init?(_ volume: PersistentVolume) {
        guard volume.metadata.annotation(Marks.manifest) == nil else { return nil }
        let words = (volume.metadata.annotation(Marks.origin) ?? "").split(separator: " ").map(String.init)
        let name = (words.last ?? "").split(separator: "/").map(String.init)
        guard words.count == 2, name.count == 2 else { return nil }
        self.init(uid: words[0], name: ObjectName(name[1], in: name[0]))
    }
}

extension Inventory {
    /// Returns the claim that the same transfer has made of a claim before; nil where there is none.
    ///
    /// - Parameter uid: The UID of the source claim; nil where it is gone.
    func transferred(_ name: ObjectName, uid: String?, _ options: Options) -> PersistentVolumeClaim? {
        guard let handover = options.handover, uid != nil || handover.ending == .copy else { return nil }
        let destination = options.plan(for: name).destination
        guard let target = targets[destination], target.phase == .bound,
            let volume = target.spec.volumeName.flatMap({ volumes[$0] }),
            volume.spec.claimRef?.uid == target.metadata.uid, let origin = Origin(volume), origin.name == name,
            uid == nil || uid == origin.uid
        else { return nil }
        return target
    }
}

extension Seal {
    /// Returns the commands that finish or take back what the seal on a volume belongs to.
    func wayOut(of volume: PersistentVolume) -> String {
        let flags = plan.flags(of: name, from: sourceClass, to: volume.spec.storageClassName ?? "")
        return pasteable(
            "To finish that: pvmigrate \(flags); to take it back: pvmigrate abort \(flags)",
            names: namesInFlags
        )
    }

    /// The names in the flags. They are of annotations.
    var namesInFlags: [String] {
        [name.description, destination.description, sourceClass].filter { !$0.isEmpty }
    }
}

extension TransferPlan {
    /// Returns subcommand and flags of the run that carries the plan out.
    func flags(of source: ObjectName, from sourceClass: String, to storageClass: String) -> String {
        if ending == .replace { return "--source-sc \(sourceClass) --dest-sc \(storageClass) --pvc \(source)" }
        let renamed = source.name == destination.name ? "" : "=\(destination.name)"
        return
            "transfer --namespace \(source.namespace ?? "") --to-namespace \(destination.namespace ?? "") "
            + "--pvc \(source)\(renamed) --ending \(ending.rawValue)"
            + (ending == .move || storageClass == sourceClass || storageClass.isEmpty
                ? "" : " --dest-sc \(storageClass)")
    }
}
