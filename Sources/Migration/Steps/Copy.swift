import Kubernetes

/// The result of a copy.
struct CopyResult: Sendable {
    var statistics: CopyStatistics?
    /// The time from the mover's creation to the end of its check.
    var duration: Duration
}

/// Copies each claim with a mover, and checks that nothing is left to transfer.
///
/// A pod that mounts a claim meanwhile voids the copy. The copy is then repeated, after the workloads are down again.
///
/// - Before: no pod mounts the claims, and their staging claims exist.
/// - After: this process has seen that nothing differs. Only an unflushed copy is recorded, on the source volume.
/// - Safe to repeat because: a mover compares first, and a resumed run copies again.
/// - Undone by: nothing, because only the destination is written to.
struct Copy: UnitAction {
    enum Task: Sendable {
        case copy
        /// Only compares with a volume that was kept. Data that was written since the migration is given up only on
        /// request.
        case compare(discardingChanges: Bool)
    }

    private let task: Task
    private let journal: Journal
    private let limits: Limits
    private let reader: StateReader
    private let users: UnitUsers
    private let movers: Movers
    private let quiesce: Quiesce
    private let workloads: Workloads
    private let volumes: Volumes
    private let ending: EndOfPods

    init(_ context: Context, _ task: Task = .copy) {
        self.task = task
        (journal, limits) = (context.journal, context.limits)
        reader = StateReader(context)
        users = UnitUsers(context)
        movers = Movers(context)
        quiesce = Quiesce(context)
        workloads = Workloads(context)
        volumes = Volumes(context, context.source)
        ending = EndOfPods(context)
    }

    func perform(_ progress: inout Progress) async throws {
        var attempt = 1
        while true {
            for state in progress.unit.claims { if case .blocked(let why) = state.next { throw why } }
            let (unit, ended, standing) = (progress.unit, progress.ended, progress.standing)
            let leaves = progress.leaves
            // Each is gone after its copy.
            progress.standing = [:]
            let open = unit.claims.filter { $0.next == .copy }
            guard !open.isEmpty else { return }
            let end = try await withThrowingTaskGroup(of: Interim.self) { group in
                group.addTask {
                    let copied = try await open.allAtOnce { try await copy($0, by: standing[$0.id]) }
                    // Past the point of no return a claim would wait for whoever holds it.
                    if leaves { _ = try await ending.wait(for: unit, beside: nil) }
                    return .copied(copied)
                }
                group.addTask { .intruder(try await users.awaitIntruder(on: unit, besides: ended)) }
                defer { group.cancelAll() }
                guard let first = try await group.next() else { throw CancellationError() }
                return first
            }
            switch end {
            case .copied(let copied):
                // The watch may lag behind. What counts is that no user is there now, and no workload was started.
                guard let intruder = try await users.intruder(on: unit, besides: ended) else {
                    for copy in copied { progress.copies[copy.state.id] = copy.result }
                    progress.unit.claims = unit.claims.map { state in
                        copied.first { $0.state.id == state.id }?.state ?? state
                    }
                    return
                }
                try await void(&progress, by: intruder, attempt: attempt)
            case .intruder(let pod):
                try await void(&progress, by: pod.title, attempt: attempt)
            }
            attempt += 1
        }
    }

    /// The task of the movers.
    private var moverTask: MoverPod.Task {
        switch task {
        case .copy: .copy
        case .compare: .compare
        }
    }

    private enum Interim: Sendable {
        case copied([Copied])
        case intruder(MountingPod)
    }

    /// Reports whose pods came in between, and stops them again.
    private func void(_ progress: inout Progress, by intruder: String, attempt: Int) async throws {
        guard attempt < limits.copyAttempts else {
            throw Failure(
                place: progress.unit.title,
                reason: "\(intruder) uses the claims again, which has spoilt \(attempt) copies; "
                    + progress.unit.suspects
            )
        }
        journal.warn(progress.unit.title, "\(intruder) uses the claims again; the copy is repeated")
        try await movers.pods.removeAll(of: progress.unit)
        try await workloads.refresh(&progress)
        try await quiesce.perform(&progress)
    }

