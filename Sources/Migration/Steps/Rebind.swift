import FoundationEssentials
import Kubernetes

/// Gives the destination volumes the old names: deletes source and staging claim, reserves the volume for the old name,
/// creates the claim anew, and waits until it is bound.
///
/// - Before: the destination volumes are sealed, and nothing has used the claims since they were copied.
/// - After: the claims of the old names are bound to the destination volumes.
/// - Safe to repeat because: each part looks first, and deletes only a claim with the UID of the seal.
/// - Undone by: nothing. From the deletion of the source claim on, the unit only goes forward.
struct Rebind: UnitAction {
    private let source: Client
    private let destination: Client
    private let journal: Journal
    private let limits: Limits
    private let removesEndedPods: Bool
    private let reader: StateReader
    private let advance: Advance
    private let users: UnitUsers
    private let locks: Locks
    private let deletion: ClaimDeletion
    private let kept: KeptSources
    private let successor: Successor
    private let volumes: Volumes
    private let detachment: Detachment
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (journal, limits) = (context.journal, context.limits)
        removesEndedPods = context.options.recreatesPods
        reader = StateReader(context)
        advance = Advance(context)
        users = UnitUsers(context)
        locks = Locks(context)
        deletion = ClaimDeletion(context)
        kept = KeptSources(context)
        successor = Successor(context)
        volumes = Volumes(context, context.destination)
        detachment = Detachment(context)
    }

    func perform(_ progress: inout Progress) async throws {
        // All claims of the destination's names are there before one of the source is given up.
        try await advance.all(&progress) { state, action in
            guard !state.transfer.isInPlace, state.seal?.isDeleting == false else { return nil }
            if case .blocked(let why) = action { throw why }
            return action == .rebind(.create) ? try await successor.create(state) : nil
        }
        let disturbance = try await checkQuiet(&progress)
        try await advance.all(&progress) { state, action in
            action == .rebind(.deleteClaims) ? try await deleteClaims(state) : nil
        }
        try await attend(deletionsOf: &progress)
        try await advance.all(&progress) { state, action in
            switch action {
            case .rebind(let rebinding): return try await perform(rebinding, of: state)
            case .blocked(let why): throw why
            case .protect, .stage, .copy, .detach, .seal, .release, .done: return nil
            }
        }
        if let disturbance { throw disturbance }
    }

    private func perform(_ action: Action.Rebinding, of state: ClaimState) async throws -> ClaimState {
        switch action {
        case .deleteClaims: return try await deleteClaims(state)
        case .awaitDeletion: return try await deletion.wait(try await retainOld(state), of: state.goingClaims)
        case .removeUsurper: return try await removeUsurper(state)
        case .recordDeletion: return try await recordDeletion(state)
        case .reserve: return try await reserve(state)
        case .awaitAvailable: return try await volumes.awaitAvailable(state, reader)
        case .create:
            // Where another run has waited for that: the old object of a retype would keep its attachment, which a pod on the
            // same node goes on to use.
            if let old = state.oldVolume, !state.copied { try await detachment.awaitNone(of: old, state) }
            return try await successor.create(state)
        case .awaitBound: return try await awaitBound(state)
        }
    }

    /// Checks once more that nothing uses the claims, at the last moment at which they can go back.
    ///
    /// - Returns: The reason that voids the copies of the claims that can go back, where others of the unit cannot.
    /// - Throws: `Failure` where all can go back.
    private func checkQuiet(_ progress: inout Progress) async throws -> Failure? {
        let open = progress.unit.claims.filter {
            $0.sourceClaim?.metadata.isTerminating == false && $0.next == .rebind(.deleteClaims) && !$0.isApart
        }
        var unit = progress.unit
        unit.claims = open
        guard !open.isEmpty, let intruder = try await users.intruder(on: unit, besides: progress.ended) else {
            return nil
        }
        let failure = Failure(
            place: unit.title,
            reason:
                "\(intruder) uses or has used the claims again since they were copied, so that they are not swapped; "
                + unit.suspects
        )
        guard progress.unit.claims.contains(where: \.isPastReturn) else { throw failure }
        let ids = Set(open.map(\.id))
        for index in progress.unit.claims.indices where ids.contains(progress.unit.claims[index].id) {
            (progress.unit.claims[index].copied, progress.unit.claims[index].seal) = (false, nil)
        }
        return failure
    }

    /// Makes sure that the old volume object of a retype keeps its storage, which is the new one's too, when its claim is
    /// gone. Somebody may have given it another policy since the seal.
    private func retainOld(_ state: ClaimState) async throws -> ClaimState {
        guard let old = state.oldVolume else { return state }
        var state = state
        guard let now = try await source.find(PersistentVolume.self, old.name), now.metadata.uid == old.metadata.uid
        else {
            throw Refusal("its old volume object \(old.metadata.name) is gone, though nothing has deleted it here")
        }
        state.source = now
        if now.reclaimPolicy != .retain {
            journal.warn(
                state.title,
                "its old volume object \(old.metadata.name) was given \(now.reclaimPolicy): set to Retain again"
            )
            state.source = try await source.patch(
                PersistentVolume.self,
                now.name,
                .merge(onto: now.metadata, ["spec": ["persistentVolumeReclaimPolicy": JSON(ReclaimPolicy.retain)]])
            )
        }
        return try await volumes.awaitProvisioner(state)
    }

    /// Requests the deletion of source and staging claim; in a copy only of the staging claim.
    private func deleteClaims(_ start: ClaimState) async throws -> ClaimState {
        var state = try await retainOld(start)
        let now = time.timeOfDay.formatted(.iso8601)
        if state.isApart {
            state = try await recordDeletion(state)
            try await locks.confirm()
            try await delete(staging: state.ownStaging)
            state.staging?.metadata.deletionTimestamp = now
            return state
        }
        if let claim = state.sourceClaim, state.seal != nil {
            state = try await recordDeletion(state)
            try await locks.confirm()
            let staging = state.ownStaging
            // Side by side, since the workload stands still.
            async let isStagingDeleted: Void = delete(staging: staging)
            try await source.delete(.claims, claim.name, uid: claim.metadata.uid)
            try await isStagingDeleted
            state.claim?.metadata.deletionTimestamp = now
            state.staging?.metadata.deletionTimestamp = staging == nil ? nil : now
            return state
        }
        guard let staging = state.ownStaging else { return state }
        try await delete(staging: staging)
        state.staging?.metadata.deletionTimestamp = now
        // The staging claim is late: the successor exists, and nothing else waits for this deletion.
        return state.claim?.metadata.isTerminating == false ? try await deletion.wait(state, of: [staging]) : state
    }

    /// Writes down on the destination volume that the claims are deleted from here on.
    private func recordDeletion(_ start: ClaimState) async throws -> ClaimState {
        guard let seal = start.seal, !seal.isDeleting, let volume = start.destination else { return start }
        // Another run may have taken the seal off, since it saw the claim alive.
        guard Seal(of: volume) != nil else {
            throw Refusal("somebody took the seal off its volume \(volume.metadata.name); run again")
        }
        var state = start
        let marked = try await destination.patch(
            PersistentVolume.self,
            volume.name,
            .merge(onto: volume.metadata, ["metadata": ["annotations": .object([Marks.deleting: .string(seal.uid)])]])
        )
        (state.destination, state.seal) = (marked, Seal(of: marked))
        return state
    }

    private func delete(staging claim: PersistentVolumeClaim?) async throws {
        guard let claim else { return }
        try await destination.delete(.claims, claim.name, uid: claim.metadata.uid)
    }

    /// Frees the claims that are being deleted, and keeps what was written since the copy. No new pod can mount the
    /// claims once they are being deleted, but one may have come since the copy was checked.
    private func attend(deletionsOf progress: inout Progress) async throws {
        let unit = progress.unit
        let going = unit.claims.flatMap(\.goingClaims)
        guard !going.isEmpty else { return }
        let workload = try await users.startedWorkload(of: unit)
        let pods = try await users.pods(of: unit)
        let intruder = pods.first { $0.isIntruder(besides: progress.ended) }
        if let intruder = workload?.title ?? intruder?.title {
            for state in unit.claims where state.sourceClaim?.metadata.isTerminating == true && !state.isApart {
                try await kept.keepDisturbed(state, by: intruder, &progress)
            }
        }
        try await removeEnded(pods, holding: going)
    }

    /// Deletes the ended pods of Jobs and the evicted ones. A pod holds its claims as long as it exists, whether it
    /// runs or not (the controller behind the finalizer `pvc-protection`).
    private func removeEnded(_ pods: [MountingPod], holding claims: [PersistentVolumeClaim]) async throws {
        let names = Set(claims.map(\.name))
        for pod in pods where pod.isFinished && (pod.metadata.controller != nil || removesEndedPods) {
            guard pod.claimNames.contains(where: { names.contains(ObjectName($0, in: pod.metadata.namespace)) }) else {
                continue
            }
            if try await source.delete(.pods, pod.name, uid: pod.metadata.uid) {
                journal.info(pod.title, "had ended (\(pod.phase)) and held its claim; deleted")
            }
        }
    }

    /// Deletes somebody else's claim of the old name, where it is still as empty as it was seen, or holds our
    /// destination volume, which stays and which no pod uses.
    private func removeUsurper(_ state: ClaimState) async throws -> ClaimState {
        guard let usurper = state.target else { return state }
        let isBound = usurper.spec.volumeName != nil
        if isBound {
            let pods = try await destination.list(MountingPod.self, in: usurper.metadata.namespace)
            let user = pods.first { $0.mounts([usurper.metadata.name]) && !$0.isFinished }
            if let user {
                throw Failure(
                    place: state.title,
                    reason:
                        "somebody made a new claim of this name, which took the volume \(state.safeVolume), where its "
                        + "data is complete; \(user.title) uses it. Stop that, delete the claim, and run again: the volume "
                        + "stays (reclaim policy Retain), and the claim is created as it was"
                )
            }
        }
        journal.warn(
            state.title,
            "somebody made a new claim of this name, which "
                + (isBound ? "took the volume \(state.safeVolume); it" : "was never bound; it")
                + " is deleted, and the claim created as it was"
        )
        try await destination.delete(
            .claims,
            usurper.name,
            uid: usurper.metadata.uid,
            resourceVersion: usurper.metadata.resourceVersion
        )
        try await destination.awaitDeletion(
            of: usurper,
            limit: limits.rebinding,
            what: "the new \(state.title) to be gone"
        )
        return try await reader.read(state)
    }

    /// Reserves the destination volume for the old name, and gives it the access modes of the new claim, without which
    /// the two are not bound. A claim that cannot be written to was filled with others.
    private func reserve(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard let volume = state.destination else { return state }
        let modes = volume.isKept ? [] : state.seal?.laterAccessModes ?? []
        let isOffered = Set(modes).isSubset(of: volume.spec.accessModes ?? [])
        state.destination = try await volumes.reserve(
            volume,
            for: state.transfer.destination,
            accessModes: isOffered ? nil : modes
        )
        // The binder has seen a claim that waits for the volume before, and looks at it again only every 15 s.
        if !state.transfer.isInPlace, let waiting = state.target {
            state.target = try await destination.patch(PersistentVolumeClaim.self, waiting.name, waiting.touch(true))
        }
        return state
    }

    /// Waits until the claim is bound, and wakes the binder where it lost its race. The volume is then bound to the
    /// claim, and the claim stays Pending until the controller's next resync, up to 15 s later. Any change of the claim
    /// makes the controller look again.
    private func awaitBound(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        let name = state.transfer.destination
        let end = time.now() + limits.rebinding
        var patience = Duration.milliseconds(500)
        var touched = false
        while true {
            do {
                let bound: PersistentVolumeClaim = try await destination.wait(
                    for: PersistentVolumeClaim.self,
                    in: name.namespace,
                    named: name.name,
                    limit: patience,
                    what: "PersistentVolumeClaim \(name) to be Bound"
                ) { snapshot in
                    guard let claim = snapshot.object(named: name.name) else {
                        throw Refusal("the claim was deleted by somebody; its data is safe, run again to finish")
                    }
                    return claim.phase == .bound ? claim : nil
                }
                state.target = bound
                break
            } catch let timeout as WaitTimeout {
                guard time.now() < end else {
                    let why = await Complaints(destination).lastWarning(about: "PersistentVolumeClaim", name)
                    throw Failure(
                        place: state.title,
                        reason: "\(timeout)\(why.map { ": \($0)" } ?? ""). The data is complete on the volume "
                            + "\(state.destination?.metadata.name ?? "?"); run again to finish"
                    )
                }
                state = try await reader.read(state)
                if let claim = state.target, claim.phase != .bound, state.destination?.claim == claim.name,
                    [nil, "", claim.metadata.uid].contains(state.destination?.spec.claimRef?.uid)
                {
                    touched = !touched
                    state.target = try await destination.patch(
                        PersistentVolumeClaim.self,
                        claim.name,
                        claim.touch(touched)
                    )
                }
                patience = min(patience * 2, .seconds(10))
            }
        }
        return try await reader.read(state, [.source, .destination])
    }
}

extension ClaimState {
    /// The source and staging claims that are being deleted.
    fileprivate var goingClaims: [PersistentVolumeClaim] {
        [isApart ? nil : sourceClaim, ownStaging].compactMap(\.self).filter(\.metadata.isTerminating)
    }

    /// The name of the volume that holds a complete copy whatever becomes of the claims, for messages.
    var safeVolume: String { (seal == nil ? source : destination)?.metadata.name ?? "?" }
}

extension PersistentVolumeClaim {
    /// Returns the change that sets or removes the mark that wakes the binder. Any change makes the binder look at a
    /// claim.
    func touch(_ isMarked: Bool) -> Patch {
        .merge([
            "metadata": [
                "uid": .string(metadata.uid), "annotations": .object([Marks.wake: isMarked ? "1" : .null]),
            ]
        ])
    }
}
