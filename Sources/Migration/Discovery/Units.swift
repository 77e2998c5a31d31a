import Kubernetes

/// The workloads that use claims, and the pods that no run can stop.
struct ClaimUsage {
    var workloads: [(workload: Workload, claims: Set<ObjectName>)] = []
    var obstacles: [Transfer.ID: [Obstacle]] = [:]
    /// The transfers of each source claim, by the name that pods mount.
    let transfers: [ObjectName: [Transfer.ID]]
    /// The workloads that also mount claims of the class that are not chosen.
    var cuts: [Obstacle] = []
}

/// The claims that each workload mounts, by its template and by its pods.
struct MountedClaims {
    private(set) var workloads: [Workload]
    private var claims: [String: Set<ObjectName>] = [:]

    init(_ inventory: Inventory) {
        workloads = inventory.workloads
        for workload in workloads { claims[workload.metadata.uid] = Set(workload.mountedClaims) }
    }

    func of(_ workload: Workload) -> Set<ObjectName> { claims[workload.metadata.uid] ?? [] }

    mutating func add(_ mounted: Set<ObjectName>, of workload: Workload) {
        claims[workload.metadata.uid, default: []].formUnion(mounted)
        if !workloads.contains(where: { $0.metadata.uid == workload.metadata.uid }) { workloads.append(workload) }
    }

    /// Adds the scalers that can be paused, above workloads that mount some of the claims.
    mutating func add(_ scalers: Scalers, of names: Set<ObjectName>) {
        for workload in workloads {
            let mounted = of(workload).intersection(names)
            guard !mounted.isEmpty else { continue }
            for above in scalers.pausable(above: workload) where claims[above.metadata.uid] == nil {
                claims[above.metadata.uid] = mounted
                workloads.append(above)
            }
        }
    }
}

extension ClaimUsage {
    mutating func add(_ obstacle: Obstacle, to claims: Set<ObjectName>) {
        for id in claims.flatMap({ transfers[$0] ?? [] }) { obstacles[id, default: []].append(obstacle) }
    }

    /// Adds a workload that mounts some of the chosen claims.
    mutating func add(
        _ workload: Workload,
        mounting mounted: Set<ObjectName>,
        _ names: Set<ObjectName>,
        _ others: Set<ObjectName>,
        _ inventory: Inventory
    ) {
        let claims = mounted.intersection(names)
        guard let first = claims.first else { return }
        var workload = workload
        workload.claimNames.formUnion(claims.map(\.name))
        workloads.append((workload, claims))
        let left = mounted.intersection(others)
        if !left.isEmpty { cuts.append(workload.cut(between: claims, and: left)) }
        for state in inventory.limbo(among: mounted.subtracting(names)) {
            add(workload.waits(for: state), to: [first])
        }
        // With an unreadable mark the workload could be stopped, but not started again.
        do {
            _ = try workload.markedScale()
        } catch {
            let obstacle = Obstacle(
                namespace: workload.name.namespace,
                resource: workload.title,
                message: "\(error); correct or remove it"
            )
            add(obstacle, to: [first])
        }
    }
}

extension Obstacle {
    /// Returns the obstacle of a pod that has ended and has no owner.
    static func ended(_ pod: Pod) -> Obstacle {
        Obstacle(
            namespace: pod.metadata.namespace,
            resource: pod.title,
            message: "has ended (\(pod.phase)), but holds its claim as long as it exists; delete it first, or give "
                + "--recreate-pods to have it deleted (it is not created again)"
        )
    }
}

extension Unit {
    /// Returns the connected components of claims and workloads.
    static func components(
        of states: [ClaimState],
        usage: ClaimUsage,
        obstacles: [Transfer.ID: [Obstacle]]
    ) -> [Unit] {
        var unassigned = Dictionary(grouping: states, by: \.name)
        var units: [Unit] = []
        for first in unassigned.keys.sorted() {
            guard unassigned[first] != nil else { continue }
            var names: Set<ObjectName> = [first]
            var workloads: Set<String> = []
            var grown = true
            while grown {
                let connected = usage.workloads.filter { !$0.claims.isDisjoint(with: names) }
                let all = connected.reduce(names) { $0.union($1.claims) }
                grown = all.count > names.count
                names = all
                workloads = Set(connected.map(\.workload.metadata.uid))
            }
            let claims = names.sorted().flatMap { unassigned.removeValue(forKey: $0) ?? [] }
            units.append(
                Unit(
                    claims: claims,
                    workloads: usage.workloads.map(\.workload).filter { workloads.contains($0.metadata.uid) },
                    obstacles: claims.flatMap { obstacles[$0.id] ?? [] }
                )
            )
        }
        return units
    }
}