    /// A copied claim.
    private struct Copied: Sendable {
        var state: ClaimState
        var result: CopyResult
    }

    /// Copies one claim, with as many movers as it takes.
    private func copy(_ state: ClaimState, by standing: StandingMover?) async throws -> Copied {
        try Stage.checkKept(state)
        var state = state
        let run = try await movers.run(for: &state, task: moverTask, by: standing)
        guard let run else { throw Refusal("the copy was not checked") }
        var result = CopyResult(statistics: nil, duration: run.duration)
        switch run.result {
        case .equal(let statistics):
            try check(statistics, of: state)
            result.statistics = statistics
            state = try await afterCopy(state)
            switch task {
            case .copy:
                try await note(isFlushed: run.isFlushed, of: &state)
                journal.info(state.title, "copied: \(result.inWords)")
            case .compare: journal.info(state.title, "compared: \(result.inWords)")
            }
        case .different(let items):
            try discard(items, of: state)
            state = try await afterCopy(state)
        // A copy that no check has seen never counts.
        case .unchecked: throw Refusal("the copy was not checked")
        }
        return Copied(state: state, result: result)
    }

    /// Returns the state after the copy. A claim of a class that waits for the first consumer is bound by now.
    private func afterCopy(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        if state.staging?.phase != .bound || state.destination == nil {
            state = try await reader.read(state, [.staging, .destination])
        }
        state.copied = true
        return state
    }

    /// Records before the seal that the source volume must not be freed. A run that resumes does not know how the
    /// copy was made.
    private func note(isFlushed: Bool, of state: inout ClaimState) async throws {
        guard let source = state.source, (source.metadata.annotation(Marks.unflushed) == nil) != isFlushed else {
            return
        }
        state.source = try await volumes.annotate(source, [Marks.unflushed: isFlushed ? .null : "true"])
    }

    /// Reports what a rollback gives up, where that was requested.
    ///
    /// - Throws: `Failure` where it was not requested.
    private func discard(_ items: [String], of state: ClaimState) throws {
        let names = items.prefix(5).map { String($0.drop { $0 != " " }.dropFirst()) }
        let changes =
            "\(items.count) \(items.count == 1 ? "entry differs" : "entries differ") from the kept volume "
            + "\(state.destination?.metadata.name ?? "?"), such as \(names.joined(separator: ", "))"
        guard case .compare(discardingChanges: true) = task else {
            throw Failure(
                place: state.title,
                reason: "has newer data: \(changes). With --discard-changes that is given up; with --keep-source its "
                    + "present volume \(state.source?.metadata.name ?? "?") is kept all the same"
            )
        }
        journal.warn(state.title, "newer data is given up: \(changes)")
    }

    /// Throws where the source reads as empty and nothing proves that it was read on the right node.
    private func check(_ statistics: CopyStatistics?, of state: ClaimState) throws {
        guard let files = statistics?.files, files <= 1, Placement.isGuess(state) else { return }
        throw Failure(
            place: state.title,
            reason:
                "the source volume \(state.source?.metadata.name ?? "?") is a directory of one node, and no pod tells "
                + "of which; where the mover ran it is empty. If it really is empty, or to name the node, run: "
                + "kubectl annotate pv \(state.source?.metadata.name ?? "?") \(Marks.sourceNode)=NODE"
        )
    }
}

extension CopyResult {
    /// The statistics in messages: `5 files, 6.0 MiB in 2.1 s`.
    var inWords: String {
        let amount = statistics.map { statistics in
            let size = statistics.totalBytes.inBytes
            return statistics.files.map { "\($0) files, \(size)" }
                ?? "a device of \(size), of which \(statistics.transferredBytes.inBytes) written"
        }
        return "\(amount ?? "all files") in \(duration.inWords)"
    }
}
