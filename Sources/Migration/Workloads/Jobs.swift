import Kubernetes

extension Workload {
    /// Reads a CronJob. Its Jobs' pods mount the claims of its template. A CronJob that its owner suspended starts no
    /// Jobs.
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
    /// The pods of a suspended Job are deleted and do not count as failed. The Job begins anew afterwards (Jobs,
    /// "Suspending a Job").
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
