import Kubernetes

extension Migrator {
    /// Sets the source volumes' reclaim policy to Retain, before anything stops.
    ///
    /// The mark left behind: the former policy, the claim's UID, and the node and the user of the pods that mount the
    /// claim, on the source volume, in one patch.
    func protect(_ progress: inout Progress) async throws {
        try await advanceAll(&progress) { state, action in
            action == .unseal ? try await unseal(state) : nil
        }
        guard progress.unit.claims.contains(where: { progress.next($0) == .protect }) else { return }
        let pods = try await pods(of: progress.unit)
        let nodes = nodes(ofMounting: pods)
        // A mover that the Go tool has left is at work on what that run may finish no more.
        if pods.contains(where: { $0.isGoToolsMover(of: Set($0.claimNames)) }) {
            try await removeMovers(of: progress.unit)
        }
        try await advanceAll(&progress) { state, action in
            guard action == .protect, let source = state.source, let claim = state.claim else { return nil }
            var state = state
            var annotations: JSON = [:]
            annotations[Marks.reclaimPolicy] = JSON(state.originalPolicy)
            annotations[Marks.sourceUID] = .string(claim.metadata.uid)
            annotations[Marks.owner] = state.ownerOfPods.map { .string($0.mark) }
            if let node = nodes[state.name] { annotations[Marks.sourceNode] = .string(node) }
            var change: JSON = ["metadata": ["annotations": annotations]]
            if source.reclaimPolicy != .retain {
                change["spec"] = ["persistentVolumeReclaimPolicy": JSON(ReclaimPolicy.retain)]
            }
            state.source = try await client.patch(
                PersistentVolume.self,
                source.name,
                .merge(onto: source.metadata, change)
            )
            return state
        }
    }

    /// The node of a pod that mounts a claim, or of one that did and is still listed.
    private func nodes(ofMounting pods: [MountingPod]) -> [ObjectName: String] {
        var nodes: [ObjectName: String] = [:]
        // Running pods know best.
        for pod in pods.sorted(by: { $0.isFinished && !$1.isFinished }) {
            guard let node = pod.spec.nodeName else { continue }
            for claim in pod.claimNames { nodes[ObjectName(claim, in: pod.metadata.namespace)] = node }
        }
        return nodes
    }

    /// Takes the protection back where the unit goes back: the former policy, and no marks, but the one that proves that
    /// a staging claim that is kept is ours.
    func unprotect(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard state.seal == nil, state.isProtected || state.staging == nil && state.hasRecord, !state.isLost,
            let source = state.source
        else { return state }
        let kept: Set<String> = state.staging == nil ? [] : [Marks.stagingUID]
        state.source = try await client.giveBack(source, policy: state.originalPolicy, keeping: kept)
        return state
    }
}

extension Client {
    /// Gives a volume its reclaim policy back and takes our marks off it, in one patch.
    ///
    /// - Parameters:
    ///   - kept: the marks that stay.
    ///   - claimUID: what its claimRef gets as a UID.
    func giveBack(
        _ volume: PersistentVolume,
        policy: ReclaimPolicy,
        keeping kept: Set<String> = [],
        claimUID: String? = nil
    ) async throws -> PersistentVolume {
        let dropped = Marks.onVolumes.filter { !kept.contains($0) && volume.metadata.annotation($0) != nil }
        let marks: JSON = .object(Dictionary(uniqueKeysWithValues: dropped.map { ($0, JSON.null) }))
        var change: JSON = ["metadata": ["annotations": marks]]
        if volume.reclaimPolicy != policy { change[path: ["spec", "persistentVolumeReclaimPolicy"]] = JSON(policy) }
        if let claimUID { change[path: ["spec", "claimRef", "uid"]] = .string(claimUID) }
        return try await patch(PersistentVolume.self, volume.name, .merge(onto: volume.metadata, change))
    }
}
