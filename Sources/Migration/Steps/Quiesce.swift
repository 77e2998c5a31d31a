import Kubernetes

/// Stops the unit's workloads, and waits until no pod mounts its claims. A workload that somebody starts meanwhile is
/// stopped again, a few times.
///
/// - Before: the claims can be made anew, and their pods find nodes with the new volumes.
/// - After: each workload bears its scale, from the same patch that set it to zero.
/// - Safe to repeat because: a stopped workload is left as it is.
/// - Undone by: `Restore`.
struct Quiesce: UnitAction {
    private let source: Client
    private let journal: Journal
    private let limits: Limits
    private let stopTimeout: Duration?
    private let nodes: NodeCheck
    private let successor: Successor
    private let detachment: Detachment
    private let kept: KeptSources
    private let workloads: Workloads
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        source = context.source
        (journal, limits, stopTimeout) = (context.journal, context.limits, context.options.stopTimeout)
        nodes = NodeCheck(context)
        successor = Successor(context)
        detachment = Detachment(context)
        kept = KeptSources(context)
        workloads = Workloads(context)
    }

    func perform(_ progress: inout Progress) async throws {
        guard progress.needsQuiet else { return }
        try await nodes.check(&progress, isStopped: !progress.unit.isRunning)
        _ = try await progress.unit.claims.filter { !$0.isPastReturn }.allAtOnce { state in
            if let why = try await successor.hindrance(of: state) { throw Failure(place: state.title, reason: why) }
        }
        if progress.unit.isRunning { try await detachment.noteAttachments(of: progress.unit) }
        if let revived = progress.unit.workloads.first(where: { $0.replicas > 0 }) {
            // An earlier run stopped it and copied.
            for state in progress.unit.claims where state.isInLimbo {
                try await kept.keepDisturbed(state, by: revived.title, &progress)
            }
        }
        let began = time.now()
        for attempt in 1... {
            try await stop(&progress)
            guard let revived = try await awaitQuiet(on: &progress) else { break }
            guard attempt < limits.copyAttempts else {
                throw Failure(
                    place: revived.title,
                    reason: "was started again by somebody, \(attempt) times, as soon as it was stopped; "
                        + progress.unit.suspects
                )
            }
            journal.warn(revived.title, "was started again by somebody; it is stopped once more")
            try await workloads.refresh(&progress)
        }
        if progress.stopped != nil {
            journal.info(progress.unit.title, "no pod mounts the claims any more (\((time.now() - began).inWords))")
        }
    }

    private func stop(_ progress: inout Progress) async throws {
        try await stopAll(&progress, from: 0)
        let count = progress.unit.workloads.count
        // No CronJob starts another Job from here on.
        try await workloads.addStartedJobs(&progress)
        try await stopAll(&progress, from: count)
    }

    private func stopAll(_ progress: inout Progress, from first: Int) async throws {
        for index in progress.unit.workloads.indices.dropFirst(first) {
            let workload = progress.unit.workloads[index]
            guard var stopped = try await workloads.change(workload, { try await workloads.stop($0) }) else { continue }
            // These are the claims that its pods mounted, whatever its template says.
            stopped.claimNames.formUnion(workload.claimNames)
            if workload.replicas > 0, stopped.replicas == 0 {
                if progress.stopped == nil {
                    progress.stopped = time.now()
                    journal.mark(progress.unit, .outageBegan)
                }
                journal.info(stopped.title, stopped.stopInWords)
            }
            progress.unit.workloads[index] = stopped
            // One that was stopped already has its volume as discovery listed it, and steps have changed that since.
            if stopped.bearer != workload.bearer { progress.take(stopped.bearer) }
        }
    }

    private enum Quiet: Sendable {
        /// No pod that may write; those that have ended, by their UIDs.
        case noPods(ended: Set<String>)
        case revived(Workload)
        /// The workload cannot be watched. Its pods are watched all the same.
        case unknown
    }

    /// Waits until no pod except ours mounts the unit's claims.
    ///
    /// - Returns: A workload that somebody started meanwhile, so that the wait would not end; else nil.
    private func awaitQuiet(on progress: inout Progress) async throws -> Workload? {
        let unit = progress.unit
        let quiet = try await withThrowingTaskGroup(of: Quiet.self) { group in
            group.addTask { .noPods(ended: try await awaitNoPods(on: unit)) }
            for workload in unit.workloads { group.addTask { await awaitRevival(of: workload) } }
            defer { group.cancelAll() }
            for try await outcome in group {
                if case .unknown = outcome { continue }
                return outcome
            }
            throw CancellationError()
        }
        switch quiet {
        case .noPods(let ended): progress.ended = ended
        case .revived(let workload): return workload
        case .unknown: break
        }
        return nil
    }

    private func awaitRevival(of workload: Workload) async -> Quiet {
        do {
            try await workloads.wait(for: workload, limit: .seconds(30 * 86_400), what: "nothing") {
                $0?.metadata.uid == workload.metadata.uid && $0?.replicas ?? 0 > 0
            }
            return .revived(workload)
        } catch {
            return .unknown
        }
    }

    /// Returns the time that a unit's pods may take to be gone: longer than their grace periods, and at most an hour,
    /// unless an option says otherwise.
    private func stopLimit(for unit: Unit) -> Duration {
        stopTimeout ?? max(limits.stopping, min(unit.gracePeriod + .seconds(60), .seconds(3600)))
    }

    /// - Returns: The UIDs of the pods that have ended.
    private func awaitNoPods(on unit: Unit) async throws -> Set<String> {
        var last: [MountingPod] = []
        do {
            return try await source.wait(
                for: MountingPod.self,
                in: unit.namespace,
                where: { unit.isUsed(by: $0) },
                limit: stopLimit(for: unit),
                what: "the pods of \(unit.title) to be gone"
            ) { snapshot in
                // A finished pod that is being deleted may still be unmounting.
                last = snapshot.objects.values.filter {
                    !$0.neverRuns && ($0.metadata.isTerminating || !$0.isFinished)
                }
                return last.isEmpty ? Set(snapshot.objects.keys) : nil
            }
        } catch let timeout as WaitTimeout {
            let pods = last.map(\.hold).sorted().joined(separator: "; ")
            throw Failure(
                place: unit.title,
                reason: "\(timeout): \(pods)\n  advice: --stop-timeout gives them more time"
            )
        }
    }
}

extension Workload {
    /// The words of the stop, for people.
    fileprivate var stopInWords: String {
        switch brake {
        case .replicas, .scale: "stopped: scale \(mark ?? "?") written down and set to 0"
        case .nodeSelector: "stopped: its pods are asked to run on no node"
        case .suspension: "suspended" + (resource == .jobs ? "; it begins anew afterwards" : "")
        case .pause: "paused, as asked for"
        case .removal: "deleted, to be created again; its manifest is on the volume \(bearer?.metadata.name ?? "?")"
        }
    }
}

extension MountingPod {
    /// The reason why it still holds its claims, and what to do about it.
    fileprivate var hold: String {
        if metadata.isTerminating {
            let node = spec.nodeName ?? "?"
            let finalizers = metadata.finalizers ?? []
            return "\(title) is being deleted and does not end; "
                + (finalizers.isEmpty
                    ? "is its node \(node) lost (kubectl get node \(node))?"
                    : "it waits for its finalizers \(finalizers.joined(separator: ", "))")
        }
        let owner = metadata.controller.map { "of the \($0.kind) \($0.name)" } ?? "without an owner"
        return "\(title) (\(phase), \(owner)) goes on; stop or delete it, and run again"
    }
}
