public import Kubernetes
import Synchronization

/// The wish to stop. A signal sets it once from outside, and everything that waits sees it.
public final class Interruption: Sendable {
    private struct State {
        var requested = false
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextID = 0
    }

    private let state = Mutex(State())

    public init() {}

    /// True once somebody wants to stop.
    public var isRequested: Bool { state.withLock { $0.requested } }

    /// Requests that no more work begins, and that work in progress is brought to a safe state.
    public func request() {
        let waiters = state.withLock { state in
            state.requested = true
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        waiters.forEach { $0.resume() }
    }

    /// Waits until somebody wants to stop, or the task is cancelled.
    func wait() async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goOn = state.withLock { state in
                    // The task was cancelled, or the stop requested, before the waiter was in the list.
                    if state.requested || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if goOn { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}

extension TimeSource {
    /// Does some work and gives it up at a time limit.
    ///
    /// - Parameter what: What the work waits for, for the error.
    /// - Throws: `WaitTimeout` at the limit, else the error of the work.
    public func within<Value: Sendable>(
        _ limit: Duration,
        what: String,
        _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                try await sleep(now() + limit)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let value = first else {
                throw WaitTimeout(what: what, limit: limit)
            }
            return value
        }
    }
}

extension Interruption {
    /// Does some work and gives it up when somebody wants to stop.
    ///
    /// - Throws: `CancellationError` where it gave up, else the error of the work.
    public func cancelling<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value
    {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                await self.wait()
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let value = first else { throw CancellationError() }
            return value
        }
    }
}
