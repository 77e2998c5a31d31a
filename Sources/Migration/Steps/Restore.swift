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
        for index in progress.unit.workloads.indices {
            do {
                progress.unit.workloads[index] =
                    try await start(progress.unit.workloads[index]) ?? progress.unit.workloads[index]
            } catch {
                failure = failure ?? Self.located(error, at: progress.unit.workloads[index].title)
            }
        }
        if progress.stopped != nil { progress.started = time.now() }
        if let failure { throw failure }
    }

    /// Starts one workload again, where it bears the mark of being stopped.
    func start(_ workload: Workload) async throws -> Workload? {
        // What it is now decides: it was changed by us or others since it was listed.
        guard let current = try await client.current(workload) else { return nil }
        guard current.metadata.annotation(Marks.scale) != nil else {
            return try await startUnmarked(current, as: workload)
        }
        let started = try await change(current) { try $0.startPatch() }
        if let started {
            journal.info(
                started.title,
                current.replicas == 0
                    ? "started again with scale \(started.replicas)"
                    : "was started by somebody, and keeps their scale \(started.replicas)"
            )
        }
        return started
    }

    /// Starts a workload whose mark somebody has removed meanwhile; this process still knows the scale.
    private func startUnmarked(_ current: Workload, as stopped: Workload) async throws -> Workload {
        guard current.replicas == 0, let scale = try stopped.markedScale() else { return current }
        journal.warn(
            current.title,
            "somebody has removed its mark \(Marks.scale); started with scale \(scale) all the same"
        )
        let change: JSON = ["spec": ["replicas": .integer(Int64(scale))]]
        return try await client.patch(current, .merge(onto: current.metadata, change))
    }

    private func awaitReady(_ workload: Workload) async throws {
        guard workload.replicas > 0 else { return }
        let began = time.now()
        do {
            try await client.wait(for: workload, limit: limits.readiness, what: "\(workload.title) to be ready") {
                $0?.isReady ?? true
            }
            journal.info(workload.title, "ready again (\((time.now() - began).inWords))")
        } catch let timeout as WaitTimeout {
            journal.warn(workload.title, "started, but not ready: \(timeout)")
        }
    }
}
