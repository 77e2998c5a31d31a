import Kubernetes

extension Migrator {
    /// Gives the unit's workloads their scale back, and waits until they are ready; a late one is a warning.
    func restore(_ progress: inout Progress) async throws {
        try await start(&progress)
        for workload in progress.unit.workloads { try await awaitReady(workload) }
    }

    /// Starts the unit's workloads again: scale and mark in one patch.
    ///
    /// All are tried; the first failure is thrown at the end.
    func start(_ progress: inout Progress) async throws {
        var failure: (any Error)?
        for index in progress.unit.workloads.indices.reversed() {
            do {
                progress.unit.workloads[index] =
                    try await start(progress.unit.workloads[index]) ?? progress.unit.workloads[index]
            } catch {
                failure = failure ?? Self.located(error, at: progress.unit.workloads[index].title)
            }
        }
        if let stopped = progress.stopped {
            let now = time.now()
            progress.started = now
            if failure == nil { journal.mark(progress.unit, .outageEnded(took: now - stopped)) }
        }
        if let failure { throw failure }
    }

    /// Starts one workload again, where it bears the mark of being stopped.
    func start(_ workload: Workload) async throws -> Workload? {
        // What it is now decides: it was changed by us or others since it was listed.
        guard var current = try await client.current(workload) else {
            if let record = workload.record {
                try await client.delete(.configMaps, record.name, uid: record.metadata.uid)
            }
            return nil
        }
        if !current.isMarked {
            guard current.replicas == 0, let mark = workload.mark else { return current }
            journal.warn(current.title, "somebody has removed its mark; started with scale \(mark) all the same")
            current.metadata.annotations = (current.metadata.annotations ?? [:]).merging([Marks.scale: mark]) { $1 }
            current.record = workload.record
        }
        let wasStopped = current.replicas == 0
        let started = try await change(current) { try await client.start($0) }
        if let started, started.replicas > 0 {
            journal.info(
                started.title,
                wasStopped
                    ? started.startInWords : "was started by somebody, and keeps their scale \(started.replicas)"
            )
        }
        return started
    }

    func awaitReady(_ workload: Workload) async throws {
        guard workload.replicas > 0 else { return }
        let began = time.now()
        let what = "\(workload.title) to be ready"
        do {
            switch workload.brake {
            case .replicas, .nodeSelector, .suspension:
                try await client.wait(for: workload, limit: limits.readiness, what: what) { $0?.isReady ?? true }
            case .pause: return
            case .scale, .removal: try await awaitReadyPods(of: workload, what: what)
            }
            journal.info(workload.title, "ready again (\((time.now() - began).inWords))")
        } catch let timeout as WaitTimeout {
            journal.warn(workload.title, "started, but not ready: \(timeout)")
        }
    }

    /// Waits until pods mount the workload's claims again, all of them ready.
    private func awaitReadyPods(of workload: Workload, what: String) async throws {
        try await client.wait(
            for: Pod.self,
            in: workload.name.namespace,
            where: { Self.isForeign($0, mounting: workload.claimNames) },
            limit: limits.readiness,
            what: what
        ) {
            let pods = $0.objects.values
            return !pods.isEmpty && pods.allSatisfy { $0.isReady || $0.isFinished } ? () : nil
        }
    }
}

extension Workload {
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
