import Kubernetes

/// The next thing to do for a transfer, in the step that does it.
///
/// Each step performs the actions of its own enum in one switch that names all of them: one that no step performs does not
/// compile.
public enum Action: Sendable, Equatable {
    // Before the seal: everything can be taken back.
    case protect(Protection)
    case stage(Staging)
    case copy
    case seal
    // After the seal: everything goes forward.
    case rebind(Rebinding)
    case release(Release)
    case done
    /// Only a person can say how to go on.
    case blocked(Refusal)

    public enum Protection: Sendable, Equatable {
        /// Takes the seal of another process back: as long as the source claim lives, its pods may have run since the copy.
        case unseal
        case protect
    }

    public enum Staging: Sendable, Equatable {
        /// Reserves a destination volume that is given for the staging claim.
        case reserve
        case awaitAvailable
        case create
        /// Writes the UID of the staging claim that was made on the source volume, which proves that it is ours.
        case record
        case awaitBound
        /// A staging claim that somebody deletes.
        case awaitDeletion
    }

    public enum Rebinding: Sendable, Equatable {
        case deleteClaims
        case awaitDeletion
        /// Somebody else made a claim of the destination's name, which holds nothing, or only our destination volume.
        case removeUsurper
        case reserve
        case awaitAvailable
        case create
        case awaitBound
    }

    public enum Release: Sendable, Equatable {
        /// Takes the mark that woke the binder off the claim again.
        case dropWake
        case disposeOfSource
        case dropMarks
    }

    /// True where the source claim is yet to be copied or deleted, or its successor to be bound: no pod may run.
    var needsQuiet: Bool {
        switch self {
        case .protect, .stage, .copy, .seal, .rebind, .blocked: true
        case .release, .done: false
        }
    }

    var isProtection: Bool {
        if case .protect = self { return true }
        return false
    }

    /// True where a mover is yet to run.
    var leadsToCopy: Bool {
        switch self {
        case .protect, .stage, .copy: true
        case .seal, .rebind, .release, .done, .blocked: false
        }
    }
}

extension ClaimState {
    /// Decides what comes next, from the plan, what was observed, and what this process remembers, and from nothing else.
    public var next: Action {
        if isReleased { return .done }
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
        guard let source, source.spec.claimRef?.uid == claim.metadata.uid, claim.phase == .bound else {
            return .blocked(Refusal("the claim is \(claim.phase) and has no volume of its own"))
        }
        if observation.staleSeal != nil || destination?.metadata.annotation(Marks.manifest) != nil {
            return .protect(.unseal)
        }
        guard isProtected else { return .protect(.protect) }
        if let action = stagingAction { return action }
        return copied && staging?.phase == .bound ? .seal : .copy
    }

    /// What is still to be done for a mover to find the destination volume; nil where nothing is.
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
        let stagingRemains = staging != nil
        if let claim {
            if claim.metadata.uid == seal.uid {
                if claim.metadata.isTerminating, seal.isDeleting { return .rebind(.awaitDeletion) }
                guard copied else { return .protect(.unseal) }
                return destination.reclaimPolicy == .retain ? .rebind(.deleteClaims) : .seal
            }
            guard claim.spec.volumeName == destination.metadata.name else {
                // A controller that found the claim missing: what was never bound has never held anything.
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
            if sourceIsOurs { return .release(.disposeOfSource) }
            return .release(.dropMarks)
        }
        // What a run of the Go tool left says it less durably.
        if destination.metadata.annotation(Marks.manifest) == nil { return .seal }
        if stagingRemains {
            return staging?.metadata.isTerminating == true ? .rebind(.awaitDeletion) : .rebind(.deleteClaims)
        }
        guard destination.claim == transfer.destination, (destination.spec.claimRef?.uid ?? "").isEmpty else {
            return .rebind(.reserve)
        }
        return destination.phase == .available ? .rebind(.create) : .rebind(.awaitAvailable)
    }

    /// True while the source volume is there, is the one that the seal speaks of, and was not given back yet.
    private var sourceIsOurs: Bool {
        guard let seal, let source, !source.metadata.isTerminating else { return false }
        return source.spec.claimRef?.uid == seal.uid && source.metadata.annotation(Marks.sourceUID) == seal.uid
    }
}
