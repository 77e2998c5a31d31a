import FoundationEssentials
import Kubernetes

/// Looks once more at what the end holds that is written to. Since preflight its pods may have written.
///
/// - Before: no pod mounts the claims.
/// - After: a mover stands for each claim. For an upload each claim bears the mark that it is only half filled.
/// - Safe to repeat because: a claim that holds only what it would hold anyway is gone on with.
/// - Undone by: `Recovery`, which removes movers. The marks stay until all is copied.
struct LookAtTrees: UnitAction {
    private let tree: LocalTree?
    private let time: TimeSource
    private let movers: TreeMovers
    private let copy: TreeCopy
    private let marks: TreeMarks

    init(_ context: Context) {
        (tree, time) = (context.options.tree, context.time)
        movers = TreeMovers(context)
        copy = TreeCopy(context)
        marks = TreeMarks(context)
    }

    /// A claim and its mover.
    private struct Looked: Sendable {
        var state: ClaimState
        var mover: StandingMover
    }

    func perform(_ progress: inout Progress) async throws {
        let open = progress.unit.claims.filter { $0.next == .copy }
        let looked = try await open.allAtOnce { state in
            let mover = try await movers.make(for: state, looks: false)
            try await copy.judge(state, by: mover)
            return Looked(state: state, mover: mover)
        }
        for one in looked { progress.standing[one.state.id] = one.mover }
        guard let tree, tree.direction == .upload else { return }
        for index in progress.unit.claims.indices where progress.standing[progress.unit.claims[index].id] != nil {
            let state = progress.unit.claims[index]
            let words = "\(time.timeOfDay.formatted(.iso8601)) from \(tree.parts[state.name] ?? tree.directory)"
            progress.unit.claims[index] = try await marks.begin(state, words)
        }
    }
}
