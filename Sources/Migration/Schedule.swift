import Kubernetes

/// Decides which unit begins next: the largest for which there is room on its nodes, and in its namespace where a quota
/// lets its units go only one by one, in their order.
struct Schedule {
    private struct Entry {
        var unit: Int
        var size: Int64
        var nodes: Set<String>
        /// The namespace, where its units go one by one.
        var lane: String?
    }

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
                size: unit.claims.reduce(0) { $0.addingReportingOverflow($1.sourceSize?.bytes ?? 0).partialValue },
                nodes: Set(unit.claims.compactMap(\.nodeOfPods)),
                lane: discovery.oneByOne.contains(namespace) ? namespace : nil
            )
        }
    }

    /// The number of the unit to begin with now; nil where there is none, or no room before another ends.
    mutating func next() -> Int? {
        guard running.count < limit else { return nil }
        var lanes = Set(running.values.compactMap(\.lane))
        var best: Int?
        for (index, entry) in waiting.enumerated() {
            // Of a lane only the first is looked at.
            if let lane = entry.lane, !lanes.insert(lane).inserted { continue }
            guard entry.nodes.allSatisfy(hasRoom) else { continue }
            if best.map({ waiting[$0].size < entry.size }) ?? true { best = index }
        }
        guard let best else { return nil }
        let entry = waiting.remove(at: best)
        running[entry.unit] = entry
        return entry.unit
    }

    private func hasRoom(_ node: String) -> Bool {
        running.values.count { $0.nodes.contains(node) } < limitPerNode
    }

    /// Says that a unit has come to its end, whatever that was.
    mutating func end(_ unit: Int) { running[unit] = nil }
}

extension ClaimState {
    /// The node on which its pods are; where they are gone, were.
    fileprivate var nodeOfPods: String? {
        consumer?.nodeName ?? source?.metadata.annotation(Marks.sourceNode)
    }
}
