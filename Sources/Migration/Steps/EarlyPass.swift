import Kubernetes

/// Copies once while the workload runs, where a mover stands, so that the copy after the stop is only for what was written
/// since.
///
/// - Before: movers stand.
/// - After: only the destination volumes have changed.
/// - Safe to repeat because: a pass compares first. A mover that made one makes none again.
/// - Undone by: nothing, because only the destination is written to.
struct EarlyPass: UnitAction {
    private let isWanted: Bool
    private let time: TimeSource
    private let commands: StandingMovers
    private let again: LookAgain
    /// The time that a pass may take without another look at the unit.
    static let patience: Duration = .seconds(60)

    init(_ context: Context) {
        (isWanted, time) = (context.options.passesEarly, context.time)
        commands = StandingMovers(context)
        again = LookAgain(context: context)
    }

    func perform(_ progress: inout Progress) async throws {
        let standing = progress.standing
        let open = progress.unit.claims.filter { standing[$0.id].map { $0.hears && $0.number == 0 } == true }
        guard isWanted, !open.isEmpty else { return }
        let made = try await open.allAtOnce { state in
            guard let mover = standing[state.id] else { throw Refusal("its mover is gone") }
            return try await pass(over: state, by: mover)
        }
        for one in made { progress.standing[one.id] = one.mover }
        if let longest = made.map(\.duration).max(), longest > Self.patience {
            try await again.look(at: &progress.unit)
        }
    }

    /// A claim after its pass.
    private struct Passed: Sendable {
        var id: Transfer.ID
        var mover: StandingMover?
        var duration: Duration
    }

    private func pass(over state: ClaimState, by mover: StandingMover) async throws -> Passed {
        let began = time.now()
        let passed = try await commands.pass("a pass", over: state, by: mover)
        return Passed(id: state.id, mover: passed.mover, duration: time.now() - began)
    }
}
