import Kubernetes

/// Reads, stops and starts workloads.
struct Workloads: Sendable {
    let client: Client
    let limits: Limits
    private var time: TimeSource { client.time }

    init(_ context: Context) {
        (client, limits) = (context.source, context.limits)
    }

    /// Returns the same with another client.
    func using(_ client: Client) -> Workloads { Workloads(client, limits) }

    init(_ client: Client, _ limits: Limits = Limits()) {
        (self.client, self.limits) = (client, limits)
    }

    /// Lists all workloads of Kubernetes' own kinds, and names the unreadable ones.
    func all(_ lists: SelectedObjects) async throws -> ListedWorkloads {
        let lists = await Workload.ownKinds.sideBySide { resource in
            await Result.of { () async throws -> ListedWorkloads in
                let list = try await lists.listReadable(WorkloadObject.self, of: resource)
                return ListedWorkloads(
                    workloads: list.items.compactMap { Workload($0, of: resource) },
                    unreadable: list.unreadable
                )
            }
        }
        let all = try lists.map { try $0.get() }
        return ListedWorkloads(workloads: all.flatMap(\.workloads), unreadable: all.flatMap(\.unreadable))
    }

    /// Reads a workload as it is now; nil where it is gone or another one has its name.
    func current(_ workload: Workload) async throws -> Workload? {
        switch workload.brake {
        case .replicas, .nodeSelector, .suspension:
            let found = try await client.find(WorkloadObject.self, of: workload.resource, workload.name)
            guard let found, found.metadata.uid == workload.metadata.uid else { return nil }
            return Workload(found, of: workload.resource)
        case .scale, .pause, .removal: return try await currentOfRecorded(workload)
        }
    }

    /// Stops a workload in the version that was read, and returns its new state.
    func stop(_ workload: Workload) async throws -> Workload {
        guard workload.replicas > 0 else { return workload }
        guard let patch = workload.stopPatch() else { return try await stopRecorded(workload) }
        return try await self.patch(workload, patch)
    }

    /// Starts a workload in the version that was read, where it bears the mark of being stopped.
    ///
    /// - Throws: `Refusal` where the mark is no number, or `APIError`.
    func start(_ workload: Workload) async throws -> Workload {
        if let record = workload.record { return try await startRecorded(workload, record) }
        guard let patch = try workload.startPatch() else { return workload }
        return try await self.patch(workload, patch)
    }

    private func patch(_ workload: Workload, _ patch: Patch) async throws -> Workload {
        let object = try await client.patch(WorkloadObject.self, of: workload.resource, workload.name, patch)
        return Workload(object, of: workload.resource) ?? workload
    }

    /// Waits until a workload meets a condition. A workload that is gone is nil.
    func wait(
        for workload: Workload,
        limit: Duration,
        what: String,
        until condition: (Workload?) -> Bool
    ) async throws {
        let (namespace, name, resource) = (workload.name.namespace, workload.name.name, workload.resource)
        switch workload.brake {
        case .replicas, .nodeSelector, .suspension:
            try await client.wait(
                for: WorkloadObject.self,
                of: resource,
                in: namespace,
                named: name,
                limit: limit,
                what: what
            ) { snapshot -> Void? in
                condition(snapshot.object(named: name).flatMap { Workload($0, of: resource) }) ? () : nil
            }
        case .scale, .pause, .removal:
            // Each change is an occasion to look, because the object alone does not tell everything.
            try await client.wait(
                for: MetadataObject.self,
                of: resource,
                in: namespace,
                named: name,
                limit: limit,
                what: what
            ) { _ -> Void? in condition(try await current(workload)) ? () : nil }
        }
    }

    /// Reads the unit's workloads as they are now.
    func refresh(_ progress: inout Progress) async throws {
        for index in progress.unit.workloads.indices {
            if let now = try await current(progress.unit.workloads[index]) {
                progress.unit.workloads[index] = now
                progress.take(now.bearer)
            }
        }
    }

    /// Changes a workload as it is now; nil where it is gone.
    ///
    /// - Parameter act: Makes the change, given the workload as just read.
    func change(_ workload: Workload, _ act: (Workload) async throws -> Workload) async throws -> Workload? {
        var current: Workload? = workload
        var backoff = Backoff()
        let end = time.now() + .seconds(120)
        while let workload = current {
            do {
                return try await act(workload)
            } catch let error as APIError where error.isWorthAnotherLook {
                let pause = backoff.next()
                guard time.now() + pause < end else { throw error }
                // A workload's status changes all the time, so a conflict needs no long wait.
                if error.reason != .conflict { try await time.sleep(time.now() + pause) }
                current = try await self.current(workload)
            }
        }
        return nil
    }

    /// Adds the Jobs that the unit's CronJobs started since discovery.
    func addStartedJobs(_ progress: inout Progress) async throws {
        let cronJobs = progress.unit.workloads.filter { $0.resource == .cronJobs }
        guard !cronJobs.isEmpty else { return }
        let known = Set(progress.unit.workloads.map(\.metadata.uid))
        for namespace in Set(progress.unit.workloads.compactMap(\.name.namespace)) {
            let jobs = try await client.list(WorkloadObject.self, of: .jobs, in: namespace)
            progress.unit.workloads += jobs.filter { job in
                guard let owner = job.metadata.controller, !known.contains(job.metadata.uid) else { return false }
                return cronJobs.contains { $0.isMeant(by: owner, in: job.metadata.namespace) }
            }.compactMap { Workload($0, of: .jobs) }
        }
    }
}
