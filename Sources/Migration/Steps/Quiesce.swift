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
    private let nodes: NodeCheck
    private let successor: Successor
    private let detachment: Detachment
    private let kept: KeptSources
    private let workloads: Workloads
    private let ending: EndOfPods
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        source = context.source
        (journal, limits) = (context.journal, context.limits)
        nodes = NodeCheck(context)
        successor = Successor(context)
        detachment = Detachment(context)
        kept = KeptSources(context)
        workloads = Workloads(context)
        ending = EndOfPods(context)
    }

    func perform(_ progress: inout Progress) async throws {
        guard progress.needsQuiet else { return }
        try await nodes.check(&progress, isStopped: !progress.unit.isRunning)
        _ = try await progress.unit.claims.filter { !$0.isPastReturn && $0.transfer.method != .tree }.allAtOnce {
            state in
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
        case noPods(EndOfPods.Ended)
        case revived(Workload)
        /// The workload cannot be watched. Its pods are watched all the same.
        case unknown
    }

    /// Waits until no pod except ours mounts the unit's claims.
    ///
    /// - Returns: A workload that somebody started meanwhile, so that the wait would not end; else nil.
    private func awaitQuiet(on progress: inout Progress) async throws -> Workload? {
        let unit = progress.unit
        // The node where all movers stand, which have mounted all that they need.
        let nodes = unit.claims.filter { $0.next == .copy }.map { progress.standing[$0.id]?.pod.spec.nodeName }
        let node = Set(nodes).count == 1 ? nodes[0] : nil
        let quiet = try await withThrowingTaskGroup(of: Quiet.self) { group in
            group.addTask { .noPods(try await ending.wait(for: unit, beside: node)) }
            for workload in unit.workloads { group.addTask { await awaitRevival(of: workload) } }
            defer { group.cancelAll() }
            for try await outcome in group {
                if case .unknown = outcome { continue }
                return outcome
            }
            throw CancellationError()
        }
        switch quiet {
        case .noPods(let ended): (progress.ended, progress.leaves) = (ended.pods, ended.leaves)
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
