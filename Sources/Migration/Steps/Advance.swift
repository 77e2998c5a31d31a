import Kubernetes

/// Performs the actions of claims, one after the other, as long as they belong to a step.
struct Advance: Sendable {
    private let reader: StateReader
    private let time: TimeSource

    init(_ context: Context) {
        (reader, time) = (StateReader(context), context.time)
    }

    /// Performs a claim's actions.
    ///
    /// A conflict, or an answer that did not come, means to look again and decide again; that is bounded.
    ///
    /// - Parameters:
    ///   - state: read before and kept up to date.
    ///   - perform: performs an action and returns the state that it leads to, or nil for an action that is not the
    ///     step's.
    /// - Throws: what `perform` throws, once looking again did not help.
    func one(
        _ state: ClaimState,
        _ perform: (ClaimState, Action) async throws -> ClaimState?
    ) async throws -> ClaimState {
        var state = state
        var backoff = Backoff()
        var end = time.now() + .seconds(120)
        // Far more actions than a claim needs: whoever undoes them all the time doesn't keep us busy for ever.
        for _ in 1...100 {
            try Task.checkCancellation()
            do {
                guard let new = try await perform(state, state.next) else { return state }
                state = new
                backoff = Backoff()
                end = time.now() + .seconds(120)
            } catch let error as APIError where error.isWorthAnotherLook {
                let pause = backoff.next()
                guard time.now() + pause < end else { throw error }
                try await time.sleep(time.now() + pause)
                state = try await reader.read(state)
            }
        }
        throw Failure(place: state.title, reason: "somebody else keeps changing the same objects")
    }

    /// How far one of several claims came, and what stopped it.
    private struct Reached: Sendable {
        var state: ClaimState
        var failure: (any Error)?
    }

    /// Advances all claims of a unit side by side; the first failure is thrown when all have ended.
    func all(
        _ progress: inout Progress,
        _ perform: @escaping @Sendable (ClaimState, Action) async throws -> ClaimState?
    ) async throws {
        let claims = progress.unit.claims
        // Structs, and no changes of what a group's body captured: with tuples the optimiser of Swift 6.3 made a program
        // that trapped here.
        let reached = await withTaskGroup(of: Reached.self) { group in
            for state in claims {
                group.addTask {
                    do {
                        return Reached(state: try await one(state, perform))
                    } catch {
                        return Reached(state: state, failure: Failure.located(error, at: state.title))
                    }
                }
            }
            var reached: [Transfer.ID: Reached] = [:]
            for await one in group { reached[one.state.id] = one }
            return reached
        }
        progress.unit.claims = claims.map { reached[$0.id]?.state ?? $0 }
        let failure = claims.lazy.compactMap { reached[$0.id]?.failure }.first
        if let failure { throw failure }
    }
}

extension [ClaimState] {
    /// Does something with each claim, all at once; the first failure cancels the others.
    func allAtOnce<Result: Sendable>(
        _ work: @escaping @Sendable (ClaimState) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: Result.self) { group in
            for state in self {
                group.addTask {
                    do { return try await work(state) } catch { throw Failure.located(error, at: state.title) }
                }
            }
            var results: [Result] = []
            for try await result in group { results.append(result) }
            return results
        }
    }
}
