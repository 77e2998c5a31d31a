import Kubernetes

/// Binds the staging claims and pulls the image while the workloads run, so that neither is part of the outage. A pod
/// at each mover's place does it, which copies nothing. Passes have done it already.
///
/// Where it fails, the mover would fail later, after a stop for nothing. So the workload is not stopped.
///
/// - Before: the staging claims exist.
/// - After: the staging claims are bound, and the image is on the nodes.
/// - Safe to repeat because: it copies nothing.
/// - Undone by: nothing.
struct MakeReady: UnitAction {
    private let journal: Journal
    private let findings: Findings
    private let reader: StateReader
    private let movers: Movers
    private let nodes: Nodes

    init(_ context: Context) {
        (journal, findings) = (context.journal, context.findings)
        reader = StateReader(context)
        movers = Movers(context)
        nodes = Nodes(context)
    }

    func perform(_ progress: inout Progress) async throws {
        let unit = progress.unit
        guard unit.isRunning else { return }
        let nodesWithImage = findings.all.nodesWithImage
        let open = unit.claims.filter { state in
            guard state.seal == nil, state.next == .copy, let node = state.nodeOfUse else { return false }
            return state.staging?.phase != .bound || !nodesWithImage.contains(node)
        }
        let ready = try await open.allAtOnce { try await makeReady($0) }
        progress.unit.claims = unit.claims.map { state in ready.first { $0.id == state.id } ?? state }
    }

    private func makeReady(_ state: ClaimState) async throws -> ClaimState {
        let route = state.route(in: try await nodes.routeSites(of: state, isInUse: true), isInUse: true)
        // The pod does not mount the source volume, so only the route keeps the destination volume where both can be
        // mounted. The pods of a copy over the network are elsewhere anyway.
        guard route.source == nil, route.mover.onlyThere || !state.hasBoundSource else { return state }
        var made: Pod?
        do {
            let (pod, mover) = try await movers.create(for: state, movers.content(of: state), route, nil, .nothing)
            made = pod
            let node = try await movers.pods.awaitStart(of: pod, mover)?.spec.nodeName
            try await movers.pods.remove(pod)
            if let node { journal.info(state.title, "made ready to be copied on node \(node)") }
            return try await reader.read(state)
        } catch {
            // Whoever cancelled removes the movers.
            guard !Task.isCancelled else { throw error }
            if let made { await journal.orWarn(state.title) { try await movers.pods.remove(made) } }
            guard Self.isWantOfRoom("\(error)") else {
                throw Failure(place: state.title, reason: "could not be made ready to be copied: \(error)")
            }
            journal.warn(state.title, "not made ready before its pods stop, which then takes longer: \(error)")
            return state
        }
    }

    /// Returns true where the missing room, on the node or in a quota, may exist once the workload's pods are gone.
    private static func isWantOfRoom(_ reason: String) -> Bool {
        ["Insufficient ", "Too many pods", "exceed max volume count", "exceeded quota"].contains(where: reason.contains)
    }
}

extension ClaimState {
    /// The node on which the claim's pods run and its mover will run; nil where it is not certain.
    fileprivate var nodeOfUse: String? {
        // This is the node at protection. Where it differs from the one at discovery, the workload is moving.
        let node = source?.metadata.annotation(Marks.sourceNode)
        return node == transfer.consumer?.nodeName ? node : nil
    }
}
