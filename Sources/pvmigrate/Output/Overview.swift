import Kubernetes
import Migration

/// What is under way in a run, and how much is done: what a terminal shows all the time, and a pipe now and then.
struct Overview: Sendable, Equatable {
    struct Unit: Sendable, Equatable {
        var name: String
        var claims: [ObjectName]
        var step: String
        var stepBegan: Duration
        /// Since when its workloads are down; nil while they run.
        var outageBegan: Duration?
        /// How far its copies are; those of which nothing is known are missing.
        var copies: [ObjectName: CopyProgress] = [:]

        /// How far all of them are together.
        var copy: CopyProgress? {
            guard !copies.isEmpty else { return nil }
            let copies = copies.values
            let totals = copies.compactMap(\.total)
            let rates = copies.compactMap(\.rate)
            return CopyProgress(
                bytes: copies.map(\.bytes).sum(),
                total: totals.count == copies.count ? totals.sum() : nil,
                rate: rates.isEmpty ? nil : rates.sum(),
                timeLeft: copies.compactMap(\.timeLeft).max()
            )
        }
    }

    /// In the order in which they were begun.
    private(set) var units: [Unit] = []
    /// How many claims there are, and what became of those whose units have ended.
    var claims = 0
    private(set) var done = 0
    private(set) var failed = 0

    mutating func note(_ milestone: Milestone) {
        let index = units.firstIndex { $0.name == milestone.unit }
        switch milestone.kind {
        case .stepBegan(let step):
            guard let index else {
                let unit = Unit(
                    name: milestone.unit,
                    claims: milestone.claims,
                    step: step,
                    stepBegan: milestone.elapsed
                )
                units.append(unit)
                return
            }
            units[index].step = step
            units[index].stepBegan = milestone.elapsed
            units[index].copies = [:]
        case .stepEnded:
            guard let index else { return }
            // For its turn; where it is not that, the next step begins at once.
            units[index].step = "wait"
            units[index].stepBegan = milestone.elapsed
            units[index].copies = [:]
        case .outageBegan: if let index { units[index].outageBegan = milestone.elapsed }
        case .outageEnded: if let index { units[index].outageBegan = nil }
        case .ended(let isDone):
            if let index { units.remove(at: index) }
            if isDone { done += milestone.claims.count } else { failed += milestone.claims.count }
        }
    }

    /// - Returns: the unit that the claim is of.
    @discardableResult
    mutating func note(_ claim: ObjectName, _ progress: CopyProgress) -> Unit? {
        guard let index = units.firstIndex(where: { $0.claims.contains(claim) }) else { return nil }
        units[index].copies[claim] = progress
        return units[index]
    }
}

extension CopyProgress {
    /// How many hundredths are done; nil while nobody knows.
    var percent: Int? { total.map { $0 > 0 ? Int(min(100, Double(bytes) * 100 / Double($0))) : 100 } }

    /// As messages give it: `61% of 1.2 GiB, 105.3 MiB/s, 12 s left`.
    var inWords: String {
        let amount = percent.flatMap { percent in total.map { "\(percent)% of \($0.inBytes)" } } ?? bytes.inBytes
        let parts = [amount, rate.map { "\($0.inBytes)/s" }, timeLeft.map { "\($0.inWords) left" }]
        return parts.compactMap(\.self).joined(separator: ", ")
    }
}
