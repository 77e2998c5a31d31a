import Kubernetes

/// Decides which movers can be beside a running workload, and makes them.
struct Beside: Sendable {
    private let journal: Journal
    private let findings: Findings
    private let movers: Movers
    private let nodes: Nodes
    private let time: TimeSource

    init(_ context: Context) {
        (journal, findings, time) = (context.journal, context.findings, context.time)
        movers = Movers(context)
        nodes = Nodes(context)
    }

    /// True where a mover can mount the source volume beside its pods.
    func mayMount(_ state: ClaimState) -> Bool { !state.isExclusive && !state.isBlock }

    /// True where a mover can be told what to do.
    func hears(_ state: ClaimState) -> Bool {
        let found = findings.all
        return found.runsCommands && !found.deafNamespaces.contains(state.name.namespace ?? "")
            && movers.content(of: state).call(for: .copy) != nil
    }

    /// True where SELinux surely labels no files on the node.
    private func isWithoutLabels(_ state: ClaimState) -> Bool {
        guard let node = state.nodeOfUse, let namespace = state.name.namespace else { return false }
        return findings.all.nodesWithoutLabels.contains(.init(node: node, namespace: namespace))
    }

    /// True where a mover can surely stand beside the workload.
    func mayStand(_ state: ClaimState) -> Bool { mayMount(state) && isWithoutLabels(state) }

    /// Returns the route of a mover that mounts both claims beside the workload; nil where none can.
    func route(of state: ClaimState) async throws -> Route? {
        let route = state.route(in: try await nodes.routeSites(of: state, isInUse: true), isInUse: true)
        // A pod without the source volume is where both can be mounted only by the route. The pods of a copy over the
        // network are elsewhere anyway.
        return route.source == nil && (route.mover.onlyThere || !state.hasBoundSource) ? route : nil
    }

    /// Makes a mover.
    ///
    /// - Parameters:
    ///   - content: Its content; nil for what is known to suit the image.
    ///   - trial: A pod that stays meanwhile.
    /// - Returns: The mover once it has started; nil where there is no room for it before the workload stops.
    /// - Throws: `Failure` where it could not be made.
    func make(
        _ task: MoverPod.Task,
        for state: ClaimState,
        _ route: Route,
        copying content: (any MoverContent)? = nil,
        beside trial: Pod? = nil
    ) async throws -> StandingMover? {
        var made: Pod?
        do {
            let content = content ?? movers.content(of: state)
            let (pod, mover) = try await movers.create(for: state, content, route, nil, task)
            made = pod
            let started = try await movers.pods.awaitStart(of: pod, mover, untilEnd: task == .nothing)
            return StandingMover(started ?? pod, mover, seen: time.now())
        } catch {
            // Whoever cancelled removes the movers.
            guard !Task.isCancelled else { throw error }
            if let made { await journal.orWarn(state.title) { try await movers.pods.remove(made) } }
            guard MoverExit.isWantOfRoom("\(error)") else {
                throw Failure(place: state.title, reason: "could not be made ready to be copied: \(error)")
            }
            if let trial, "\(error)".contains("exceeded quota") {
                // Some quotas count what has ended, too.
                try await movers.pods.remove(trial)
                return try await make(task, for: state, route, copying: content)
            }
            journal.warn(state.title, "not made ready before its pods stop, which then takes longer: \(error)")
            return nil
        }
    }
}

extension ClaimState {
    /// True where a copy comes next, and its mover can be made ready on the node of the claim's pods.
    var canBeMadeReady: Bool { seal == nil && next == .copy && nodeOfUse != nil }

    /// The node on which the claim's pods run and its mover will run; nil where it is not certain.
    var nodeOfUse: String? {
        // This is the node at protection. Where it differs from the one at discovery, the workload is moving.
        let node = source?.metadata.annotation(Marks.sourceNode)
        return node == transfer.consumer?.nodeName ? node : nil
    }
}
