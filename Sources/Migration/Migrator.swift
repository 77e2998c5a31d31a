public import Kubernetes

/// Everything that the steps share.
public struct Migrator: Sendable {
    public internal(set) var client: Client
    public let options: Options
    let limits: Limits
    public let journal: Journal
    let findings = Findings()
    /// Nil where no Events are wanted.
    let recorder: EventRecorder?

    public init(client: Client, options: Options, limits: Limits = Limits(), journal: Journal) {
        self.client = client
        self.options = options
        self.limits = limits
        self.journal = journal
        recorder = options.recordsEvents ? EventRecorder() : nil
    }

    var time: TimeSource { client.time }
}

/// Whether what uses a claim was seen ready on its new volume.
enum Sighting: Sendable, Equatable {
    /// It was, or nothing uses it.
    case seen
    case unseen(why: String)
}

/// How far a unit has come.
struct Progress: Sendable {
    var unit: Unit
    /// True where something was done before its turn.
    var isPrepared = false
    /// When the first workload was asked to stop, and when the last was asked to start again.
    var stopped: Duration?
    var started: Duration?
    var copies: [Transfer.ID: CopyResult] = [:]
    var passes: [Transfer.ID: Passes] = [:]
    /// Of the claims that were bound to their new volumes when it was looked for: whether a ready workload was seen there.
    var readiness: [Transfer.ID: Sighting] = [:]
    /// The UIDs of the pods that had ended when nothing used the claims any more.
    var ended: Set<String> = []
    /// The claims whose old volumes are kept, since pods may have written to them after the copy, each with whose.
    var disturbed: [Transfer.ID: String] = [:]
    /// The UIDs of the workloads that somebody has deleted meanwhile.
    var deleted: Set<String> = []
    /// The claims whose new volumes are where their pods can't be.
    var misplaced: Set<Transfer.ID> = []

    /// True when some claim has yet to be copied, or its source claim to be deleted: its pods must not run.
    var needsQuiet: Bool { unit.claims.contains(where: \.next.needsQuiet) }
    var isDone: Bool { unit.claims.allSatisfy { $0.next == .done } }

    /// Takes over how a volume is now that bears a record, so that what is decided next knows it.
    mutating func take(_ volume: PersistentVolume?) {
        guard let volume else { return }
        for index in unit.claims.indices where unit.claims[index].source?.metadata.uid == volume.metadata.uid {
            unit.claims[index].source = volume
        }
    }
}

extension Migrator {
    /// Performs a claim's actions, one after the other, as long as they belong to a step.
    ///
    /// A conflict, or an answer that did not come, means to look again and decide again; that is bounded.
    ///
    /// - Parameters:
    ///   - state: read before and kept up to date.
    ///   - perform: performs an action and returns the state that it leads to, or nil for an action that is not the
    ///     step's.
    /// - Throws: what `perform` throws, once looking again did not help.
    func advance(
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
            } catch let error as APIError where Self.isWorthAnotherLook(error) {
                let pause = backoff.next()
                guard time.now() + pause < end else { throw error }
                try await time.sleep(time.now() + pause)
                state = try await client.observe(state)
            }
        }
        throw Failure(place: state.title, reason: "somebody else keeps changing the same objects")
    }

    /// True where the cluster may be another than was thought, or the effect of a request is unknown.
    static func isWorthAnotherLook(_ error: APIError) -> Bool {
        switch error.reason {
        case .conflict, .unavailable, .notFound, .alreadyExists, .expired: true
        default: false
        }
    }

    /// How far one of several claims came, and what stopped it.
    private struct Advance: Sendable {
        var state: ClaimState
        var failure: (any Error)?
    }

    /// Advances all claims of a unit side by side; the first failure is thrown when all have ended.
    func advanceAll(
        _ progress: inout Progress,
        _ perform: @escaping @Sendable (ClaimState, Action) async throws -> ClaimState?
    ) async throws {
        let before = progress
        // Structs, and no changes of what a group's body captured: with tuples the optimiser of Swift 6.3 made a program
        // that trapped here.
        let outcomes = await withTaskGroup(of: Advance.self) { group in
            for state in before.unit.claims {
                group.addTask {
                    do {
                        return Advance(state: try await advance(state, perform))
                    } catch {
                        return Advance(state: state, failure: Self.located(error, at: state.title))
                    }
                }
            }
            var outcomes: [Transfer.ID: Advance] = [:]
            for await outcome in group { outcomes[outcome.state.id] = outcome }
            return outcomes
        }
        progress.unit.claims = before.unit.claims.map { outcomes[$0.id]?.state ?? $0 }
        let failure = before.unit.claims.lazy.compactMap { outcomes[$0.id]?.failure }.first
        if let failure { throw failure }
    }

    /// Does something with several claims side by side; the first failure cancels the others.
    func sideBySide<Result: Sendable>(
        _ states: [ClaimState],
        _ work: @escaping @Sendable (ClaimState) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: Result.self) { group in
            for state in states {
                group.addTask {
                    do { return try await work(state) } catch { throw Self.located(error, at: state.title) }
                }
            }
            var results: [Result] = []
            for try await result in group { results.append(result) }
            return results
        }
    }

    /// Says of which object an error speaks, where it doesn't itself.
    static func located(_ error: any Error, at place: String) -> any Error {
        if error is CancellationError || error is Failure { return error }
        return Failure(place: place, reason: "\(error)")
    }
}

/// Why a unit could not be migrated.
struct Failure: Error, CustomStringConvertible {
    var place: String
    var reason: String
    var description: String { "\(place): \(reason)" }
}
