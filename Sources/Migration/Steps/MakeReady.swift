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
    private let time: TimeSource
    private let journal: Journal
    private let findings: Findings
    private let reader: StateReader
    private let beside: Beside
    private let pods: MoverPods
    private let standing: StandingMovers
    private let labels: Labels

    init(_ context: Context) {
        time = context.time
        (journal, findings) = (context.journal, context.findings)
        reader = StateReader(context)
        beside = Beside(context)
        pods = MoverPods(context)
        standing = StandingMovers(context)
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
        let open = unit.claims.filter(\.canBeMadeReady)
        progress.standing = [:]
        let ready = try await open.allAtOnce { try await makeReady($0, earlier[$0.id]) }
        for one in ready { progress.standing[one.state.id] = one.mover }
        progress.unit.claims = unit.claims.map { state in ready.first { $0.state.id == state.id }?.state ?? state }
    }

    private func makeReady(_ state: ClaimState, _ earlier: StandingMover?) async throws -> Ready {
        // What only holds the claims is the business of `Hold`.
        if let earlier, !earlier.hears { return Ready(state: state, mover: earlier) }
        if var mover = earlier, await stays(&mover, for: state) { return Ready(state: state, mover: mover) }
        let isToBeTried = !hasAll(state) || beside.mayMount(state) && !beside.mayStand(state)
        guard isToBeTried || beside.mayMount(state) && beside.hears(state),
            let route = try await beside.route(of: state)
        else {
            return Ready(state: state)
        }
        // A mover that an earlier run left behind would go on.
        try await pods.removeLeftovers(of: state)
        guard isToBeTried else { return try await stand(state, route, beside: nil) }
        guard let trial = try await beside.make(.nothing, for: state, route) else { return Ready(state: state) }
        if beside.mayMount(state) { await labels.learn(from: trial.pod, container: MoverPod.checkContainer) }
        journal.info(state.title, "made ready to be copied on node \(trial.pod.spec.nodeName ?? "?")")
        let ready = try await stand(try await reader.read(state), route, beside: trial)
        // Not before the next one is there: a node may not read a claim for a moment when its last pod has just gone.
        try await pods.remove(trial.pod)
        return ready
    }

    /// True where the mover would find its claim bound and its image there.
    private func hasAll(_ state: ClaimState) -> Bool {
        state.staging?.phase == .bound && state.nodeOfUse.map(findings.all.nodesWithImage.contains) == true
    }

    // MARK: Standing

    /// Returns true where a mover that stood before still does; else it is removed.
    private func stays(_ mover: inout StandingMover, for state: ClaimState) async -> Bool {
        let age = time.now() - mover.seen
        if mover.pod.spec.nodeName == state.nodeOfUse {
            if age < StandingMover.idle / 5 { return true }
            do {
                try await standing.stay(mover)
                mover.wasSeen(at: time.now())
                return true
            } catch {
                // Another one is made.
            }
        }
        await journal.orWarn(mover.pod.title) { try await pods.remove(mover.pod) }
        return false
    }

    /// Has a mover stand that is told what to do, where one can.
    private func stand(_ state: ClaimState, _ route: Route, beside trial: StandingMover?) async throws -> Ready {
        var ready = Ready(state: state)
        guard beside.mayStand(state), beside.hears(state) else { return ready }
        guard let mover = try await beside.make(.stand, for: state, route, beside: trial?.pod) else { return ready }
        do {
            try await standing.stay(mover)
            journal.info(state.title, "a mover stands ready on node \(mover.pod.spec.nodeName ?? "?")")
            ready.mover = mover
        } catch {
            guard !Task.isCancelled else { throw error }
            try await pods.remove(mover.pod)
            let namespace = state.name.namespace ?? ""
            var isNew = false
            findings.note { isNew = $0.deafNamespaces.insert(namespace).inserted }
            if isNew {
                journal.warn(
                    "namespace \(namespace)",
                    "its movers can't be told what to do, so they are made after the stop: \(error)"
                )
            }
        }
        return ready
    }
}
