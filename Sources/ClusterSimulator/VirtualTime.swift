import Dispatch
public import Kubernetes
import Synchronization

/// Runs asynchronous code on the calling thread, one job at a time, in an order that a seed decides, with a clock that
/// jumps: when no job is ready, the time becomes that of the earliest sleeper.
///
/// So a run is repeated exactly by its seed, and hours pass in milliseconds.
public final class VirtualTime: TaskExecutor {
    /// Nothing is ready, nobody sleeps, and the operation has not returned.
    public struct Stuck: Error, CustomStringConvertible {
        public var now: Duration
        public var description: String { "nothing can happen any more, \(now) after the start" }
    }

    private struct Sleeper {
        var moment: Duration
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var random: SeededGenerator
        var now: Duration = .zero
        var ready: [UnownedJob] = []
        /// By number: of those that wake at the same moment, the first to come is first served.
        var sleepers: [Int: Sleeper] = [:]
        var nextSleeper = 0
        var isWaiting = false
    }

    private let state: Mutex<State>
    /// Wakes the running thread when a job comes from another thread.
    private let arrival = DispatchSemaphore(value: 0)
    /// How long to wait for other threads, in real time, when nothing is left to do here.
    private let patience: DispatchTimeInterval

    /// - Parameters:
    ///   - seed: decides the order of jobs that are ready at once.
    ///   - patience: how many milliseconds of real time to wait for jobs from other threads before it is `Stuck`.
    public init(seed: UInt64 = 1, patience: Int = 2000) {
        state = Mutex(State(random: SeededGenerator(seed: seed)))
        self.patience = .milliseconds(patience)
    }

    /// The clock; its sleepers wake by themselves, without real time passing.
    public var source: TimeSource {
        TimeSource(
            now: { [self] in state.withLock { $0.now } },
            sleep: { [self] moment in try await sleep(until: moment) }
        )
    }

    /// Runs an operation and everything that it starts, until it returns.
    ///
    /// - Throws: what the operation throws; `Stuck` when it waits for something that cannot happen.
    public func run<Result: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Result
    ) throws -> Result {
        let outcome = Mutex<Swift.Result<Result, any Error>?>(nil)
        let task = Task(executorPreference: self) {
            do {
                let result = try await operation()
                outcome.withLock { $0 = .success(result) }
            } catch {
                outcome.withLock { $0 = .failure(error) }
            }
        }
        var isCancelled = false
        while true {
            if let result = outcome.withLock({ $0 }) {
                finishJobs()
                return try result.get()
            }
            if runNextJob() || wakeNextSleeper() { continue }
            if waitForArrival() { continue }
            // Cancelling lets whoever still listens end in order; a second time nothing helps.
            if isCancelled { throw Stuck(now: state.withLock { $0.now }) }
            task.cancel()
            isCancelled = true
            if !runNextJob() { throw Stuck(now: state.withLock { $0.now }) }
        }
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let wakes = state.withLock { state in
            state.ready.append(job)
            defer { state.isWaiting = false }
            return state.isWaiting
        }
        if wakes { arrival.signal() }
    }

    // MARK: The loop

    private func runNextJob() -> Bool {
        let job: UnownedJob? = state.withLock { state in
            guard !state.ready.isEmpty else { return nil }
            let index = Int(state.random.next() % UInt64(state.ready.count))
            return state.ready.remove(at: index)
        }
        guard let job else { return false }
        job.runSynchronously(on: asUnownedTaskExecutor())
        return true
    }

    /// What is left when the operation has returned: ends of cancelled tasks.
    private func finishJobs() { while runNextJob() {} }

    private func wakeNextSleeper() -> Bool {
        let sleeper: Sleeper? = state.withLock { state in
            let next = state.sleepers.min { ($0.value.moment, $0.key) < ($1.value.moment, $1.key) }
            guard let next else { return nil }
            state.sleepers[next.key] = nil
            state.now = max(state.now, next.value.moment)
            return next.value
        }
        sleeper?.continuation.resume()
        return sleeper != nil
    }

    /// Waits for a job from another thread; says whether one came.
    private func waitForArrival() -> Bool {
        let isReady = state.withLock { state in
            state.isWaiting = state.ready.isEmpty
            return !state.ready.isEmpty
        }
        if isReady { return true }
        if arrival.wait(timeout: .now() + patience) == .success { return true }
        // A job that came at the last moment has signalled, or is about to.
        let hasCome = state.withLock { state in
            defer { state.isWaiting = false }
            return !state.isWaiting
        }
        if hasCome { arrival.wait() }
        return hasCome
    }

    // MARK: The clock

    private func sleep(until moment: Duration) async throws {
        let number = state.withLock { state in
            state.nextSleeper += 1
            return state.nextSleeper
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isCancelled = Task.isCancelled
                let sleeps = state.withLock { state in
                    guard moment > state.now, !isCancelled else { return false }
                    state.sleepers[number] = Sleeper(moment: moment, continuation: continuation)
                    return true
                }
                if sleeps { return }
                continuation.resume(with: isCancelled ? .failure(CancellationError()) : .success(()))
            }
        } onCancel: {
            let sleeper = state.withLock { $0.sleepers.removeValue(forKey: number) }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }
}
