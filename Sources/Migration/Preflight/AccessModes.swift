import Kubernetes

/// Checks that pods can mount claims with their new access modes.
struct AccessModeCheck: Sendable {
    private let lists: SelectedObjects

    init(_ context: Context) { lists = SelectedObjects(context.source, context.options.selection) }

    /// Returns the obstacles of claims with a new access mode: all their pods must be able to mount them with it.
    func obstacles(_ discovery: Discovery) async throws -> [Obstacle] {
        let states = discovery.units.flatMap(\.claims).filter { $0.seal == nil && $0.newAccessMode != nil }
        guard !states.isEmpty else { return [] }
        // An unreadable pod is an obstacle by itself.
        let pods = try await lists.listReadable(Pod.self).items
        let workloads = discovery.units.flatMap(\.workloads)
        return states.compactMap { state in
            let users = pods.filter {
                $0.metadata.namespace == state.name.namespace && $0.mounts([state.name.name]) && !$0.isFinished
                    && !$0.isMover { $0 == state.name.name ? state.claim?.metadata.uid : nil }
            }
            // Each replica of a StatefulSet has claims of its own; its pods show the claims that they share.
            let replicas = workloads.filter {
                $0.name.namespace == state.name.namespace && $0.claimNames.contains(state.name.name)
                    && $0.resource != .statefulSets
            }.map(\.replicas)
            let why = state.conflict(
                pods: max(users.count, replicas.max() ?? 0),
                nodes: Set(users.compactMap(\.spec.nodeName)).sorted()
            )
            return why.map {
                Obstacle(namespace: state.name.namespace, resource: state.title, message: $0)
            }
        }
    }
}

extension ClaimState {
    /// The access mode that the claim's owner requests, where it differs from the present ones.
    fileprivate var newAccessMode: AccessMode? {
        guard let claim, let wanted = claim.wantedAccessMode,
            claim.spec.accessModes != [wanted]
        else { return nil }
        return wanted
    }

    /// Returns the reason why these pods could not use the claim any more; nil where they can.
    fileprivate func conflict(pods: Int, nodes: [String]) -> String? {
        guard let mode = newAccessMode, pods > 1 else { return nil }
        let advice = "; scale to one pod, or change the annotation \(Marks.accessMode)"
        switch mode {
        case .readWriteOncePod:
            return "is to be \(mode), but \(pods) pods use it, of which only one could start again\(advice)"
        case .readWriteOnce:
            let places = nodes.count > 1 ? " on the nodes \(nodes.joined(separator: ", "))" : ""
            return "is to be \(mode), which is for one node, but \(pods) pods use it\(places)\(advice)"
        default: return nil
        }
    }
}
