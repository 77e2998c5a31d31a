import Kubernetes

/// The next action of a transfer, in the enum of the step that performs it.
///
/// Each step has one switch over all actions of its enum, so an action that no step performs does not compile.
public enum Action: Sendable, Equatable {
    // Before the seal a unit can always go back.
    case protect(Protection)
    case stage(Staging)
    case copy
    /// Waits until no node has the source volume of a retype attached. A hand-over only notes that nothing uses the claim.
    case detach
    case seal
    // After the seal a unit always goes forward.
    case rebind(Rebinding)
    case release(Release)
    case done
    /// Only a person can decide how to go on.
    case blocked(Refusal)

    public enum Protection: Sendable, Equatable {
        /// Removes the seal of another process. While the source claim lives, its pods may have run since the copy.
        case unseal
        case protect
        /// Waits until the provisioner has taken its finalizer from the source volume of a retype or a hand-over. That
        /// proves that it has seen Retain.
        case awaitProvisioner
    }

    public enum Staging: Sendable, Equatable {
        /// Reserves the given destination volume for the staging claim.
        case reserve
        case awaitAvailable
        case create
        /// Writes the UID of the staging claim on the source volume. The UID proves that the claim is ours.
        case record
        case awaitBound
        /// Waits until a staging claim that somebody deleted is gone.
        case awaitDeletion
    }

    public enum Rebinding: Sendable, Equatable {
        case deleteClaims
        case awaitDeletion
        /// Removes a claim of the destination's name that somebody else made. It holds nothing, or only our destination
        /// volume.
        case removeUsurper
        /// Writes down that the claims are gone, where somebody else deleted them after the seal.
        case recordDeletion
        case reserve
        case awaitAvailable
        case create
        case awaitBound
    }

    public enum Release: Sendable, Equatable {
        /// Removes from the claim the mark that woke the binder.
        case dropWake
        case disposeOfSource
        /// Gives the source volume of a copy its policy back.
        case giveBackSource
        /// Deletes the old volume object of a retype.
        case deleteOld
        case awaitOldDeletion
        case dropMarks
    }

    /// True where no pod may run: the source claim is still to be copied or deleted, or the successor to be bound.
    var needsQuiet: Bool {
        switch self {
        case .protect, .stage, .copy, .detach, .seal, .rebind, .blocked: true
        case .release, .done: false
        }
    }

    var isProtection: Bool {
        if case .protect = self { return true }
        return false
    }

    /// True where a mover still has to run.
    var leadsToCopy: Bool {
        switch self {
        case .protect, .stage, .copy: true
        case .detach, .seal, .rebind, .release, .done, .blocked: false
        }
    }
}

extension ClaimState {
    /// The next action, decided only from the plan, the observation and the memory of this process.
    public var next: Action {
        if isReleased { return .done }
        if transfer.method == .tree { return ofTree }
        if let seal, let destination { return afterSeal(seal, destination) }
        return beforeSeal
    }

    private var beforeSeal: Action {
        guard let claim else { return .blocked(Refusal("the claim was deleted by somebody")) }
        guard !claim.metadata.isTerminating else {
            return .blocked(Refusal("the claim is being deleted (since \(claim.metadata.deletionTimestamp ?? ""))"))
        }
        if isLost { return .blocked(Refusal("somebody deleted the claim, and another one has its name")) }
        if let otherMigration { return .blocked(otherMigration) }
        if let why = claim.whyHalfFilled { return .blocked(why) }
        guard let source, source.spec.claimRef?.uid == claim.metadata.uid, claim.phase == .bound else {
            return .blocked(Refusal("the claim is \(claim.phase) and has no volume of its own"))
        }
        if let strangerAtTarget { return .blocked(strangerAtTarget) }
        if observation.staleSeal != nil || destination?.metadata.annotation(Marks.manifest) != nil {
            return .protect(.unseal)
        }
        guard isProtectedAsPlanned else { return .protect(.protect) }
        if transfer.method == .handOver { return handingOver }
        if transfer.method == .retype { return retyping(source) }
        if let action = stagingAction { return action }
        return copied && staging?.phase == .bound ? .seal : .copy
    }

