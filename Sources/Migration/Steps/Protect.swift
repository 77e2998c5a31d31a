import Kubernetes

/// Sets the source volumes' reclaim policy to Retain, before anything stops.
///
/// - Before: the claims are bound to their source volumes.
/// - After: the source volume bears the former policy, the claim's UID, and the node and the user of the claim's pods,
///   in one patch with the policy. In a retype it also bears the name of its new object, and its provisioner has seen
///   Retain.
/// - Safe to repeat because: a volume that bears the claim's UID is left as it is.
/// - Undone by: `unprotect`, when the unit goes back.
struct Protect: UnitAction {
    private let source: Client
    private let advance: Advance
    private let users: UnitUsers
    private let movers: MoverPods
    private let sealing: Sealing
    private let volumes: Volumes

    init(_ context: Context) {
        source = context.source
        advance = Advance(context)
        users = UnitUsers(context)
        movers = MoverPods(context)
        sealing = Sealing(context)
        volumes = Volumes(context, context.source)
    }

    func perform(_ progress: inout Progress) async throws {
        guard progress.unit.claims.contains(where: \.next.isProtection) else { return }
        let pods = try await users.pods(of: progress.unit)
        let nodes = nodes(ofMounting: pods)
        // A mover that the Go tool left works for a run that may never be finished.
        if pods.contains(where: { $0.isGoToolsMover(of: Set($0.claimNames)) }) {
            try await movers.removeAll(of: progress.unit)
        }
        try await advance.all(&progress) { state, action in
            guard case .protect(let protection) = action else { return nil }
            switch protection {
            case .unseal: return try await sealing.unseal(state)
            case .protect: return try await protect(state, on: nodes[state.name])
            case .awaitProvisioner: return try await volumes.awaitProvisioner(state)
            }
        }
    }

    private func protect(_ start: ClaimState, on node: String?) async throws -> ClaimState {
        guard let volume = start.source, let claim = start.claim else { return start }
        var state = start
        var annotations: JSON = [:]
        annotations[Marks.reclaimPolicy] = JSON(state.originalPolicy)
        annotations[Marks.sourceUID] = .string(claim.metadata.uid)
        annotations[Marks.owner] = state.transfer.ownerOfPods.map { .string($0.mark) }
        annotations[Marks.sourceNode] = node.map(JSON.string)
        if state.transfer.method == .retype { annotations[Marks.retypedTo] = .string(volume.nameOfRetyped) }
        // What an earlier transfer has left says of this one what is not true.
        let stale = [Marks.ending, Marks.target, Marks.targetNamespace] + (volume.bearsSeal ? Marks.ofSeal : [])
        for mark in stale where volume.metadata.annotation(mark) != nil { annotations[mark] = .null }
        if !state.transfer.isInPlace {
            for (mark, value) in state.transfer.plan.marks { annotations[mark] = value }
        }
        var change: JSON = ["metadata": ["annotations": annotations]]
        if volume.reclaimPolicy != .retain {
            change["spec"] = ["persistentVolumeReclaimPolicy": JSON(ReclaimPolicy.retain)]
        }
        state.source = try await source.patch(
            PersistentVolume.self,
            volume.name,
            .merge(onto: volume.metadata, change)
        )
        return state
    }

    /// Returns the nodes of pods that mount claims, or did and are still listed.
    private func nodes(ofMounting pods: [MountingPod]) -> [ObjectName: String] {
        var nodes: [ObjectName: String] = [:]
        // A running pod overrides a finished one.
        for pod in pods.sorted(by: { $0.isFinished && !$1.isFinished }) {
            guard let node = pod.spec.nodeName else { continue }
            for claim in pod.claimNames { nodes[ObjectName(claim, in: pod.metadata.namespace)] = node }
        }
        return nodes
    }

    /// Takes back the protection of a unit that goes back: restores the policy and removes the marks, except the one
    /// that proves a kept staging claim to be ours.
    func unprotect(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard state.seal == nil, state.isProtected || state.staging == nil && state.hasRecord, !state.isLost,
            let volume = state.source
        else { return state }
        if let made = try await volumes.retyped(of: volume) {
            throw Failure(
                place: state.title,
                reason: "the volume object \(made.metadata.name) of the same storage exists, so that its volume "
                    + "\(volume.metadata.name) keeps the policy Retain; run again"
            )
        }
        // With the staging claim stays what it is for.
        let kept: Set<String> =
            state.staging == nil ? [] : [Marks.stagingUID, Marks.ending, Marks.target, Marks.targetNamespace]
        state.source = try await volumes.giveBack(volume, policy: state.originalPolicy, keeping: kept)
        return state
    }
}
