import Kubernetes

/// The next thing to do for a claim.
public enum Action: Sendable, Equatable {
    // Before the seal: everything can be taken back.
    case protect
    /// Reserves a destination volume that is given for the staging claim.
    case reserveForStaging
    case stage
    /// Writes the UID of the staging claim that was made on the source volume, which proves that it is ours.
    case recordStaging
    case awaitStaging
    case copy
    case seal
    /// Takes the seal of another process back: as long as the source claim lives, its pods may have run since the copy.
    case unseal
    // After the seal: everything goes forward.
    case deleteClaims
    case awaitDeletion
    /// Somebody else made a claim of the old name, which holds nothing, or only our destination volume.
    case removeUsurper
    case reserve
    case awaitAvailable
    case create
    case awaitBound
    /// Takes the mark that woke the binder off the claim again.
    case dropWake
    case disposeOfSource
    case dropMarks
    case done
    /// Only a person can say how to go on.
    case blocked(Refusal)
}

extension ClaimState {
    /// Decides what comes next, from nothing but what was observed.
    ///
    /// - Parameter stagingBindsAtOnce: false where the destination class waits for the first consumer.
    public func next(stagingBindsAtOnce: Bool) -> Action {
        if isReleased { return .done }
        if let seal, let destination { return afterSeal(seal, destination) }
        return beforeSeal(stagingBindsAtOnce: stagingBindsAtOnce)
    }

    private func beforeSeal(stagingBindsAtOnce: Bool) -> Action {
        guard let claim else { return .blocked(Refusal("the claim was deleted by somebody")) }
        guard !claim.metadata.isTerminating else {
            return .blocked(Refusal("the claim is being deleted (since \(claim.metadata.deletionTimestamp ?? ""))"))
        }
        if isLost { return .blocked(Refusal("somebody deleted the claim, and another one has its name")) }
        if let otherMigration { return .blocked(otherMigration) }
        guard let source, source.spec.claimRef?.uid == claim.metadata.uid, claim.phase == .bound else {
            return .blocked(Refusal("the claim is \(claim.phase) and has no volume of its own"))
        }
        if staleSeal != nil || destination?.metadata.annotation(Marks.manifest) != nil { return .unseal }
        guard isProtected else { return .protect }
        if let action = staging(bindsAtOnce: stagingBindsAtOnce) { return action }
        return copied && staging?.phase == .bound ? .seal : .copy
    }

    /// What is still to be done for a mover to find the destination volume; nil where nothing is.
    private func staging(bindsAtOnce: Bool) -> Action? {
        guard let staging else {
            guard let given = givenDestination else { return .stage }
            guard given.claim == stagingName, (given.spec.claimRef?.uid ?? "").isEmpty else {
                return .reserveForStaging
            }
            return given.phase == .available ? .stage : .awaitAvailable
        }
        if !isRecorded(staging) { return .recordStaging }
        if staging.metadata.isTerminating { return .awaitDeletion }
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
        return bindsAtOnce || givenDestination != nil ? .awaitStaging : nil
    }

    private func afterSeal(_ seal: Seal, _ destination: PersistentVolume) -> Action {
        if let otherMigration { return .blocked(otherMigration) }
        let stagingRemains = staging != nil
        if let claim {
            if claim.metadata.uid == seal.uid {
                if claim.metadata.isTerminating, seal.isDeleting { return .awaitDeletion }
                guard copied else { return .unseal }
                return destination.reclaimPolicy == .retain ? .deleteClaims : .seal
            }
            guard claim.spec.volumeName == destination.metadata.name else {
                // A controller that found the claim missing: what was never bound has never held anything.
                if claim.phase == .pending, (claim.spec.volumeName ?? "").isEmpty { return .removeUsurper }
                return .blocked(
                    Refusal(
                        "somebody made a new claim of this name, which is bound to "
                            + "\(claim.spec.volumeName ?? "another volume"). The migrated data is complete on the volume "
                            + "\(destination.metadata.name). Keep what you need of the new claim, delete it, and run again"
                    )
                )
            }
            guard isSuccessor(claim) else { return .removeUsurper }
            guard !claim.metadata.isTerminating else {
                return .blocked(
                    Refusal(
                        "the claim was made anew, and somebody deletes it. Its data is complete on the volume "
                            + "\(destination.metadata.name), which nothing reclaims; when the claim is gone, run again to get it back"
                    )
                )
            }
            guard isRebound else { return .awaitBound }
            if stagingRemains { return .deleteClaims }
            if claim.metadata.annotation(Marks.wake) != nil { return .dropWake }
            if sourceIsOurs { return .disposeOfSource }
            return .dropMarks
        }
        // What a run of the Go tool left says it less durably.
        if destination.metadata.annotation(Marks.manifest) == nil { return .seal }
        if stagingRemains { return staging?.metadata.isTerminating == true ? .awaitDeletion : .deleteClaims }
        guard destination.claim == name, (destination.spec.claimRef?.uid ?? "").isEmpty else { return .reserve }
        return destination.phase == .available ? .create : .awaitAvailable
    }

    /// True while the source volume is there, is the one that the seal speaks of, and was not given back yet.
    private var sourceIsOurs: Bool {
        guard let seal, let source, !source.metadata.isTerminating else { return false }
        return source.spec.claimRef?.uid == seal.uid && source.metadata.annotation(Marks.sourceUID) == seal.uid
    }
}
