import Kubernetes

/// The pace of a copy, computed from its mover's reports for a person.
struct CopyPace {
    /// The time over which the rate is measured: short enough to show a change, long enough to be steady.
    private static let window: Duration = .seconds(15)
    /// The shortest time between two reports. Lines may come in bursts, and nobody reads faster.
    private static let interval: Duration = .seconds(1)

    private var samples: [(time: Duration, bytes: Int64)] = []
    private var isTotalKnown = true
    private(set) var last: CopyAmount?

    /// Adds a report of the mover.
    ///
    /// - Parameter now: The time of the report.
    /// - Returns: The progress of the copy; nil where it was reported a moment ago.
    mutating func add(_ amount: CopyAmount, at now: Duration) -> CopyProgress? {
        // A mover copies ever more, so a smaller amount lost its beginning.
        guard amount.bytes >= last?.bytes ?? 0 else { return nil }
        last = amount
        if let known = amount.isTotalKnown { isTotalKnown = known }
        if let before = samples.last, now - before.time < Self.interval { return nil }
        samples.append((now, amount.bytes))
        samples.removeAll { now - $0.time > Self.window }
        let total = isTotalKnown ? amount.total : nil
        guard let first = samples.first, now > first.time else {
            return CopyProgress(bytes: amount.bytes, total: total)
        }
        let rate = Double(amount.bytes - first.bytes) / ((now - first.time) / .seconds(1))
        let rest = total.map { Double(max(0, $0 - amount.bytes)) }
        return CopyProgress(
            bytes: amount.bytes,
            total: total,
            rate: Int64(rate),
            timeLeft: rate >= 1 ? rest.map { .seconds($0 / rate) } : nil
        )
    }
}
