import Kubernetes

extension Workload {
    /// Reads a CronJob: its Jobs' pods mount what their template names. Suspended by its owner, it starts none.
    init(cronJob: WorkloadObject) {
        self.init(
            resource: .cronJobs,
            metadata: cronJob.metadata,
            brake: .suspension,
            replicas: cronJob.spec.suspend == true ? 0 : 1,
            claimNames: Set(cronJob.spec.jobTemplate?.spec.template.spec.claimNames(ofPod: nil) ?? []),
            template: cronJob.spec.jobTemplate?.spec.template.spec
        )
    }

    /// Reads a Job; nil for one that has ended and was not stopped by a migration.
    ///
    /// Suspended, its pods are deleted and don't count as failed; it begins anew afterwards (Jobs, "Suspending a Job").
    init?(job: WorkloadObject) {
        let isOver =
            job.status?.conditions?.contains { ["Complete", "Failed"].contains($0.type) && $0.status == "True" } == true
        guard !isOver || job.metadata.annotation(Marks.scale) != nil else { return nil }
        self.init(
            resource: .jobs,
            metadata: job.metadata,
            brake: .suspension,
            replicas: job.spec.suspend == true || isOver ? 0 : 1,
            claimNames: Set(job.spec.template?.spec.claimNames(ofPod: nil) ?? []),
            template: job.spec.template?.spec
        )
    }
}

extension Migrator {
    /// Takes in the Jobs that the unit's CronJobs have started since the unit was found.
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
