/// Where time comes from: the machine's clock, or a test's own.
///
/// Everything that waits takes its time from one of these, so that a whole migration can be run in milliseconds.
public struct TimeSource: Sendable {
    /// The time since a fixed moment in the past.
    public var now: @Sendable () -> Duration
    /// Suspends until a moment, as `now` counts; throws `CancellationError` when the task is cancelled before.
    public var sleep: @Sendable (_ until: Duration) async throws -> Void

    public init(
        now: @escaping @Sendable () -> Duration,
        sleep: @escaping @Sendable (_ until: Duration) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }

    /// The machine's clock, which also counts while the machine is suspended.
    public static let continuous: TimeSource = {
        let start = ContinuousClock.now
        return TimeSource(
            now: { start.duration(to: .now) },
            sleep: { moment in try await Task.sleep(until: start + moment, clock: .continuous) }
        )
    }()
}
