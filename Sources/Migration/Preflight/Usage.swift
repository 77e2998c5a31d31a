import Kubernetes

/// How much of a claim's volume is used.
enum VolumeUsage: Sendable, Equatable {
    case bytes(Int64)
    /// It is not known, for a reason.
    case unknown(String)
}

/// Checks that what volumes hold fits on the new ones.
struct UsageCheck: Sendable {
    private let source: Client
    private let lists: SelectedObjects

    init(_ context: Context) {
        source = context.source
        lists = SelectedObjects(context.source, context.options.selection)
    }

    /// What the volumes hold fits on the destination, as far as it is known; what is to become smaller must be known.
    func obstacles(_ discovery: Discovery) async throws -> [Obstacle] {
        let states = discovery.units.flatMap(\.claims).filter { $0.seal == nil && $0.givenDestination == nil }
        let used = try await usage(of: states)
        return states.compactMap { state in
            state.misfit(used[state.id] ?? .unknown("no running pod mounts it")).map {
                Obstacle(namespace: state.name.namespace, resource: state.title, message: $0)
            }
        }
    }

    /// What the kubelets say of the claims that running pods mount.
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

/// What a kubelet says of the volumes of its pods.
private struct KubeletAnswer: Sendable {
    var node: String
    var statistics: NodeStatistics?
    var failure = ""

    func usage(of state: ClaimState) -> VolumeUsage {
        guard let statistics else { return .unknown(failure) }
        let volume = statistics.pods.lazy.flatMap { $0.volume ?? [] }.first {
            $0.pvcRef.map { ObjectName($0.name, in: $0.namespace) } == state.name
        }
        guard let used = volume?.usedBytes else { return .unknown("the kubelet of \(node) does not measure it") }
        let capacity = state.source?.spec.capacity?["storage"]?.bytes ?? 0
        // A file system that is a good deal larger than the volume holds others, too (a directory of an NFS server).
        guard let size = volume?.capacityBytes, size / 5 <= capacity / 4 else {
            return used <= state.size?.bytes ?? 0
                ? .bytes(used) : .unknown("it shares its file system with others, which hold \(used.inBytes) together")
        }
        return .bytes(used)
    }
}

extension ClaimState {
    /// Why what the source volume holds does not fit on the destination; nil where it does, or nobody knows and it
    /// is to be no smaller.
    fileprivate func misfit(_ usage: VolumeUsage) -> String? {
        guard let size, let sourceSize else { return nil }
        if isToShrink, claim?.volumeMode == .block {
            return
                "is a block device, which can't become smaller (\(size) instead of \(sourceSize)); ask for \(sourceSize) or more"
        }
        let advice = "or without a size (--dest-size, the annotation \(Marks.size))"
        switch usage {
        case .unknown(let why):
            // What an earlier run has staged it has checked, too; by now its pods may be stopped.
            guard isToShrink, ownStaging == nil || unfitStaging != nil else { return nil }
            return "is to be \(size) instead of \(sourceSize), but how much it holds is not known (\(why)); ask for "
                + "\(sourceSize) or more, \(advice)"
        case .bytes(let used):
            // A file system needs some of its room for itself.
            let limit = isToShrink ? size.bytes - size.bytes / 10 : size.bytes
            guard used > limit else { return nil }
            return isToShrink
                ? "holds \(used.inBytes), and is to be \(size) instead of \(sourceSize): a tenth has to stay free; ask for "
                    + "more, \(advice)"
                : "holds \(used.inBytes), which is more than the \(size) of its destination; ask for more (--dest-size, or "
                    + "the annotation \(Marks.size))"
        }
    }
}
