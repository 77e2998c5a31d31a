import Kubernetes

/// Brings failed units to a safe state.
struct Recovery: Sendable {
    private let context: Context
    private let pipeline: Pipeline
    private let journal: Journal
    private let time: TimeSource
    private let runner: UnitRunner
    private let reader: StateReader
    private let movers: MoverPods
    private let standIns: StandIns
    private let workloads: Workloads
    private let protect: Protect
    private let stage: Stage
    private let sealing: Sealing
    private let restore: Restore
    private let copiedMarks: CopiedMarks
    private let treeMarks: TreeMarks

    init(_ context: Context) {
        (self.context, pipeline) = (context, context.options.pipeline)
        (journal, time) = (context.journal, context.time)
        runner = UnitRunner(context: context)
        reader = StateReader(context)
        movers = MoverPods(context)
        standIns = StandIns(context)
        workloads = Workloads(context)
        protect = Protect(context)
        stage = Stage(context)
        sealing = Sealing(context)
        restore = Restore(context)
        copiedMarks = CopiedMarks(context)
        treeMarks = TreeMarks(context)
    }

    /// A unit after it was brought to a safe state.
    struct Recovered: Sendable {
        var progress: Progress
        /// The workloads that could not be started, as messages name them.
        var stopped: [String]

        init(_ progress: Progress, isStopped: Bool) {
            self.progress = progress
            let marked = progress.unit.workloads.filter { $0.isMarked }
            stopped = isStopped ? marked.map(\.title) : []
        }
    }

    /// Recovers within a time limit, so that whoever interrupts a run does not wait for a server that is away. A unit
    /// past the point of no return is finished without a limit.
    func recoverInTime(_ progress: Progress) async -> Recovered {
        guard !progress.unit.claims.contains(where: \.isPastReturn) else { return await recover(progress) }
        do {
            return try await time.within(.seconds(25), what: "the API server") { await recover(progress) }
        } catch {
            journal.error(progress.unit.title, "could not be brought back: \(error)")
            return Recovered(progress, isStopped: true)
        }
    }

    /// Brings a failed unit to a safe state: claims past the point of no return are finished, the others go back, and
    /// the workloads are started again.
    ///
    /// - Parameter keepingStaging: False where nothing is left for a next run.
    func recover(_ failed: Progress, keepingStaging: Bool = true) async -> Recovered {
        var progress = failed
        let unit = progress.unit
        // The limit is short: whoever interrupts a run waits for the workloads, and a lost node's pod may stay for
        // ever.
        await journal.orWarn(unit.title) { try await movers.removeAll(of: unit, limit: .seconds(15)) }
        let unseen = await observeAll(&progress)
        if progress.unit.claims.contains(where: \.isPastReturn) {
            // Most failures pass, so the steps run once more.
            let (again, failure) = await runner.run(pipeline.finishing, progress, until: nil)
            progress = again
            if let failure { journal.tell(failure, of: unit) }
        }
        if let limbo = progress.unit.claims.first(where: \.isInLimbo) ?? unseen.first(where: { $0.seal != nil }) {
            journal.error(
                unit.title,
                "stays stopped, since \(limbo.title) is not bound again yet. Its data is complete on the volume "
                    + "\(limbo.destination?.metadata.name ?? "?"); run the same command again to finish"
            )
            return await stopped(progress)
        }
        let lost = progress.unit.claims.filter(\.isLost)
        for state in lost {
            journal.error(state.title, state.wayBack)
            // A recreated claim has another UID, so its staging claim would be taken for a stranger's.
            await journal.orWarn(state.title) { try await stage.unstage(state) }
        }
        if !lost.isEmpty, progress.unit.workloads.contains(where: { $0.isMarked }) {
            journal.error(unit.title, "stays stopped: started now, it would find no claim, or an empty one")
            return await stopped(progress)
        }
        guard await unsealAll(&progress, unseen: Set(unseen.map(\.id))) else { return await stopped(progress) }
        do {
            if !progress.staysStopped(after: pipeline) { try await restore.start(&progress) }
        } catch {
            journal.error(unit.title, "could not be started again: \(error)")
            return Recovered(progress, isStopped: true)
        }
        if progress.unit.claims.contains(where: \.isRebound) {
            let (again, failure) = await runner.run(pipeline.onNewVolumes, progress, until: nil)
            progress = again
            if let failure { journal.tell(failure, of: unit) }
            if progress.ready == nil { restore.tellOutage(of: progress) }
        } else {
            restore.tellOutage(of: progress)
            for workload in progress.unit.workloads { await copiedMarks.remove(of: workload) }
        }
        for index in progress.unit.claims.indices {
            let state = progress.unit.claims[index]
            let isKept = keepingStaging && !progress.misplaced.contains(state.id)
            let back = await journal.orWarn(state.title) {
                try await lookingAgain(at: state) { try await goBack($0, keepingStaging: isKept) }
            }
            if let back { progress.unit.claims[index] = back }
        }
        return Recovered(progress, isStopped: false)
    }

