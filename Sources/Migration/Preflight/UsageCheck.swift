import Kubernetes

/// Checks that the contents of volumes fit on the new ones.
struct UsageCheck: Sendable {
    private let source: Client
    private let lists: SelectedObjects

    init(_ context: Context) {
        source = context.source
        lists = SelectedObjects(context.source, context.options.selection)
    }

    /// Checks that the contents fit, as far as their size is known. For a volume that is to become smaller it must be
    /// known.
    func obstacles(_ discovery: Discovery) async throws -> [Obstacle] {
        let states = discovery.units.flatMap(\.claims).filter {
            $0.seal == nil && $0.givenDestination == nil && !$0.transfer.method.keepsStorage
        }
        let used = try await usage(of: states)
        return states.compactMap { state in
            state.misfit(used[state.id] ?? .unknown("no running pod mounts it")).map {
                Obstacle(namespace: state.name.namespace, resource: state.title, message: $0)
            }
        }
    }

    /// Returns the usage of claims that running pods mount, as the kubelets report it.
    private func usage(of states: [ClaimState]) async throws -> [Transfer.ID: VolumeUsage] {
        var nodesOfClaims: [ObjectName: String] = [:]
        for pod in try await lists.listReadable(Pod.self).items where pod.phase == .running {
            for name in pod.claimNames {
                nodesOfClaims[ObjectName(name, in: pod.metadata.namespace)] = pod.spec.nodeName
            }
        }
        var nodes: [Transfer.ID: String] = [:]
        for state in states { nodes[state.id] = nodesOfClaims[state.name] }
        guard !nodes.isEmpty else { return [:] }
        guard try await source.mayI("get", .nodes, subresource: "proxy") else {
            let why = "without the permission to get nodes/proxy; `pvmigrate rbac --dest-size 80%` grants it"
            return nodes.mapValues { _ in .unknown(why) }
        }
        let answers = await Set(nodes.values).sorted().sideBySide { await ask(kubeletOf: $0) }
        let byNode = Dictionary(answers.map { ($0.node, $0) }, uniquingKeysWith: { $1 })
        var usage: [Transfer.ID: VolumeUsage] = [:]
        for state in states { usage[state.id] = nodes[state.id].flatMap { byNode[$0] }?.usage(of: state) }
        return usage
    }

    private func ask(kubeletOf node: String) async -> KubeletAnswer {
        do {
            return KubeletAnswer(node: node, statistics: try await source.statistics(ofNode: node))
        } catch {
            return KubeletAnswer(node: node, failure: "\(error)")
        }
    }
}
