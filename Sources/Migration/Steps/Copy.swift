import Kubernetes

/// What a copy did.
struct CopyResult: Sendable {
    var statistics: CopyStatistics?
    /// From the mover's creation to the end of its check.
    var duration: Duration
}

/// Copies each claim with a mover, and checks that nothing is left to transfer.
///
/// A pod that mounts a claim in the meantime voids the copy; it is repeated after the workloads are down again.
///
/// - Before: no pod mounts the claims, and their staging claims are there.
/// - After: this process has seen that nothing differs. Only what was not flushed is written down, on the source volume.
/// - Safe to repeat because: a mover looks at what is there already, and a resumed run copies again.
/// - Undone by: nothing, since only the destination is written to.
struct Copy: UnitAction {
    enum Task: Sendable {
        case copy
        /// Only compares with a volume that was kept. What was written since the migration is given up only where that was
        /// asked for.
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

    init(_ context: Context, _ task: Task = .copy) {
        self.task = task
        (journal, limits) = (context.journal, context.limits)
        reader = StateReader(context)
        users = UnitUsers(context)
        movers = Movers(context)
        quiesce = Quiesce(context)
        workloads = Workloads(context)
        volumes = Volumes(context, context.source)
    }

    func perform(_ progress: inout Progress) async throws {
        var attempt = 1
        while true {
            for state in progress.unit.claims { if case .blocked(let why) = state.next { throw why } }
            let (unit, ended) = (progress.unit, progress.ended)
            let open = unit.claims.filter { $0.next == .copy }
            guard !open.isEmpty else { return }
            let end = try await withThrowingTaskGroup(of: Interim.self) { group in
                group.addTask { .copied(try await open.allAtOnce { try await copy($0) }) }
                group.addTask { .intruder(try await users.awaitIntruder(on: unit, besides: ended)) }
                defer { group.cancelAll() }
                guard let first = try await group.next() else { throw CancellationError() }
                return first
            }
            switch end {
            case .copied(let copied):
                // The watch may lag behind: what counts is that nobody is there now, and nobody was started.
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

    /// What the movers are to do.
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

    /// Says whose pods came in between, and stops them again.
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

    /// A claim that was copied.
    private struct Copied: Sendable {
        var state: ClaimState
        var result: CopyResult
    }

    /// Copies one claim, with as many movers as it takes.
    private func copy(_ state: ClaimState) async throws -> Copied {
        try Stage.checkKept(state)
        var state = state
        let run = try await movers.run(for: &state, task: moverTask)
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
        // Never without the check that `runMover` makes.
        case .unchecked: throw Refusal("the copy was not checked")
        }
        return Copied(state: state, result: result)
    }

    /// A claim that was copied; of a class that waits for the first consumer, it is bound by now.
    private func afterCopy(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        if state.staging?.phase != .bound || state.destination == nil {
            state = try await reader.read(state, [.staging, .destination])
        }
        state.copied = true
        return state
    }

    /// Writes down before the seal that the source volume must not be freed: a run that finishes this one does not know
    /// with what was copied.
    private func note(isFlushed: Bool, of state: inout ClaimState) async throws {
        guard let source = state.source, (source.metadata.annotation(Marks.unflushed) == nil) != isFlushed else {
            return
        }
        state.source = try await volumes.annotate(source, [Marks.unflushed: isFlushed ? .null : "true"])
    }

    /// Says what a rollback gives up, where that was asked for.
    ///
    /// - Throws: `Failure` where it was not.
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

    /// Stops where the source reads as empty though nothing says that it was read on the right node.
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
    /// As messages give it: `5 files, 6.0 MiB in 2.1 s`.
    var inWords: String {
        let amount = statistics.map { statistics in
            let size = statistics.totalBytes.inBytes
            return statistics.files.map { "\($0) files, \(size)" }
                ?? "a device of \(size), of which \(statistics.transferredBytes.inBytes) written"
        }
        return "\(amount ?? "all files") in \(duration.inWords)"
    }
}
