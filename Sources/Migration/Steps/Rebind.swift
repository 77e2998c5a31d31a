import FoundationEssentials
import Kubernetes

extension Migrator {
    /// Gives the destination volumes the old names: deletes source and staging claim, reserves the volume for the old
    /// name, creates the claim anew, and waits until it is bound.
    func rebind(_ progress: inout Progress) async throws {
        let disturbance = try await checkQuiet(&progress)
        try await advanceAll(&progress) { state, action in
            guard action == .deleteClaims else { return nil }
            return try await deleteClaims(state)
        }
        try await attend(deletionsOf: &progress)
        try await advanceAll(&progress) { state, action in
            switch action {
            case .deleteClaims: return try await deleteClaims(state)
            case .awaitDeletion:
                return try await awaitDeletion(state, of: state.goingClaims)
            case .removeUsurper: return try await removeUsurper(state)
            case .reserve: return try await reserve(state)
            case .awaitAvailable: return try await awaitAvailable(state)
            case .create: return try await createSuccessor(state)
            case .awaitBound: return try await awaitBound(state)
            case .blocked(let why): throw why
            default: return nil
            }
        }
        if let disturbance { throw disturbance }
    }

    /// Makes sure once more that nothing uses the claims, at the last moment at which they can go back.
    ///
    /// - Returns: what voids the copies of those that can, where others of the unit can only go forward.
    /// - Throws: `Failure` where all can go back.
    private func checkQuiet(_ progress: inout Progress) async throws -> Failure? {
        let open = progress.unit.claims.filter {
            $0.sourceClaim?.metadata.isTerminating == false && progress.next($0) == .deleteClaims
        }
        var unit = progress.unit
        unit.claims = open
        guard !open.isEmpty, let intruder = try await intruder(on: unit, besides: progress.ended) else { return nil }
        let failure = Failure(
            place: unit.title,
            reason:
                "\(intruder) uses or has used the claims again since they were copied, so that they are not swapped; "
                + unit.suspects
        )
        guard progress.unit.claims.contains(where: \.isPastReturn) else { throw failure }
        let names = Set(open.map(\.name))
        for index in progress.unit.claims.indices where names.contains(progress.unit.claims[index].name) {
            (progress.unit.claims[index].copied, progress.unit.claims[index].seal) = (false, nil)
        }
        return failure
    }

    /// Asks for the deletion of source and staging claim.
    private func deleteClaims(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        let now = time.timeOfDay.formatted(.iso8601)
        if let claim = state.sourceClaim, let seal = state.seal, let destination = state.destination {
            if !seal.isDeleting {
                let marked = try await client.patch(
                    PersistentVolume.self,
                    destination.name,
                    .merge(
                        onto: destination.metadata,
                        ["metadata": ["annotations": .object([Marks.deleting: .string(seal.uid)])]]
                    )
                )
                (state.destination, state.seal) = (marked, Seal(of: marked))
            }
            try await confirmLocks()
            try await client.delete(.claims, claim.name, uid: claim.metadata.uid)
            state.claim?.metadata.deletionTimestamp = now
        }
        guard let staging = state.ownStaging else { return state }
        try await client.delete(.claims, staging.name, uid: staging.metadata.uid)
        state.staging?.metadata.deletionTimestamp = now
        // A late one, which nothing else waits for.
        return state.claim?.metadata.isTerminating == false ? try await awaitDeletion(state, of: [staging]) : state
    }

    /// Sees to it that nothing holds the claims that are being deleted, and that what was written since the copy is kept:
    /// from the deletion on no further pod can mount them, but one may have come since the copy was checked.
    private func attend(deletionsOf progress: inout Progress) async throws {
        let unit = progress.unit
        let going = unit.claims.flatMap(\.goingClaims)
        guard !going.isEmpty else { return }
        let workload = try await startedWorkload(of: unit)
        let pods = try await pods(of: unit)
        let intruder = pods.first { $0.isIntruder(besides: progress.ended) }
        if let intruder = workload?.title ?? intruder?.title {
            for state in unit.claims where state.sourceClaim?.metadata.isTerminating == true {
                try await keepDisturbed(state, by: intruder, &progress)
            }
        }
        try await removeEnded(pods, holding: going)
    }

    /// Keeps a source volume that was perhaps written to after the copy: what it holds more is not lost.
    func keepDisturbed(_ state: ClaimState, by intruder: String, _ progress: inout Progress) async throws {
        guard let source = state.source, source.metadata.annotation(Marks.sourceUID) != nil else { return }
        progress.disturbed[state.name] = intruder
        journal.warn(
            state.title,
            "\(intruder) was started after the copy; what its pods may have written is on the volume "
                + "\(source.metadata.name), which is kept"
        )
        // Whatever version it has: these marks are right for each.
        _ = try await client.annotate(source, keepMarks(of: state, for: .disturbed))
    }

