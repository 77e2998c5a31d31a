import Kubernetes

extension PersistentVolume {
    /// Returns the volumes that are other objects of the same storage. Their pods write to what this volume's pods see,
    /// and freeing its storage frees theirs. The other object of a retype is none of them: both have the policy Retain
    /// until one of them is gone.
    ///
    /// - Parameter nodes: The nodes on which volumes are mounted now, by the volumes' names, as far as known. One path
    ///   on two nodes is two directories.
    func sharedWith(
        _ volumes: some Sequence<PersistentVolume>,
        nodes: [String: Set<String>] = [:]
    ) -> [PersistentVolume] {
        let own = identities
        guard !own.isEmpty else { return [] }
        return volumes.filter { other in
            guard other.metadata.uid != metadata.uid, !isPaired(with: other) else { return false }
            let common = own.intersection(other.identities)
            return common.contains { !$0.isOfPlace } || !common.isEmpty && canBeWhere(other, is: nodes)
        }.sorted { $0.metadata.name < $1.metadata.name }
    }

    /// Returns false where the two are known to be in different places.
    private func canBeWhere(_ other: PersistentVolume, is nodes: [String: Set<String>]) -> Bool {
        if let mine = places(nodes), let others = other.places(nodes) { return !mine.isDisjoint(with: others) }
        guard let mine = spec.nodeAffinity, let others = other.spec.nodeAffinity else { return true }
        return mine == others
    }

    private func places(_ nodes: [String: Set<String>]) -> Set<String>? {
        metadata.annotation(Marks.sourceNode).map { [$0] } ?? nodes[metadata.name]
    }
}

extension Inventory {
    /// Returns the obstacles of claims whose storage belongs to other volume objects too. A claim past the point of no
    /// return is finished all the same, and its source volume kept.
    func sharedStorage(of states: inout [ClaimState]) -> [Transfer.ID: [Obstacle]] {
        let groups = Dictionary(
            volumes.values.flatMap { volume in volume.identities.map { ($0, [volume]) } },
            uniquingKeysWith: +
        )
        let nodes = nodesOfVolumes
        var obstacles: [Transfer.ID: [Obstacle]] = [:]
        for index in states.indices {
            let state = states[index]
            guard let source = state.source else { continue }
            let others = source.identities.flatMap { groups[$0] ?? [] }
            let candidates = Dictionary(others.map { ($0.metadata.name, $0) }) { $1 }
            let sharing = source.sharedWith(candidates.values, nodes: nodes)
            states[index].transfer.sharesSource = !sharing.isEmpty
            guard !state.isPastReturn else { continue }
            obstacles[state.id] = sharing.map {
                Obstacle(
                    namespace: state.name.namespace,
                    resource: state.title,
                    message: source.whyNotMigrated(besides: $0)
                )
            }
        }
        return obstacles
    }

    /// The nodes on which pods mount volumes now.
    private var nodesOfVolumes: [String: Set<String>] {
        var nodes: [String: Set<String>] = [:]
        for pod in pods where !pod.isFinished {
            guard let node = pod.spec.nodeName else { continue }
            for claim in pod.claimNames {
                guard let volume = claims[ObjectName(claim, in: pod.metadata.namespace)]?.spec.volumeName else {
                    continue
                }
                nodes[volume, default: []].insert(node)
            }
        }
        return nodes
    }
}

extension PersistentVolume {
    /// Returns the message about another volume object of the same storage, with what to do.
    fileprivate func whyNotMigrated(besides other: PersistentVolume) -> String {
        let (own, name) = (metadata.name, other.metadata.name)
        let common = identities.intersection(other.identities).map(\.text).sorted().joined(separator: ", ")
        let patch = #"--patch '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'"#
        var words = "its volume \(own) and the volume \(name) are the same storage (\(common)). "
        if let user = other.claim, other.phase == .bound {
            words +=
                "The claim \(user) uses it by \(name): its pods could write to it during the copy, and its data would be "
                + "freed with \(own). Where only one of the two claims is needed, stop what uses the other one; set both "
                + "volumes to Retain (kubectl patch pv \(own) \(name) \(patch)); then delete that claim and its volume "
                + "object, which with Retain frees no data. Where both are needed, leave them as they are"
        } else {
            words +=
                "No claim uses \(name) (\(other.phase)), but with one of the two the storage of both would be freed. Set "
                + "it to Retain (kubectl patch pv \(name) \(patch)), then delete its object (kubectl delete pv \(name)), "
                + "which with Retain frees no data"
        }
        guard identities.intersection(other.identities).allSatisfy(\.isOfPlace) else { return words }
        return words + ". Where they are directories of two nodes, say so for each: kubectl annotate pv \(own) "
            + "\(Marks.sourceNode)=NODE"
    }
}
