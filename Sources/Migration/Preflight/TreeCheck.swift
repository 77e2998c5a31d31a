import Kubernetes

/// Looks at both ends of copies to and from this computer before anything is stopped.
struct TreeCheck: Sendable {
    private let options: Options
    private let journal: Journal
    private let movers: TreeMovers
    private let copy: TreeCopy

    init(_ context: Context) {
        (options, journal) = (context.options, context.journal)
        movers = TreeMovers(context)
        copy = TreeCopy(context)
    }

    /// Has a mover look at each claim that one can mount beside its pods.
    func obstacles(_ discovery: Discovery, _ interruption: Interruption) async throws -> [Obstacle] {
        let units = discovery.units.filter(\.obstacles.isEmpty)
        let states = units.flatMap(\.claims).filter { $0.next == .copy }
        return await states.sideBySide { await look(at: $0, interruption) }.flatMap(\.self)
    }

    private func look(at state: ClaimState, _ interruption: Interruption) async -> [Obstacle] {
        func obstacle(_ message: String) -> [Obstacle] {
            [Obstacle(namespace: state.name.namespace, resource: state.title, message: message)]
        }
        if state.isOfNodeUnknown { return obstacle(state.adviceOnNode) }
        guard !state.isExclusive || state.transfer.consumer?.nodeName == nil else {
            journal.info(
                state.title,
                "is looked at once its pods are gone: no second one can mount it (ReadWriteOncePod)"
            )
            return []
        }
        let found: [Obstacle]
        do {
            try await interruption.cancelling {
                let mover = try await movers.make(for: state, looks: true)
                let found = try await copy.judge(state, by: mover)
                if let why = try await copy.shortage(of: found, state, by: mover) {
                    throw Failure(place: state.title, reason: why)
                }
            }
            found = []
        } catch is CancellationError {
            found = []
        } catch let failure as Failure where failure.place == state.title {
            found = obstacle(failure.reason)
        } catch {
            found = obstacle("\(error)")
        }
        await journal.orWarn(state.title) { try await movers.removeLeftovers(of: state, looks: true) }
        return found
    }
}