    /// Deletes the pods that have ended, of Jobs or evicted ones: as long as they exist they hold their claims, whether
    /// they run or not (the controller behind the finalizer `pvc-protection`).
    private func removeEnded(_ pods: [MountingPod], holding claims: [PersistentVolumeClaim]) async throws {
        let names = Set(claims.map(\.name))
        for pod in pods where pod.isFinished && (pod.metadata.controller != nil || options.recreatesPods) {
            guard pod.claimNames.contains(where: { names.contains(ObjectName($0, in: pod.metadata.namespace)) }) else {
                continue
            }
            if try await client.delete(.pods, pod.name, uid: pod.metadata.uid) {
                journal.info(pod.title, "had ended (\(pod.phase)) and held its claim; deleted")
            }
        }
    }

    /// Waits until claims of a migration are gone.
    func awaitDeletion(_ state: ClaimState, of claims: [PersistentVolumeClaim]) async throws -> ClaimState {
        let end = time.now() + limits.rebinding
        do {
            for claim in claims {
                try await client.wait(
                    for: PersistentVolumeClaim.self,
                    in: claim.metadata.namespace,
                    named: claim.metadata.name,
                    limit: end - time.now(),
                    what: "\(claim.metadata.name) to be deleted"
                ) { $0.objects[claim.metadata.uid] == nil ? () : nil }
            }
        } catch is WaitTimeout {
            let sorted = claims.sorted { $0.name < $1.name }
            let what = "\(sorted.map(\.metadata.name).joined(separator: " and ")) to be deleted"
            let timeout = WaitTimeout(what: what, limit: limits.rebinding)
            let holders = await sorted.sideBySide { await hold(on: $0) }.compactMap(\.self)
            throw Failure(
                place: state.title,
                reason: "\(timeout): \(holders.joined(separator: "; ")). "
                    + "The data is complete on the volume \(state.safeVolume); run again to finish"
            )
        }
        var state = state
        if claims.contains(where: { $0.metadata.uid == state.staging?.metadata.uid }) {
            state.staging = nil
            // It goes, or is Released, with the staging claim.
            state.destination = state.givenDestination
        }
        return try await client.observe(state, [.claim, .destination])
    }

    /// What keeps a claim that is being deleted; nil where it is gone.
    private func hold(on deleted: PersistentVolumeClaim) async -> String? {
        let now = await orWarn(deleted.title) { try await client.find(PersistentVolumeClaim.self, deleted.name) }
        guard let claim = now ?? deleted, claim.metadata.uid == deleted.metadata.uid else { return nil }
        let protection = PersistentVolumeClaim.protection
        var holders: [String] = []
        let foreign = (claim.metadata.finalizers ?? []).filter { $0 != protection }
        if !foreign.isEmpty {
            holders.append(
                "the finalizers \(foreign.joined(separator: ", ")), which are for whoever set them to remove"
            )
        }
        if claim.metadata.finalizers?.contains(protection) == true {
            let namespace = claim.metadata.namespace
            let pods = await orWarn(claim.title) { try await client.list(MountingPod.self, in: namespace) } ?? []
            let users = pods.filter { !$0.isFinished && $0.claimNames.contains(claim.metadata.name) }.map(\.title)
            if !users.isEmpty { holders.append("\(users.sorted().joined(separator: ", ")), which use it: stop them") }
        }
        return "\(claim.name) is held by "
            + (holders.isEmpty ? "the finalizer \(protection)" : holders.joined(separator: " and by "))
    }

