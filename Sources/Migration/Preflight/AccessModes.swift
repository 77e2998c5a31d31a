import Kubernetes

/// Checks that pods can live with the access modes that claims are to have.
struct AccessModeCheck: Sendable {
    private let lists: SelectedObjects

    init(_ context: Context) { lists = SelectedObjects(context.source, context.options.selection) }

    /// Where a claim's owner asks for another access mode: its pods must all be able to mount the claim with that one.
    func obstacles(_ discovery: Discovery) async throws -> [Obstacle] {
        let states = discovery.units.flatMap(\.claims).filter { $0.seal == nil && $0.newAccessMode != nil }
        guard !states.isEmpty else { return [] }
        // One that can't be read stands in the way by itself.
        let pods = try await lists.listReadable(Pod.self).items
        let workloads = discovery.units.flatMap(\.workloads)
        return states.compactMap { state in
            let users = pods.filter {
                $0.metadata.namespace == state.name.namespace && $0.mounts([state.name.name]) && !$0.isFinished
                    && !$0.isMover { $0 == state.name.name ? state.claim?.metadata.uid : nil }
            }
            // A StatefulSet's replicas have claims of their own; what they share is in their pods.
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
    /// The access mode that the claim's owner asks for, where the claim has others now.
    fileprivate var newAccessMode: AccessMode? {
        guard let claim, let wanted = claim.wantedAccessMode,
            claim.spec.accessModes != [wanted]
        else { return nil }
        return wanted
    }

    /// Why so many pods can't use the claim any more.
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