    /// The next action of a copy to or from this computer. Nothing but a mark is left to do when all is copied.
    private var ofTree: Action {
        guard let claim else { return .blocked(Refusal("the claim was deleted by somebody")) }
        guard !claim.metadata.isTerminating else {
            return .blocked(Refusal("the claim is being deleted (since \(claim.metadata.deletionTimestamp ?? ""))"))
        }
        guard transfer.id.hasPrefix("\(claim.metadata.uid) ") else {
            return .blocked(Refusal("another claim has its name now"))
        }
        guard let source, source.spec.claimRef?.uid == claim.metadata.uid, claim.phase == .bound else {
            return .blocked(
                Refusal("the claim is \(claim.phase) and has no volume; start its workload once, so that it gets one")
            )
        }
        if seal != nil || observation.staleSeal != nil || isProtected || staging != nil {
            return .blocked(
                Refusal("a migration of it is under way: finish that, or take it back; pvmigrate status says how")
            )
        }
        if isBlock { return .blocked(Refusal("it is a block volume, which holds no files")) }
        return copied ? .release(.dropMarks) : .copy
    }

    /// The next action of a retype before its new volume object exists.
    private func retyping(_ source: PersistentVolume) -> Action {
        if staging != nil {
            return .blocked(
                Refusal(
                    "a copy of it is under way, to the staging claim \(stagingName). To finish that, run without --retype; "
                        + "to take it back: pvmigrate abort \(flags(to: transfer.storageClass ?? "?"))"
                )
            )
        }
        guard source.metadata.annotation(Marks.retypedTo) == source.nameOfRetyped else { return .protect(.protect) }
        if source.isHeldByProvisioner { return .protect(.awaitProvisioner) }
        return copied ? .seal : .detach
    }

    /// The next action until a mover can mount the destination volume; nil where nothing is left to do.
    private var stagingAction: Action? {
        guard let staging else {
            guard let given = givenDestination else { return .stage(.create) }
            guard given.claim == stagingName, (given.spec.claimRef?.uid ?? "").isEmpty else {
                return .stage(.reserve)
            }
            return given.phase == .available ? .stage(.create) : .stage(.awaitAvailable)
        }
        if !isRecorded(staging) { return .stage(.record) }
        if staging.metadata.isTerminating { return .stage(.awaitDeletion) }
        if staging.phase == .lost { return .blocked(Refusal("the staging claim \(stagingName) has lost its volume")) }
        if let given = givenDestination, let bound = staging.spec.volumeName, bound != given.metadata.name {
            return .blocked(
                Refusal(
                    "the staging claim \(stagingName) is bound to \(bound) and not to \(given.metadata.name), which was "
                        + "copied to; delete it and run again"
                )
            )
        }
        if staging.phase == .bound { return nil }
        return transfer.bindsAtOnce || givenDestination != nil ? .stage(.awaitBound) : nil
    }

    private func afterSeal(_ seal: Seal, _ destination: PersistentVolume) -> Action {
        if let otherMigration { return .blocked(otherMigration) }
        switch transfer.ending {
        case .copy: return afterSealOfCopy(seal, destination)
        case .replace, .move:
            if let claim = sourceClaim {
                // Whoever deletes the claim of a retype: its storage is the new object's, too.
                if claim.metadata.isTerminating, seal.isDeleting || isRetyped { return .rebind(.awaitDeletion) }
                guard copied else { return .protect(.unseal) }
                guard destination.reclaimPolicy == .retain else { return .seal }
                return announcingTarget ?? .rebind(.deleteClaims)
            }
            return transfer.isInPlace
                ? inPlace(seal, destination) : bindingTarget(seal, to: destination) ?? releaseOfTarget
        }
    }

