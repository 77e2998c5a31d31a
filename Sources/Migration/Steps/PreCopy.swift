import Kubernetes

/// Copies while the workloads run, again and again, until little is left for the copy after the stop. It runs only with
/// `--live` and for `pvmigrate stage`.
///
/// - Before: the staging claims exist, and their volumes are where the pods can run.
/// - After: only the destination volumes have changed.
/// - Safe to repeat because: the next pass settles a pass that was cut off.
/// - Undone by: nothing, because only the destination is written to.
struct PreCopy: UnitAction {
    private let copiesAtRest: Bool
    private let maxOutage: Duration
    private let journal: Journal
    private let reader: StateReader
    private let movers: Movers
    private let standIns: StandIns
    private let commands: StandingMovers

    /// - Parameter copiesAtRest: True to copy also claims that are not in use, whose outage cannot become shorter.
    init(_ context: Context, copiesAtRest: Bool) {
        self.copiesAtRest = copiesAtRest
        (maxOutage, journal) = (context.options.maxOutage, context.journal)
        reader = StateReader(context)
        movers = Movers(context)
        standIns = StandIns(context)
        commands = StandingMovers(context)
    }

    func perform(_ progress: inout Progress) async throws {
        guard copiesAtRest || progress.unit.isRunning else { return }
        let open = progress.unit.claims.filter { $0.seal == nil && $0.next == .copy }
        let standing = progress.standing
        for outcome in try await open.allAtOnce({ try await preCopy($0, by: standing[$0.id]) }) {
            progress.passes[outcome.state.id] = outcome.passes
            progress.standing[outcome.state.id] = outcome.standing
        }
    }

    /// A claim after its passes.
    private struct PreCopied: Sendable {
        var state: ClaimState
        var passes: Passes
        var standing: StandingMover?
    }

    private func preCopy(_ start: ClaimState, by mover: StandingMover?) async throws -> PreCopied {
        var state = start
        var standing = mover
        var passes = Passes()
        var verdict = Passes.Verdict.again
        let source = try await standIns.passSource(of: state)
        while verdict == .again {
            if let why = hindrance(toPassesOver: state, reading: source) {
                journal.info(state.title, "\(why): it is copied only when its pods are stopped")
                break
            }
            let number = passes.made.count + 1
            let made =
                if source == .volume, let mover = standing {
                    try await pass(number, over: state, by: mover, &standing)
                } else {
                    try await pass(number, over: &state, reading: source)
                }
            guard let pass = made else { continue }
            passes.made.append(pass)
            verdict = passes.verdict(maxOutage: maxOutage)
            state = try await reader.read(state)
            if case .blocked(let why) = state.next { throw why }
        }
        if verdict == .stuck, let last = passes.made.last {
            journal.warn(
                state.title,
                "passes do not become shorter than \(last.copying.inWords), which is more than --max-outage "
                    + "\(maxOutage.inWords): its workload writes too much, or it has too many files"
            )
        }
        return PreCopied(state: state, passes: passes, standing: standing)
    }

    /// Returns the reason why a claim cannot be copied while its workload runs; nil where it can.
    private func hindrance(toPassesOver state: ClaimState, reading source: PassSource) -> String? {
        if state.isBlock, source == .volume { return "a block volume can't be copied while it is written to" }
        if !state.isBlock, movers.content(of: state).passCommand == nil {
            return "the image has no shell, which passes need"
        }
        return state.isExclusive && source == .volume ? "ReadWriteOncePod lets no second pod mount it" : nil
    }

    /// Has a standing mover make one pass.
    ///
    /// - Returns: The pass; nil where the mover was of no use and is gone.
    private func pass(
        _ number: Int,
        over state: ClaimState,
        by mover: StandingMover,
        _ standing: inout StandingMover?
    ) async throws -> Passes.Pass? {
        let passed = try await commands.pass("pass \(number)", over: state, by: mover)
        standing = passed.mover
        if let took = passed.took { return Passes.Pass(copying: took, whole: took) }
        if passed.mover != nil { try await movers.pods.remove(mover.pod) }
        standing = nil
        return nil
    }

    /// Makes one pass, with as many movers as it takes.
    ///
    /// - Returns: The pass; nil where it turned out that the image has no shell.
    private func pass(
        _ number: Int,
        over state: inout ClaimState,
        reading source: PassSource
    ) async throws -> Passes.Pass? {
        guard let run = try await movers.run(for: &state, task: .pass, reading: source) else { return nil }
        let copying = try journal.tellPass("pass \(number)", over: state, run.result)
        return Passes.Pass(copying: copying, whole: run.duration)
    }
}

extension Journal {
    /// Tells of a pass over a claim: `pass 2 took 3.1 s, 5.0 MiB of 2.0 GiB copied`.
    ///
    /// - Returns: The time from the start of the copy to its end.
    /// - Throws: `Refusal` where the result is not that of a pass.
    func tellPass(_ title: String, over state: ClaimState, _ result: MoverResult) throws -> Duration {
        guard case .unchecked(let statistics, let copying) = result else {
            throw Refusal("a pass ended as if it had been checked")
        }
        let amount = statistics.map { ", \($0.transferredBytes.inBytes) of \($0.totalBytes.inBytes) copied" }
        info(state.title, "\(title) took \(copying.inWords)\(amount ?? "")")
        return copying
    }
}
