import Kubernetes

/// Finds the users of claims.
struct UsageSearch: Sendable {
    private let source: Client
    private let options: Options
    private let workloads: Workloads

    init(_ context: Context) {
        (source, options) = (context.source, context.options)
        workloads = Workloads(context)
    }

    /// - Throws: `APIError`.
    func find(of states: [ClaimState], in inventory: Inventory, _ scalers: Scalers) async throws -> ClaimUsage {
        let names = Set(states.map(\.name))
        var usage = ClaimUsage(transfers: Dictionary(grouping: states, by: \.name).mapValues { $0.map(\.id) })
        var claims = MountedClaims(inventory)
        var search = OwnerSearch(source, inventory, options, workloads)
        // A rebound claim only waits until its workload is ready. Nothing is stopped for it.
        let rebound = Set(states.filter { $0.isRebound || $0.isApart }.map(\.name))
        for pod in inventory.users where !pod.neverRuns {
            let mounted = Set(pod.claimNames.map { ObjectName($0, in: pod.metadata.namespace) })
            guard !mounted.isDisjoint(with: names) else { continue }
            let blocked = mounted.intersection(names).subtracting(rebound)
            if pod.isFinished {
                guard pod.metadata.controller == nil, !options.recreatesPods else { continue }
                usage.add(.ended(pod), to: blocked)
                continue
            }
            switch try await search.stop(for: pod) {
            case .workloads(let found):
                for workload in found { claims.add(mounted, of: workload) }
            case .impossible(let why):
                usage.add(Obstacle(namespace: pod.metadata.namespace, resource: pod.title, message: why), to: blocked)
            }
        }
        claims.add(scalers, of: names)
        let others = inventory.candidates(options).subtracting(names)
        for workload in claims.workloads.sorted(by: Workload.stopsBefore) {
            usage.add(workload, mounting: claims.of(workload), names, others, inventory)
        }
        return usage
    }
}
