import Kubernetes

/// Gives the unit's workloads their scale back, and waits until they are ready on the new volumes; a late one is a warning,
/// and keeps the old volumes of its claims.
///
/// - Before: the claims are bound, to whichever volumes.
/// - After: no workload bears a mark: that of being stopped goes with the patch that starts it, and what the cluster's
///   controllers have copied of it when they have seen that.
/// - Safe to repeat because: what bears no mark is left as it is.
/// - Undone by: `Quiesce`.
struct Restore: UnitAction {
    private let source: Client
    private let destination: Client
    private let journal: Journal
    private let limits: Limits
    private let reader: StateReader
    private let workloads: Workloads
    private let copiedMarks: CopiedMarks
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (journal, limits) = (context.journal, context.limits)
        reader = StateReader(context)
        workloads = Workloads(context)
        copiedMarks = CopiedMarks(context)
    }

    func perform(_ progress: inout Progress) async throws {
        try await start(&progress)
        try await awaitReady(&progress)
        progress.ready = time.now()
        tellOutage(of: progress)
        for workload in progress.unit.workloads { await copiedMarks.remove(of: workload) }
    }

    /// Starts the unit's workloads again: scale and mark in one patch.
    ///
    /// All are tried; the first failure is thrown at the end.
    func start(_ progress: inout Progress) async throws {
        var failure: (any Error)?
        for index in progress.unit.workloads.indices.reversed() {
            do {
                if var started = try await start(progress.unit.workloads[index]) {
                    started.claimNames.formUnion(progress.unit.workloads[index].claimNames)
                    progress.unit.workloads[index] = started
                    progress.take(started.bearer)
                } else {
                    progress.deleted.insert(progress.unit.workloads[index].metadata.uid)
                }
            } catch {
                failure = failure ?? Failure.located(error, at: progress.unit.workloads[index].title)
            }
        }
        if let failure { throw failure }
        progress.started = progress.started ?? time.now()
    }

    /// Says that a unit's outage has ended, where there was one.
    func tellOutage(of progress: Progress) {
        if let outage = progress.outage { journal.mark(progress.unit, .outageEnded(took: outage)) }
    }

    /// Starts the workloads that an earlier run stopped, and whose claims are all done.
    func startForgotten(_ discovery: Discovery, into report: inout Report) async {
        for workload in discovery.forgotten {
            do {
                journal.info(workload.title, "was stopped by an earlier run")
                _ = try await start(workload)
            } catch {
                report.failures.append("\(workload.title): \(error)")
                report.stopped.append(workload.title)
            }
        }
    }

    /// Starts one workload again, where it bears the mark of being stopped; nil where it is gone.
    func start(_ workload: Workload) async throws -> Workload? {
        // What it is now decides: it was changed by us or others since it was listed.
        guard var current = try await workloads.current(workload) else {
            return workload.record == nil ? nil : try await workloads.forget(workload)
        }
        if !current.isMarked {
            guard current.replicas == 0, let mark = workload.mark else { return current }
            journal.warn(current.title, "somebody has removed its mark; started with scale \(mark) all the same")
            current.metadata.annotations = (current.metadata.annotations ?? [:]).merging([Marks.scale: mark]) { $1 }
            current.record = workload.record
        }
        let wasStopped = current.replicas == 0
        let started = try await workloads.change(current) { try await workloads.start($0) }
        if let started, started.replicas > 0 {
            journal.info(
                started.title,
                wasStopped
                    ? started.startInWords : "was started by somebody, and keeps their scale \(started.replicas)"
            )
        }
        return started
    }

    /// Waits until the unit's workloads are ready, and sees which of its claims are used by a ready pod.
    ///
    /// - Throws: `APIError` where that can't be looked at.
    private func awaitReady(_ progress: inout Progress) async throws {
        let end = time.now() + limits.readiness
        var unit = progress.unit
        unit.workloads.removeAll { progress.deleted.contains($0.metadata.uid) }
        for workload in unit.workloads {
            await journal.orWarn(workload.title) {
                try await awaitReady(workload, limit: max(.seconds(1), end - time.now()))
            }
        }
        progress.readiness = [:]
        for index in progress.unit.claims.indices where progress.unit.claims[index].isRebound {
            let why = try await whyNotSeenReady(progress.unit.claims[index], in: unit, until: end)
            // Whoever uses the name uses the claim that has it now.
            let claim = try await reader.read(progress.unit.claims[index], [.claim, .destination])
            progress.unit.claims[index] = claim
            progress.readiness[claim.id] = why.map { .unseen(why: $0) } ?? .seen
        }
    }

    func awaitReady(_ workload: Workload, limit: Duration? = nil) async throws {
        guard workload.replicas > 0 else { return }
        let began = time.now()
        let limit = limit ?? limits.readiness
        let what = "\(workload.title) to be ready"
        do {
            switch workload.brake {
            case .replicas, .nodeSelector, .suspension:
                try await workloads.wait(for: workload, limit: limit, what: what) { $0?.isReady ?? true }
            case .pause: return
            case .scale, .removal: try await awaitReadyPods(of: workload, limit: limit, what: what)
            }
            journal.info(workload.title, "ready again (\((time.now() - began).inWords))")
        } catch let timeout as WaitTimeout {
            journal.warn(workload.title, "started, but not ready: \(timeout)")
        }
    }

    /// Waits until pods mount the workload's claims again, all of them ready.
    private func awaitReadyPods(of workload: Workload, limit: Duration, what: String) async throws {
        try await source.wait(
            for: Pod.self,
            in: workload.name.namespace,
            where: { $0.mounts(workload.claimNames) },
            limit: limit,
            what: what
        ) {
            let pods = $0.objects.values
            return !pods.isEmpty && pods.allSatisfy { $0.isReady || $0.isFinished } ? () : nil
        }
    }

    /// Waits until a ready pod uses a claim that is bound to its new volume, where there is a workload to see that of.
    ///
    /// - Returns: why none was seen; nil where one was, or where nothing uses the claim.
    private func whyNotSeenReady(_ state: ClaimState, in unit: Unit, until end: Duration) async throws -> String? {
        let running = unit.workloadsUsing(state)
        guard !running.isEmpty else {
            for user in state.seal?.users ?? [] where try await exists(user) {
                return "\(user), which used it, does not run now"
            }
            return nil
        }
        do {
            try await destination.wait(
                for: Pod.self,
                in: state.name.namespace,
                where: { $0.mounts([state.name.name]) },
                limit: max(.milliseconds(1), end - time.now()),
                what: "a ready pod of \(running.map(\.title).joined(separator: " and of ")) to use it"
            ) { snapshot in running.allSatisfy { $0.isAtWork(with: snapshot.objects.values) } ? () : nil }
            return nil
        } catch let timeout as WaitTimeout {
            // The watch may lag behind.
            let pods = try await destination.list(Pod.self, in: state.name.namespace)
            return running.allSatisfy { $0.isAtWork(with: pods.filter { $0.mounts([state.name.name]) }) }
                ? nil : "\(timeout)"
        }
    }

    /// Whether a workload still exists that messages name so; of a kind that is not Kubernetes' own that is not asked.
    private func exists(_ title: String) async throws -> Bool {
        let words = title.split(separator: " ").map(String.init)
        let name = (words.last ?? "").split(separator: "/").map(String.init)
        guard let resource = Workload.ownKinds.first(where: { $0.kind == words.first }), name.count == 2 else {
            return true
        }
        return try await source.find(MetadataObject.self, of: resource, ObjectName(name[1], in: name[0])) != nil
    }
}

