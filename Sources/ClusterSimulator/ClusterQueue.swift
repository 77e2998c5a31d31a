/// Work that is waiting for its moment.
struct WorkQueue: Sendable {
    private struct Entry: Sendable {
        var due: Duration
        /// Orders what is due at the same moment.
        var tie: UInt64
        var work: Work
    }

    /// The latest first, so that the next is taken from the end.
    private var entries: [Entry] = []
    private var moments: [Work: Duration] = [:]

    var next: Duration? { entries.last?.due }

    mutating func add(_ work: Work, at due: Duration, tie: UInt64) {
        if let waiting = moments[work] {
            if waiting <= due { return }
            let index = place { $0.due <= waiting }
            if let index = entries[index...].firstIndex(where: { $0.work == work }) { entries.remove(at: index) }
        }
        moments[work] = due
        entries.insert(Entry(due: due, tie: tie, work: work), at: place { ($0.due, $0.tie) < (due, tie) })
    }

    /// Where the first entry is of those for which something holds, which it does for all after it, too.
    private func place(where holds: (Entry) -> Bool) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if holds(entries[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    mutating func takeNext(until moment: Duration) -> (due: Duration, work: Work)? {
        guard let last = entries.last, last.due <= moment else { return nil }
        entries.removeLast()
        moments[last.work] = nil
        return (last.due, last.work)
    }
}

extension Cluster {
    /// Has work done after a while; the same work that already waits for an earlier moment is not queued twice.
    mutating func enqueue(_ work: Work, after delay: Duration = .zero) {
        queue.add(work, at: now + delay, tie: random.next())
    }

    /// When there will be something to do; nil when nothing waits.
    public var nextDue: Duration? { queue.next }

    /// Lets time pass and does all work that becomes due, in order; what is due at the same moment comes in an order
    /// that the seed decides.
    public mutating func advance(to moment: Duration) {
        while let (due, work) = queue.takeNext(until: moment) {
            now = max(now, due)
            Controllers.perform(work, &self)
        }
        now = max(now, moment)
        expireEvents()
    }
}
