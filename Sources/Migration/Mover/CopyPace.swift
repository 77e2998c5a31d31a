import Kubernetes

/// How fast a copy goes: what its mover says from time to time, made into what a person wants to know.
struct CopyPace {
    /// The rate is that of so long: short enough to show a change, long enough not to dance.
    private static let window: Duration = .seconds(15)
    /// Lines may come in bursts, and nobody reads faster.
    private static let interval: Duration = .seconds(1)

    private var samples: [(time: Duration, bytes: Int64)] = []
    private var isTotalKnown = true
    private(set) var last: CopyAmount?

    /// Takes in what the mover says.
    ///
    /// - Parameter now: when it said so.
    /// - Returns: how the copy goes, or nil where that was told a moment ago.
    mutating func add(_ amount: CopyAmount, at now: Duration) -> CopyProgress? {
        // What is less was cut off at its beginning: a mover copies ever more.
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