extension Unit {
    /// The workloads that keep pods on a claim while they run, or do once they are started again, as messages name them.
    func users(of state: ClaimState) -> [String] { workloadsUsing(state).map(\.title) }

    fileprivate func workloadsUsing(_ state: ClaimState) -> [Workload] {
        workloads.naming([state.name]).filter { $0.keepsPods && $0.claimNames.contains(state.name.name) }
    }
}

extension Workload {
    /// True of what has pods all the time it runs, and runs or is stopped by a migration. A CronJob has them now and then;
    /// its Jobs are workloads of their own. What scales others has none itself.
    fileprivate var keepsPods: Bool {
        guard resource != .cronJobs, resource != ScaledObject.resource else { return false }
        do { return try replicas > 0 || (markedScale() ?? 0) > 0 } catch { return true }
    }

    /// What was done to start it again, for people.
    fileprivate var startInWords: String {
        switch brake {
        case .replicas, .scale: "started again with scale \(replicas)"
        case .nodeSelector: "started again on its nodes"
        case .suspension: "goes on again"
        case .pause: "is no longer paused"
        case .removal: "created again"
        }
    }
}

extension Workload {
    /// True where one of some pods is its own, and works or has done its work.
    fileprivate func isAtWork(with pods: some Sequence<Pod>) -> Bool {
        pods.contains { pod in
            guard isMaker(of: pod) else { return false }
            let endsByItself = resource == .jobs || resource == .pods
            return pod.isReady && !pod.metadata.isTerminating || endsByItself && pod.phase == .succeeded
        }
    }

    /// True of a pod of its own. A Deployment's is its ReplicaSet's, which is named after it; what a custom resource makes
    /// its pods of only its operator knows.
    private func isMaker(of pod: Pod) -> Bool {
        let owner = pod.metadata.controller
        switch resource {
        case .deployments: return owner?.kind == "ReplicaSet" && owner?.name.hasPrefix(name.name + "-") == true
        case .pods: return pod.metadata.name == name.name
        case _ where Workload.ownKinds.contains(resource): return owner?.uid == metadata.uid
        default: return owner?.kind != APIResource.jobs.kind
        }
    }
}
