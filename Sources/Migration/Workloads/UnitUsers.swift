import Kubernetes

/// Finds the pods, except movers, that mount claims of units, and the workloads that make them.
struct UnitUsers: Sendable {
    private let source: Client
    private let workloads: Workloads

    init(_ context: Context) {
        source = context.source
        workloads = Workloads(context)
    }

    /// Returns the name of a user of the claims since the workloads stopped: a pod, or a workload with another scale.
    ///
    /// - Parameter ended: The UIDs of the pods that had ended at the stop.
    func intruder(on unit: Unit, besides ended: Set<String>) async throws -> String? {
        if let workload = try await startedWorkload(of: unit) { return workload.title }
        let staging = Set(unit.claims.compactMap { $0.ownStaging?.metadata.name })
        return try await pods(of: unit).first { pod in
            // A pod that has ended and that nothing creates again would hold the staging claim when it is too late to
            // go back.
            pod.isIntruder(besides: ended) || pod.metadata.controller == nil && pod.mounts(staging)
        }?.title
    }

    /// Returns a workload of a unit that somebody started or changed since it was stopped.
    func startedWorkload(of unit: Unit) async throws -> Workload? {
        for workload in unit.workloads {
            guard let now = try await workloads.current(workload) else { continue }
            if now.replicas > 0 || now.generation != workload.generation { return now }
        }
        return nil
    }

    /// Returns the pods, except movers, that mount claims of a unit.
    func pods(of unit: Unit) async throws -> [MountingPod] {
        try await source.list(MountingPod.self, in: unit.namespace).filter { unit.isUsed(by: $0) && !$0.neverRuns }
    }

    /// Waits until a pod that is not ours mounts one of the unit's claims, which voids a copy.
    ///
    /// - Parameter ended: The UIDs of the pods that had ended before.
    /// - Returns: The pod. Without one it returns only when cancelled, with an error.
    func awaitIntruder(on unit: Unit, besides ended: Set<String>) async throws -> MountingPod {
        try await source.wait(
            for: MountingPod.self,
            in: unit.namespace,
            where: { unit.isUsed(by: $0) },
            limit: .seconds(30 * 86_400),
            what: "nothing"
        ) { $0.objects.values.first { $0.isIntruder(besides: ended) } }
    }
}

extension MountingPod {
    /// Returns true where the pod uses its claims, or used them since the listed pods had ended.
    func isIntruder(besides ended: Set<String>) -> Bool {
        !neverRuns && (!isFinished || !ended.contains(metadata.uid))
    }
}
