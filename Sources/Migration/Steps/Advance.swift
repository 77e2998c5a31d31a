import Kubernetes

/// Performs the actions of claims in order, as long as they belong to a step.
struct Advance: Sendable {
    private let reader: StateReader
    private let time: TimeSource

    init(_ context: Context) {
        (reader, time) = (StateReader(context), context.time)
    }

    /// Performs a claim's actions.
    ///
    /// After a conflict or a lost answer it looks again and decides again, a limited number of times.
    ///
    /// - Parameters:
    ///   - state: The state as read before. It is kept up to date.
    ///   - perform: Performs an action and returns the resulting state, or nil for an action of another step.
    /// - Throws: The error of `perform`, once looking again did not help.
    func one(
        _ state: ClaimState,
        _ perform: (ClaimState, Action) async throws -> ClaimState?
    ) async throws -> ClaimState {
        var state = state
        var backoff = Backoff()
        var end = time.now() + .seconds(120)
        // The limit is far above what a claim needs. Somebody who undoes the actions all the time does not keep us busy
        // for ever.
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

    /// The last state of one of several claims, and the error that stopped it.
    private struct Reached: Sendable {
        var state: ClaimState
        var failure: (any Error)?
    }

    /// Advances all claims of a unit side by side. The first failure is thrown when all have ended.
    func all(
        _ progress: inout Progress,
        _ perform: @escaping @Sendable (ClaimState, Action) async throws -> ClaimState?
    ) async throws {
        let claims = progress.unit.claims
        // These are structs, and nothing that a group's body captured is changed: with tuples the optimiser of Swift
        // 6.3 made a program that trapped here.
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
    /// Runs work on each claim, all at once. The first failure cancels the others.
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
