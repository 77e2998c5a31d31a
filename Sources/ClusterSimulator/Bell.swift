import Kubernetes
import Synchronization

/// Wakes whoever waits for a change; a change between looking and waiting is not missed.
final class Bell: Sendable {
    private struct State {
        var rings = 0
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Void, any Error>] = [:]
    }

    private let state = Mutex(State())

    /// How often the bell has rung.
    var rings: Int { state.withLock { $0.rings } }

    func ring() {
        let waiters = state.withLock { state in
            state.rings += 1
            defer { state.waiters = [:] }
            return state.waiters
        }
        for key in waiters.keys.sorted() { waiters[key]?.resume() }
    }

    /// Returns when the bell has rung more often than that.
    func wait(past rings: Int) async throws {
        let waiter = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let goesOn = state.withLock { state in
                    if Task.isCancelled || state.rings > rings { return true }
                    state.waiters[waiter] = continuation
                    return false
                }
                guard goesOn else { return }
                continuation.resume(with: Task.isCancelled ? .failure(CancellationError()) : .success(()))
            }
        } onCancel: {
            let continuation = state.withLock { $0.waiters.removeValue(forKey: waiter) }
            continuation?.resume(throwing: CancellationError())
        }
    }

    /// Returns when the bell has rung more often than that, or at a moment.
    func wait(past rings: Int, until moment: Duration?, _ time: TimeSource) async throws {
        guard let moment else { return try await wait(past: rings) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.wait(past: rings) }
            group.addTask { try await time.sleep(moment) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
