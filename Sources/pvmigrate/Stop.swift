import Migration

/// The person's wish to stop, as the command hears of it.
final class Stop: Sendable {
    /// What the migration looks at.
    let interruption = Interruption()
    private let (ends, end) = AsyncStream<Never>.makeStream()

    /// Says that everything is to be brought to a safe state.
    func request() {
        interruption.request()
        end.finish()
    }

    /// Does something that only reads, and gives it up at once when the person wants to stop.
    ///
    /// To be used once: a stream whose reader is cancelled ends.
    ///
    /// - Throws: what `read` throws, `CancellationError` where it was given up.
    func unlessRequested<Value: Sendable>(_ read: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await read() }
            group.addTask { [ends] in
                for await _ in ends {}
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let value = first else { throw CancellationError() }
            return value
        }
    }
}
