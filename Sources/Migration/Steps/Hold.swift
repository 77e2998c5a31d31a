import Kubernetes

/// Keeps the claims mounted where no mover can be told what to do, and makes a pass before that.
///
/// The mover that is made after the stop then finds the volumes attached to its node, and the node may read the claims
/// still: it forbids them for a moment when a claim's last pod has just gone.
///
/// - Before: the staging claims are bound.
/// - After: only the destination volumes have changed.
/// - Safe to repeat because: a pass compares first, and what holds the claims stays.
/// - Undone by: `Recovery`, which removes movers.
struct Hold: UnitAction {
    private let passes: Bool
    private let time: TimeSource
    private let journal: Journal
    private let movers: Movers
    private let beside: Beside
    private let judge: MoverJudge
    private let output: MoverOutput
    private let again: LookAgain

    /// - Parameter passes: True to make a pass.
    init(_ context: Context, passes: Bool) {
        self.passes = passes
        (time, journal) = (context.time, context.journal)
        movers = Movers(context)
        beside = Beside(context)
        judge = MoverJudge(context)
        output = MoverOutput(context)
        again = LookAgain(context: context)
    }

    /// A claim, and what holds it.
    private struct Held: Sendable {
        var id: Transfer.ID
        var holder: StandingMover?
    }

    func perform(_ progress: inout Progress) async throws {
        guard progress.unit.isRunning else { return }
        let earlier = progress.standing
        let open = progress.unit.claims.filter { $0.canBeMadeReady && earlier[$0.id]?.hears != true }
        let began = time.now()
        for held in try await open.allAtOnce({ Held(id: $0.id, holder: try await hold($0, earlier[$0.id])) }) {
            progress.standing[held.id] = held.holder
        }
        if time.now() - began > EarlyPass.patience { try await again.look(at: &progress.unit) }
    }

    private func hold(_ state: ClaimState, _ earlier: StandingMover?) async throws -> StandingMover? {
        if let earlier {
            if try await stays(earlier, for: state) { return earlier }
            try await movers.pods.remove(earlier.pod)
        }
        guard beside.mayStand(state), !beside.hears(state) else { return nil }
        guard let route = try await beside.route(of: state) else { return nil }
        // A mover that an earlier run left behind would go on.
        try await movers.pods.removeLeftovers(of: state)
        var content = movers.content(of: state)
        while true {
            let task = MoverPod.Task.hold(passes: passes && content.passCommand != nil)
            guard let holder = try await beside.make(task, for: state, route, copying: content) else { return nil }
            switch try await pass(by: holder, over: state) {
            case .holds(let last):
                journal.info(state.title, "its claims are kept mounted on node \(last.spec.nodeName ?? "?")")
                return StandingMover(last, holder.mover, seen: time.now())
            case .unsupported(let reduced):
                try await movers.pods.remove(holder.pod)
                content = reduced
            case .ended:
                // It would only have saved time.
                try await movers.pods.remove(holder.pod)
                return nil
            }
        }
    }

    private func stays(_ holder: StandingMover, for state: ClaimState) async throws -> Bool {
        let age = time.now() - holder.seen
        guard holder.pod.spec.nodeName == state.nodeOfUse, age < StandingMover.idle / 2 else { return false }
        return try await movers.pods.isRunning(holder.pod)
    }

    private enum End {
        case holds(Pod)
        case unsupported(any MoverContent)
        case ended
    }

    /// Waits for the pass, if there is one, and for what follows it.
    ///
    /// - Throws: `Failure` where the copy after the stop would fail too.
    private func pass(by holder: StandingMover, over state: ClaimState) async throws -> End {
        let (pod, mover) = (holder.pod, holder.mover)
        do {
            let began = time.now()
            let ended: @Sendable () async throws -> Pod? = {
                try await movers.pods.awaitEnd(of: pod) { $0.state(of: MoverPod.holdContainer)?.running != nil }
            }
            // Only a pass prints something.
            let last =
                mover.makesPass
                ? try await output.showing(pod, of: state, mover.content, until: ended) : try await ended()
            guard let last else { return .ended }
            if mover.makesPass {
                switch try await judge.judge(last, mover, took: time.now() - began) {
                case .done(let result): _ = try journal.tellPass("a pass", over: state, result)
                case .unsupported(let reduced, _): return .unsupported(reduced)
                case .again(let why, let details):
                    journal.warn(state.title, "a pass failed while its pods run: \(why)\(details)")
                    return .ended
                }
            }
            return last.state(of: MoverPod.holdContainer)?.running == nil ? .ended : .holds(last)
        } catch {
            // Whoever cancelled removes the movers.
            guard !Task.isCancelled else { throw error }
            await journal.orWarn(pod.title) { try await movers.pods.remove(pod) }
            throw error
        }
    }
}