    /// The next action of a copy after the seal. Its source claim is not touched.
    private func afterSealOfCopy(_ seal: Seal, _ destination: PersistentVolume) -> Action {
        if let staging {
            if staging.metadata.isTerminating { return .rebind(.awaitDeletion) }
            guard destination.reclaimPolicy == .retain else { return .seal }
            return announcingTarget ?? .rebind(.deleteClaims)
        }
        // Whoever else deleted the staging claim: with a foreign claim of the name the copy can still be taken back.
        if !seal.isDeleting, case .blocked(let why)? = announcingTarget { return .blocked(why) }
        return bindingTarget(seal, to: destination) ?? releaseOfTarget
    }

    /// The next action once the destination's name, which is not the source claim's, is bound to the sealed volume.
    private var releaseOfTarget: Action {
        if target?.metadata.annotation(Marks.wake) != nil { return .release(.dropWake) }
        if transfer.ending == .copy, sourceIsOurs { return .release(.giveBackSource) }
        return .release(.dropMarks)
    }

    /// The next action once the source claim is gone, where its successor has its name.
    private func inPlace(_ seal: Seal, _ destination: PersistentVolume) -> Action {
        let stagingRemains = staging != nil
        if let claim {
            guard claim.spec.volumeName == destination.metadata.name else {
                // A controller missed the claim and made a new one. A claim that was never bound holds nothing.
                if claim.phase == .pending, (claim.spec.volumeName ?? "").isEmpty { return .rebind(.removeUsurper) }
                return .blocked(
                    Refusal(
                        "somebody made a new claim of this name, which is bound to "
                            + "\(claim.spec.volumeName ?? "another volume"). The migrated data is complete on the volume "
                            + "\(destination.metadata.name). Keep what you need of the new claim, delete it, and run again"
                    )
                )
            }
            guard isSuccessor(claim) else { return .rebind(.removeUsurper) }
            guard !claim.metadata.isTerminating else {
                return .blocked(
                    Refusal(
                        "the claim was made anew, and somebody deletes it. Its data is complete on the volume "
                            + "\(destination.metadata.name), which nothing reclaims; when the claim is gone, run again to get it back"
                    )
                )
            }
            guard isRebound else { return .rebind(.awaitBound) }
            if stagingRemains { return .rebind(.deleteClaims) }
            if claim.metadata.annotation(Marks.wake) != nil { return .release(.dropWake) }
            if isRetyped { return releaseOfRetyped }
            if sourceIsOurs { return .release(.disposeOfSource) }
            return .release(.dropMarks)
        }
        // The marks of the Go tool are less durable than a seal.
        if destination.metadata.annotation(Marks.manifest) == nil { return .seal }
        if stagingRemains {
            return staging?.metadata.isTerminating == true ? .rebind(.awaitDeletion) : .rebind(.deleteClaims)
        }
        if let holderOfSealed { return .blocked(holderOfSealed) }
        guard destination.claim == transfer.destination, (destination.spec.claimRef?.uid ?? "").isEmpty else {
            return .rebind(.reserve)
        }
        return destination.phase == .available ? .rebind(.create) : .rebind(.awaitAvailable)
    }

    /// The release of a retype: the new volume object gets its policy only when the old one is gone.
    private var releaseOfRetyped: Action {
        guard let old = oldVolume else { return .release(.dropMarks) }
        if old.metadata.isTerminating { return .release(.awaitOldDeletion) }
        guard old.reclaimPolicy == .retain else {
            return .blocked(
                Refusal(
                    "somebody gave its old volume object \(old.metadata.name) the policy \(old.reclaimPolicy). It is the "
                        + "storage of \(destination?.metadata.name ?? "?"), too. Set it to Retain "
                        + "(kubectl patch pv \(old.metadata.name) --patch "
                        + #"'{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'"# + ") and run again"
                )
            )
        }
        return .release(.deleteOld)
    }

    /// True while the source volume exists, the seal names its claim, and it still bears our protection.
    private var sourceIsOurs: Bool {
        guard let seal, let source, !source.metadata.isTerminating else { return false }
        return source.spec.claimRef?.uid == seal.uid && source.metadata.annotation(Marks.sourceUID) == seal.uid
    }
}
