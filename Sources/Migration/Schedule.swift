import Kubernetes

/// Decides which unit begins next: the largest that has room on its nodes, and in its namespace where a quota lets
/// units go only one by one, in their order.
struct Schedule {
    private struct Entry {
        var unit: Int
        var size: Int64
        var nodes: Set<String>
        /// The namespace, where its units go one by one.
        var lane: String?
        var preparation = Preparation.none
    }

    /// The readiness of a unit before its turn.
    private enum Preparation { case none, underWay, done }

    private var waiting: [Entry]
    private var running: [Int: Entry] = [:]
    private let limit: Int
    private let limitPerNode: Int

    init(_ discovery: Discovery, atMost limit: Int, perNode: Int) {
        (self.limit, limitPerNode) = (limit, perNode)
        waiting = discovery.units.enumerated().map { number, unit in
            let namespace = unit.claims.first?.name.namespace ?? ""
            return Entry(
                unit: number,
                size: unit.claims.compactMap(\.sourceSize?.bytes).sum(),
                nodes: Set(unit.claims.compactMap(\.nodeOfPods)),
                lane: discovery.oneByOne.contains(namespace) ? namespace : nil
            )
        }
    }

    /// Returns the number of the unit to begin now; nil where there is none, or no room before another ends.
    mutating func next() -> Int? {
        guard running.count < limit else { return nil }
        var lanes = Set(running.values.compactMap(\.lane))
        let best = largest { entry in
            // Only the first unit of a lane counts.
            if let lane = entry.lane, !lanes.insert(lane).inserted { return false }
            return entry.preparation != .underWay && entry.nodes.allSatisfy(hasRoom)
        }
        guard let best else { return nil }
        let entry = waiting.remove(at: best)
        running[entry.unit] = entry
        return entry.unit
    }

    /// Returns the number of the largest waiting unit to be made ready now; nil where as many are ready as run at a
    /// time.
    mutating func nextToPrepare() -> Int? {
        guard waiting.count(where: { $0.preparation != .none }) < limit else { return nil }
        // A lane has room for one unit only.
        guard let best = largest(where: { $0.preparation == .none && $0.lane == nil }) else { return nil }
        waiting[best].preparation = .underWay
        return waiting[best].unit
    }

    /// Returns the place of the largest waiting unit, the first of several.
    private func largest(where isOpen: (Entry) -> Bool) -> Int? {
        var best: Int?
        for (index, entry) in waiting.enumerated() where isOpen(entry) {
            if best.map({ waiting[$0].size < entry.size }) ?? true { best = index }
        }
        return best
    }

    private func hasRoom(_ node: String) -> Bool {
        running.values.count { $0.nodes.contains(node) } < limitPerNode
    }

    /// Records that a unit is ready, or has ended, whatever its result.
    mutating func end(_ unit: Int) {
        running[unit] = nil
        if let index = waiting.firstIndex(where: { $0.unit == unit }) { waiting[index].preparation = .done }
    }
}

extension ClaimState {
    /// The node of the claim's pods; where they are gone, their last one.
    fileprivate var nodeOfPods: String? {
        transfer.consumer?.nodeName ?? source?.metadata.annotation(Marks.sourceNode)
    }
}
