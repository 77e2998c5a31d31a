import Kubernetes
import Migration

/// When the steps and outages of each unit were, from the milestones of a run.
struct Timeline {
    struct Span {
        var name: String
        var begin: Duration
        /// Nil while it lasts.
        var end: Duration?
        var failed = false
    }

    struct Row {
        var unit: String
        var claims: [ObjectName]
        var steps: [Span] = []
        var outages: [Span] = []
    }

    /// In the order in which the units were begun.
    private(set) var rows: [Row] = []

    /// Those whose workloads were stopped and could not be started again.
    var claimsThatAreDown: Set<ObjectName> {
        Set(rows.filter { row in row.outages.contains { $0.end == nil } }.flatMap(\.claims))
    }

    init(_ milestones: [Milestone]) {
        var indices: [String: Int] = [:]
        for milestone in milestones {
            let index = indices[milestone.unit] ?? rows.count
            if index == rows.count { rows.append(Row(unit: milestone.unit, claims: milestone.claims)) }
            indices[milestone.unit] = index
            rows[index].add(milestone)
        }
    }
}

extension Timeline.Row {
    fileprivate mutating func add(_ milestone: Milestone) {
        switch milestone.kind {
        case .stepBegan(let step): steps.append(Timeline.Span(name: step, begin: milestone.elapsed))
        case .stepEnded(_, _, let failed):
            guard let last = steps.indices.last else { return }
            steps[last].end = milestone.elapsed
            steps[last].failed = failed
        case .outageBegan: outages.append(Timeline.Span(name: "outage", begin: milestone.elapsed))
        case .outageEnded:
            guard let last = outages.indices.last else { return }
            outages[last].end = milestone.elapsed
        case .ended: break
        }
    }
}