    /// Deletes a claim that somebody else made of the old name: one that is as empty as it was seen, or holds our
    /// destination volume, which stays, and which no pod uses.
    private func removeUsurper(_ state: ClaimState) async throws -> ClaimState {
        guard let usurper = state.claim else { return state }
        let isBound = usurper.spec.volumeName != nil
        if isBound {
            let pods = try await client.list(MountingPod.self, in: state.name.namespace)
            let user = pods.first { $0.mounts([state.name.name]) && !$0.isFinished }
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
        try await client.delete(
            .claims,
            state.name,
            uid: usurper.metadata.uid,
            resourceVersion: usurper.metadata.resourceVersion
        )
        try await client.wait(
            for: PersistentVolumeClaim.self,
            in: state.name.namespace,
            named: state.name.name,
            limit: limits.rebinding,
            what: "the new \(state.title) to be gone"
        ) { $0.objects[usurper.metadata.uid] == nil ? () : nil }
        return try await client.observe(state)
    }

    /// Reserves the destination volume for the old name, and gives it the access modes of the claim to come, without
    /// which the two are not bound: it was filled with others where the claim can't be written to.
    private func reserve(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard let destination = state.destination else { return state }
        let modes = destination.isKept ? [] : state.seal?.laterAccessModes ?? []
        let isOffered = Set(modes).isSubset(of: destination.spec.accessModes ?? [])
        state.destination = try await client.reserve(
            destination,
            for: state.name,
            accessModes: isOffered ? nil : modes
        )
        return state
    }

    func awaitAvailable(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard let name = state.destination?.metadata.name else { return state }
        let volume = try await client.wait(
            for: PersistentVolume.self,
            in: nil,
            named: name,
            limit: limits.rebinding,
            what: "PersistentVolume \(name) to be Available"
        ) { snapshot in
            guard let volume = snapshot.object(named: name) else { throw Refusal("the volume \(name) is gone") }
            // With a UID it is bound: somebody made the claim meanwhile.
            return volume.phase == .available || !(volume.spec.claimRef?.uid ?? "").isEmpty ? volume : nil
        }
        guard volume.phase == .available else { return try await client.observe(state) }
        state.destination = volume
        return state
    }

    /// Waits until the claim is bound, and wakes the binder where it lost its race: then the volume is bound to the
    /// claim, and the claim stays Pending until the controller's next resync, up to 15 s later. Any change of the claim
    /// makes it look again.
    private func awaitBound(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        let end = time.now() + limits.rebinding
        var patience = Duration.milliseconds(500)
        var touched = false
        while true {
            do {
                let bound: PersistentVolumeClaim = try await client.wait(
                    for: PersistentVolumeClaim.self,
                    in: state.name.namespace,
                    named: state.name.name,
                    limit: patience,
                    what: "\(state.title) to be Bound"
                ) { snapshot in
                    guard let claim = snapshot.object(named: state.name.name) else {
                        throw Refusal("the claim was deleted by somebody; its data is safe, run again to finish")
                    }
                    return claim.phase == .bound ? claim : nil
                }
                state.claim = bound
                break
            } catch let timeout as WaitTimeout {
                guard time.now() < end else {
                    let why = await client.lastWarning(about: "PersistentVolumeClaim", state.name)
                    throw Failure(
                        place: state.title,
                        reason: "\(timeout)\(why.map { ": \($0)" } ?? ""). The data is complete on the volume "
                            + "\(state.destination?.metadata.name ?? "?"); run again to finish"
                    )
                }
                state = try await client.observe(state)
                if let claim = state.claim, claim.phase != .bound,
                    state.destination?.spec.claimRef?.uid == claim.metadata.uid
                {
                    touched = !touched
                    state.claim = try await wake(claim, mark: touched)
                }
                patience = min(patience * 2, .seconds(10))
            }
        }
        return try await client.observe(state, [.source, .destination])
    }

    /// Changes a claim a little: sets the mark that wakes the binder, or removes it again.
    func wake(_ claim: PersistentVolumeClaim, mark: Bool) async throws -> PersistentVolumeClaim {
        try await client.patch(
            PersistentVolumeClaim.self,
            claim.name,
            .merge([
                "metadata": [
                    "uid": .string(claim.metadata.uid),
                    "annotations": .object([Marks.wake: mark ? "1" : .null]),
                ]
            ])
        )
    }
}

extension Client {
    /// Reserves a volume for a claim: a claimRef without a UID keeps it for that name only. It is never cleared, since
    /// then any waiting claim of the class could take it.
    func reserve(
        _ volume: PersistentVolume,
        for claim: ObjectName,
        accessModes: [AccessMode]? = nil
    ) async throws -> PersistentVolume {
        let reference: JSON = [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": claim.namespace.map(JSON.string) ?? .null, "name": .string(claim.name),
            "uid": .null, "resourceVersion": .null,
        ]
        var spec: JSON = ["claimRef": reference]
        spec["accessModes"] = accessModes.map { .array($0.map { JSON($0) }) }
        return try await patch(PersistentVolume.self, volume.name, .merge(onto: volume.metadata, ["spec": spec]))
    }
}

extension ClaimState {
    /// Source and staging claim, as far as they are being deleted.
    fileprivate var goingClaims: [PersistentVolumeClaim] {
        [sourceClaim, ownStaging].compactMap(\.self).filter(\.metadata.isTerminating)
    }

    /// The name of the volume that holds a complete copy whatever becomes of the claims, for messages.
    var safeVolume: String { (seal == nil ? source : destination)?.metadata.name ?? "?" }
}