    /// - Returns: The claims that cannot be read. A sealed one may be deleted by now, and its pods could make an empty
    ///   one; another may be sealed by now.
    private func observeAll(_ progress: inout Progress) async -> [ClaimState] {
        var unseen: [ClaimState] = []
        for index in progress.unit.claims.indices {
            let state = progress.unit.claims[index]
            if let now = await journal.orWarn(state.title, { try await reader.read(state) }) {
                progress.unit.claims[index] = now
            } else {
                unseen.append(state)
            }
        }
        return unseen
    }

    /// Removes seals before pods run. Otherwise a claim that somebody deletes later would look like one that was
    /// swapped, and the pods' changes would be lost.
    ///
    /// - Parameter unseen: The claims that could not be read since the failure.
    /// - Returns: False where that failed, so that no pod may run.
    private func unsealAll(_ progress: inout Progress, unseen: Set<Transfer.ID>) async -> Bool {
        for index in progress.unit.claims.indices where !progress.unit.claims[index].isPastReturn {
            let state = progress.unit.claims[index]
            guard state.otherMigration == nil else { continue }
            // A copy of the same moment is the other namespace's already.
            if state.isApart, progress.unit.claims.contains(where: { $0.isPastReturn || $0.isReleased }) { continue }
            let again = await journal.orWarn(state.title) {
                let state = unseen.contains(state.id) ? try await reader.read(state) : state
                return try await lookingAgain(at: state, sealing.unseal)
            }
            guard let unsealed = again else {
                journal.error(
                    progress.unit.title,
                    "stays stopped, since the seal of \(state.title) could not be taken back"
                )
                return false
            }
            progress.unit.claims[index] = unsealed
        }
        return true
    }

    /// Does something with a claim, and does it again after a conflict: provisioners write to volumes just after these get
    /// another policy.
    private func lookingAgain(
        at start: ClaimState,
        _ work: (ClaimState) async throws -> ClaimState
    ) async throws -> ClaimState {
        var state = start
        for _ in 1..<5 {
            do { return try await work(state) } catch let error as APIError where error.reason == .conflict {
                state = try await reader.read(state)
            }
        }
        return try await work(state)
    }

    /// Returns a unit that stays stopped, without the workloads that somebody deleted meanwhile.
    private func stopped(_ start: Progress) async -> Recovered {
        var progress = start
        for workload in start.unit.workloads {
            guard let now = await journal.orWarn(workload.title, { try await workloads.current(workload) }), now == nil
            else {
                continue
            }
            progress.unit.workloads.removeAll { $0.metadata.uid == workload.metadata.uid }
        }
        return Recovered(progress, isStopped: true)
    }

    /// Takes back the work on a claim that is not sealed.
    ///
    /// A bound staging claim is kept, so that the next run copies only the difference. That of a rollback is not kept.
    private func goBack(_ start: ClaimState, keepingStaging: Bool) async throws -> ClaimState {
        if start.transfer.method == .tree { return try await treeMarks.removeFromVolume(of: start) }
        guard start.otherMigration == nil else { return start }
        var state = start
        guard state.seal == nil else { return state }
        try await takeBackTarget(of: state)
        if !keepingStaging || context.options.mayStandIn(for: state) {
            state.source = try await standIns.remove(of: state) ?? state.source
        }
        if let staging = state.staging {
            if staging.phase == .bound, keepingStaging, !pipeline.goesToKept, !state.isLost {
                journal.info(
                    state.title,
                    "the staging claim \(state.stagingName.name) is kept, so that the next run goes on from there"
                )
            } else {
                state = try await stage.unstage(state)
            }
        }
        return try await protect.unprotect(state)
    }
}

extension Recovery {
    /// Deletes the claim that this run made in another namespace and that has got no volume.
    private func takeBackTarget(of state: ClaimState) async throws {
        guard let target = state.target, !state.transfer.isInPlace, target.phase == .pending else { return }
        guard target.metadata.uid == state.memory.madeTarget else {
            // No volume tells who made it.
            if state.strangerAtTarget == nil {
                journal.warn(target.title, "waits for the volume of \(state.name); where nobody needs it, delete it")
            }
            return
        }
        try await context.destination.delete(
            .claims,
            target.name,
            uid: target.metadata.uid,
            resourceVersion: target.metadata.resourceVersion
        )
    }
}

extension Progress {
    /// Returns true where a claim of the unit is what it is to be elsewhere, and the workloads are not to start again.
    fileprivate func staysStopped(after pipeline: Pipeline) -> Bool {
        pipeline.leavesStopped && unit.claims.contains { $0.isPastReturn || $0.isReleased }
    }
}

extension ClaimState {
    /// True from the deletion of the source claim until nothing is left to do: the claim can only be finished.
    ///
    /// A copy can be taken back until its staging claim is deleted.
    var isPastReturn: Bool {
        guard let seal, !isReleased else { return false }
        return isApart ? seal.isDeleting : sourceClaim?.metadata.isTerminating != false
    }

    /// True between the deletion of the source claim and the binding of its successor: nothing that needs the claim can
    /// run.
    var isInLimbo: Bool {
        guard seal != nil, !isReleased, !isApart else { return false }
        if let sourceClaim { return sourceClaim.metadata.isTerminating }
        guard let claim = target else { return true }
        return claim.spec.volumeName != destination?.metadata.name || claim.phase != .bound
    }
}
