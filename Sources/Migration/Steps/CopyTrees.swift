import Kubernetes

/// Copies each claim with this computer's rsync, and checks that nothing is left to transfer.
///
/// - Before: no pod mounts the claims, and a mover stands for each.
/// - After: this process has seen that nothing differs. The movers are gone.
/// - Safe to repeat because: rsync compares first.
/// - Undone by: nothing. A claim that is only half filled keeps its mark.
struct CopyTrees: UnitAction {
    private let journal: Journal
    private let movers: TreeMovers
    private let copy: TreeCopy
    private let users: UnitUsers

    init(_ context: Context) {
        journal = context.journal
        movers = TreeMovers(context)
        copy = TreeCopy(context)
        users = UnitUsers(context)
    }

    /// A copied claim.
    private struct Copied: Sendable {
        var id: Transfer.ID
        var result: CopyResult
    }

    func perform(_ progress: inout Progress) async throws {
        let (unit, standing) = (progress.unit, progress.standing)
        let copied = try await unit.claims.filter { $0.next == .copy }.allAtOnce { state in
            guard let mover = standing[state.id] else { throw Refusal("no mover stands for it") }
            let result = try await copy.copy(state, by: mover)
            let files = result.statistics?.transferredFiles ?? 0
            journal.info(state.title, "copied: \(result.inWords), \(files) of them transferred")
            return Copied(id: state.id, result: result)
        }
        if let intruder = try await users.intruder(on: unit, besides: progress.ended) {
            throw Failure(
                place: unit.title,
                reason: "\(intruder) used the claims meanwhile, so what was copied may not be of one moment; run again"
            )
        }
        for mover in standing.values { try await movers.remove(mover) }
        progress.standing = [:]
        for one in copied { progress.copies[one.id] = one.result }
        for index in progress.unit.claims.indices where progress.copies[progress.unit.claims[index].id] != nil {
            progress.unit.claims[index].copied = true
        }
    }
}
