import Kubernetes

extension Migrator {
    /// Stops the unit's workloads, and waits until no pod mounts its claims.
    ///
    /// The mark left behind: the scale, on the workload, in the same patch that sets it to zero.
    func quiesce(_ progress: inout Progress) async throws {
        guard progress.needsQuiet else { return }
        for index in progress.unit.workloads.indices {
            let workload = progress.unit.workloads[index]
            let stopped = try await change(workload) { $0.stopPatch() }
            guard let stopped else { continue }
            if stopped.metadata.resourceVersion != workload.metadata.resourceVersion {
                if progress.stopped == nil { progress.stopped = time.now() }
                journal.info(
                    workload.title,
                    "stopped: scale \(stopped.metadata.annotation(Marks.scale) ?? "?") written down and set to 0"
                )
            }
            progress.unit.workloads[index] = stopped
        }
        let began = time.now()
        try await awaitNoPods(on: progress.unit)
        if progress.stopped != nil {
            journal.info(progress.unit.title, "no pod mounts the claims any more (\((time.now() - began).inWords))")
        }
    }

    /// Changes a workload by a patch that is decided from how it is now; nil where it is gone.
    func change(
        _ workload: Workload,
        _ decide: (Workload) throws -> Patch?
    ) async throws -> Workload? {
        var current: Workload? = workload
        var backoff = Backoff()
        let end = time.now() + .seconds(120)
        while let workload = current {
            do {
                guard let patch = try decide(workload) else { return workload }
                return try await client.patch(workload, patch)
            } catch let error as APIError where Self.isWorthAnotherLook(error) {
                let pause = backoff.next()
                guard time.now() + pause < end else { throw error }
                // A workload's status changes all the time: a conflict is nothing to wait long for.
                if error.reason != .conflict { try await time.sleep(time.now() + pause) }
                current = try await client.current(workload)
            }
        }
        return nil
    }

    /// Waits until no pod but ours mounts the unit's claims.
    private func awaitNoPods(on unit: Unit) async throws {
        for namespace in Set(unit.claims.compactMap(\.name.namespace)).sorted() {
            let names = Set(unit.claims.filter { $0.name.namespace == namespace }.map(\.name.name))
            var last: [Pod] = []
            do {
                try await client.wait(
                    for: Pod.self,
                    in: namespace,
                    limit: limits.stopping,
                    what: "the pods of \(unit.title) to be gone"
                ) { snapshot in
                    last = Self.pods(in: snapshot, mounting: names)
                    return last.isEmpty ? () : nil
                }
            } catch let timeout as WaitTimeout {
                let pods = last.map { "\($0.title) (\($0.metadata.isTerminating ? "terminating" : $0.phase))" }
                throw Failure(place: unit.title, reason: "\(timeout): \(pods.sorted().joined(separator: ", "))")
            }
        }
    }

    /// Waits until a pod that is not ours mounts one of the unit's claims, which voids a copy.
    ///
    /// - Returns: the pod; it only returns early, and otherwise when cancelled, with an error.
    func awaitIntruder(on unit: Unit) async throws -> Pod {
        let namespaces = Set(unit.claims.compactMap(\.name.namespace)).sorted()
        let names = Set(unit.claims.map(\.name.name))
        // A unit lives in one namespace, as a pod mounts claims of its own namespace only.
        return try await client.wait(
            for: Pod.self,
            in: namespaces[0],
            limit: .seconds(30 * 86_400),
            what: "nothing"
        ) { Self.pods(in: $0, mounting: names).first }
    }

    private static func pods(in snapshot: Snapshot<Pod>, mounting names: Set<String>) -> [Pod] {
        snapshot.objects.values.filter { pod in
            // A finished pod that is being deleted may still be unmounted.
            !isOurs(pod) && !(pod.isFinished && !pod.metadata.isTerminating)
                && !names.isDisjoint(with: pod.claimNames)
        }
    }
}

extension Duration {
    /// The duration as messages give it: `0.4 s`, `12 s`, `3 min 5 s`.
    public var inWords: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        if milliseconds < 10_000 { return "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s" }
        let seconds = milliseconds / 1000
        if seconds < 120 { return "\(seconds) s" }
        if seconds < 7200 { return "\(seconds / 60) min \(seconds % 60) s" }
        return "\(seconds / 3600) h \(seconds / 60 % 60) min"
    }
}
