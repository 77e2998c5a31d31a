import Kubernetes

/// Restores the scale of the unit's workloads, and waits until they are ready on the new volumes. A late workload is a
/// warning, and keeps the old volumes of its claims.
///
/// - Before: the claims are bound, to whichever volumes.
/// - After: no workload bears a mark. The patch that starts it removes the mark of the stop. Copies of the mark by the
///   cluster's controllers are removed once these have seen the patch.
/// - Safe to repeat because: a workload without a mark is left as it is.
/// - Undone by: `Quiesce`.
struct Restore: UnitAction {
    private let source: Client
    private let destination: Client
    private let journal: Journal
    private let limits: Limits
    private let reader: StateReader
    private let workloads: Workloads
    private let copiedMarks: CopiedMarks
    private let forbidden: ForbiddenPods
    private let halfFilled: HalfFilled
    private let trees: TreesUnderWay
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (journal, limits) = (context.journal, context.limits)
        reader = StateReader(context)
        workloads = Workloads(context)
        copiedMarks = CopiedMarks(context)
        forbidden = ForbiddenPods(context)
        halfFilled = HalfFilled(context)
        trees = TreesUnderWay(context)
    }

    func perform(_ progress: inout Progress) async throws {
        try await start(&progress)
        try await awaitReady(&progress)
        progress.ready = time.now()
        tellOutage(of: progress)
        for workload in progress.unit.workloads { await copiedMarks.remove(of: workload) }
    }

    /// Starts the unit's workloads again, with scale and mark in one patch.
    ///
    /// All are tried. The first failure is thrown at the end.
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
                // Another run may have stopped it since it was listed.
                guard try await !trees.concern(workload) else { continue }
                journal.info(workload.title, "was stopped by an earlier run")
                _ = try await start(workload)
            } catch {
                report.failures.append("\(workload.title): \(error)")
                report.stopped.append(workload.title)
            }
        }
    }

    /// Starts one workload again, where it bears the mark of a stop; nil where it is gone.
    func start(_ workload: Workload) async throws -> Workload? {
        // Its present state decides, because we or others changed it since it was listed.
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
        if wasStopped {
            current.claimNames.formUnion(workload.claimNames)
            try await halfFilled.check(current)
        }
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

    /// Waits until the unit's workloads are ready, and records which of its claims a ready pod uses.
    ///
    /// - Throws: `APIError` where the pods or claims cannot be read.
    private func awaitReady(_ progress: inout Progress) async throws {
        let end = time.now() + limits.readiness
        var unit = progress.unit
        unit.workloads.removeAll { progress.deleted.contains($0.metadata.uid) }
        let restored = unit
        // It ends with this function.
        async let _ = forbidden.makeAnew(of: restored, limit: limits.readiness)
        for workload in unit.workloads {
            await journal.orWarn(workload.title) {
                try await awaitReady(workload, limit: max(.seconds(1), end - time.now()))
            }
        }
        progress.readiness = [:]
        for index in progress.unit.claims.indices where progress.unit.claims[index].isReboundInPlace {
            let why = try await whyNotSeenReady(progress.unit.claims[index], in: unit, until: end)
            // A pod that uses the name uses the claim that has it now.
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

    /// Waits until ready pods use a claim that is bound to its new volume, where workloads use it.
    ///
    /// - Returns: The reason why none was seen; nil where one was, or where nothing uses the claim.
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

    /// Returns true where a workload with this name in messages still exists, or is not of Kubernetes' own kinds.
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
    /// Returns the workloads that keep pods on a claim while they run, or once they are started again, as messages name
    /// them.
    func users(of state: ClaimState) -> [String] { workloadsUsing(state).map(\.title) }

    fileprivate func workloadsUsing(_ state: ClaimState) -> [Workload] {
        workloads.naming([state.name]).filter { $0.keepsPods && $0.claimNames.contains(state.name.name) }
    }
}

extension Workload {
    /// True where the workload has pods all the time it runs, and runs or was stopped by a migration. A CronJob has
    /// pods now and then, and its Jobs are workloads of their own. A scaler has none itself.
    fileprivate var keepsPods: Bool {
        guard resource != .cronJobs, resource != ScaledObject.resource else { return false }
        do { return try replicas > 0 || (markedScale() ?? 0) > 0 } catch { return true }
    }

    /// The words of the start, for people.
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
    /// Returns true where one of these pods is its own, and works or has done its work.
    fileprivate func isAtWork(with pods: some Sequence<Pod>) -> Bool {
        pods.contains { pod in
            guard isMaker(of: pod) else { return false }
            let endsByItself = resource == .jobs || resource == .pods
            return pod.isReady && !pod.metadata.isTerminating || endsByItself && pod.phase == .succeeded
        }
    }

    /// Returns true where the pod is its own. A Deployment's pods belong to its ReplicaSet, which is named after it.
    /// Only its operator knows what a custom resource makes its pods of.
    func isMaker(of pod: Pod) -> Bool {
        let owner = pod.metadata.controller
        switch resource {
        case .deployments: return owner?.kind == "ReplicaSet" && owner?.name.hasPrefix(name.name + "-") == true
        case .pods: return pod.metadata.name == name.name
        case _ where Workload.ownKinds.contains(resource): return owner?.uid == metadata.uid
        default: return owner?.kind != APIResource.jobs.kind
        }
    }
}
