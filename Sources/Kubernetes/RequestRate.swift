import Synchronization

/// How many requests a client begins: so many a second, and twice as many at once after a pause. Those that have to wait
/// begin in the order in which they came.
public final class RequestRate: Sendable {
    private let interval: Duration
    private let burst: Duration
    /// When the requests so far would all have begun, one after the other at the interval.
    private let end = Mutex<Duration?>(nil)

    /// - Parameter perSecond: at least 1.
    public init(perSecond: Int) {
        interval = .seconds(1) / perSecond
        burst = .seconds(2)
    }

    /// Waits until the next request may begin.
    ///
    /// - Throws: `CancellationError`.
    func turn(_ time: TimeSource) async throws {
        let now = time.now()
        let beginning = end.withLock { end in
            let last = max(end ?? now, now) + interval
            end = last
            return last - burst
        }
        if beginning > now { try await time.sleep(beginning) }
    }
}
