import Kubernetes

/// Has a mover stand beside the workload, so that neither its start nor the mounting of volumes is part of the outage.
///
/// Where none can stand, a pod at the mover's place binds the staging claim and pulls the image, and copies nothing. Where
/// neither works, the mover would fail later, after a stop for nothing. So the workload is not stopped.
///
/// - Before: the staging claims exist.
/// - After: the staging claims are bound, the image is on the nodes, and movers stand, where they can.
/// - Safe to repeat because: it copies nothing, and a mover that stands stays.
/// - Undone by: `Recovery`, which removes movers.
struct MakeReady: UnitAction {
    private let journal: Journal
    private let findings: Findings
    private let reader: StateReader
    private let movers: Movers
    private let standing: StandingMovers
    private let nodes: Nodes
    private let labels: Labels

    init(_ context: Context) {
        (journal, findings) = (context.journal, context.findings)
        reader = StateReader(context)
        movers = Movers(context)
        standing = StandingMovers(context)
        nodes = Nodes(context)
        labels = Labels(context)
    }

    /// A claim, and the mover that stands for it.
    private struct Ready: Sendable {
        var state: ClaimState
        var mover: StandingMover?
    }

    func perform(_ progress: inout Progress) async throws {
        let unit = progress.unit
        guard unit.isRunning else { return }
        let earlier = progress.standing
        let open = unit.claims.filter { $0.seal == nil && $0.next == .copy && $0.nodeOfUse != nil }
        progress.standing = [:]
        let ready = try await open.allAtOnce { try await makeReady($0, earlier[$0.id]) }
        for one in ready { progress.standing[one.state.id] = one.mover }
        progress.unit.claims = unit.claims.map { state in ready.first { $0.state.id == state.id }?.state ?? state }
    }

    private func makeReady(_ state: ClaimState, _ earlier: StandingMover?) async throws -> Ready {
        if let earlier, await stays(earlier, for: state) { return Ready(state: state, mover: earlier) }
        let isToBeTried = !hasAll(state) || mayStand(state) && !isWithoutLabels(state)
        guard isToBeTried || mayStand(state) else { return Ready(state: state) }
        let route = state.route(in: try await nodes.routeSites(of: state, isInUse: true), isInUse: true)
        // A pod without the source volume is where both can be mounted only by the route. The pods of a copy over the
        // network are elsewhere anyway.
        guard route.source == nil, route.mover.onlyThere || !state.hasBoundSource else { return Ready(state: state) }
        var ready = Ready(state: state)
        if isToBeTried { ready.state = try await tryOut(state, route) }
        if mayStand(ready.state), isWithoutLabels(ready.state) { ready = try await stand(ready.state, route) }
        return ready
    }

    /// True where the mover would find its claim bound and its image there.
    private func hasAll(_ state: ClaimState) -> Bool {
        state.staging?.phase == .bound && state.nodeOfUse.map(findings.all.nodesWithImage.contains) == true
    }

    // MARK: Standing

    /// True where a mover can mount the source volume beside its pods, and be told what to do.
    private func mayStand(_ state: ClaimState) -> Bool {
        let found = findings.all
        return found.runsCommands && !found.deafNamespaces.contains(state.name.namespace ?? "") && !state.isExclusive
            && movers.content(of: state).call(for: .copy) != nil
    }

    /// True where SELinux surely labels no files on the node.
    private func isWithoutLabels(_ state: ClaimState) -> Bool {
        guard let node = state.nodeOfUse, let namespace = state.name.namespace else { return false }
        return findings.all.nodesWithoutLabels.contains(.init(node: node, namespace: namespace))
    }

    /// Returns true where a mover that stood before still does; else it is removed.
    private func stays(_ mover: StandingMover, for state: ClaimState) async -> Bool {
        if mover.pod.spec.nodeName == state.nodeOfUse {
            do {
                try await standing.stay(mover)
                return true
            } catch {
                // Another one is made.
            }
        }
        await journal.orWarn(mover.pod.title) { try await movers.pods.remove(mover.pod) }
        return false
    }

    private func stand(_ state: ClaimState, _ route: Route) async throws -> Ready {
        guard let made = try await make(.stand, for: state, route) else { return Ready(state: state) }
        let mover = StandingMover(made.pod, made.mover)
        do {
            try await standing.stay(mover)
            journal.info(state.title, "a mover stands ready on node \(made.pod.spec.nodeName ?? "?")")
            return Ready(state: state, mover: mover)
        } catch {
            guard !Task.isCancelled else { throw error }
            try await movers.pods.remove(mover.pod)
            let namespace = state.name.namespace ?? ""
            var isNew = false
            findings.note { isNew = $0.deafNamespaces.insert(namespace).inserted }
            if isNew {
                journal.warn(
                    "namespace \(namespace)",
                    "its movers can't be told what to do, so they are made after the stop: \(error)"
                )
            }
            return Ready(state: state)
        }
    }

    // MARK: Trying

    /// Runs a pod that copies nothing at the mover's place.
    private func tryOut(_ state: ClaimState, _ route: Route) async throws -> ClaimState {
        guard let made = try await make(.nothing, for: state, route) else { return state }
        if mayStand(state) { await labels.learn(from: made.pod, container: MoverPod.checkContainer) }
        try await movers.pods.remove(made.pod)
        journal.info(state.title, "made ready to be copied on node \(made.pod.spec.nodeName ?? "?")")
        return try await reader.read(state)
    }

    /// A pod that has started.
    private struct Made: Sendable {
        var pod: Pod
        var mover: MoverPod
    }

    /// - Returns: The pod once it has started; nil where there is no room for it before the workload stops.
    private func make(_ task: MoverPod.Task, for state: ClaimState, _ route: Route) async throws -> Made? {
        var made: Pod?
        do {
            let (pod, mover) = try await movers.create(for: state, movers.content(of: state), route, nil, task)
            made = pod
            let started = try await movers.pods.awaitStart(of: pod, mover, untilEnd: task == .nothing)
            return Made(pod: started ?? pod, mover: mover)
        } catch {
            // Whoever cancelled removes the movers.
            guard !Task.isCancelled else { throw error }
            if let made { await journal.orWarn(state.title) { try await movers.pods.remove(made) } }
            guard Self.isWantOfRoom("\(error)") else {
                throw Failure(place: state.title, reason: "could not be made ready to be copied: \(error)")
            }
            journal.warn(state.title, "not made ready before its pods stop, which then takes longer: \(error)")
            return nil
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
