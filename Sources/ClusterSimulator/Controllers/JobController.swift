import FoundationEssentials
import Kubernetes

/// Runs the pods of a Job until enough have succeeded, or too many have failed.
enum JobController {
    private static let finalizer = "batch.kubernetes.io/job-tracking"

    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let job = Workload(key, component: "job-controller", cluster) else {
            return releaseOrphans(of: key, &cluster)
        }
        let pods = job.ownedPods(&cluster)
        let active = pods.filter { !$0.isOver && !$0.isBeingDeleted }
        var status = job.object["status"] ?? [:]
        // A pod is counted once, and then no longer held by the Job.
        for pod in pods where pod.finalizers.contains(finalizer) && (pod.isOver || job.object.isBeingDeleted) {
            let field = pod.text("status", "phase") == "Succeeded" ? "succeeded" : "failed"
            status[field] = JSON(status.number(field) + 1)
            release(pod, &cluster)
        }
        let isOver = status.list("conditions").contains {
            ["Complete", "Failed"].contains($0.text("type")) && $0.text("status") == "True"
        }
        let isAtWork = !isOver && !job.object.isBeingDeleted
        let left = isAtWork ? proceed(job, active, &status, &cluster) : active
        let ending = cluster.dependents(of: job.object.uid).compactMap { cluster.get($0) }
            .filter { $0.isBeingDeleted && !$0.isOver }
        status["active"] = Workload.count(left.count)
        status["ready"] = JSON(left.filter(\.isReady).count)
        status["terminating"] = JSON(ending.count)
        status["uncountedTerminatedPods"] = [:]
        job.setStatus(status, &cluster)
    }

    /// Ends a Job that has done enough, or failed too often; else sees to it that its pods run, or none does.
    ///
    /// - Returns: the pods that are active then.
    private static func proceed(
        _ job: Workload,
        _ active: [JSON],
        _ status: inout JSON,
        _ cluster: inout Cluster
    ) -> [JSON] {
        let completions = job.object.at("spec", "completions").map { Int($0.integer ?? 1) } ?? 1
        let suspended = job.object.at("spec", "suspend") == true
        var left = active
        if status.number("succeeded") >= completions {
            add(
                ["SuccessCriteriaMet", "Complete"],
                "CompletionsReached",
                "Reached expected number of succeeded pods",
                &status,
                cluster.timestamp
            )
            status["completionTime"] = .string(cluster.timestamp)
            job.event("Completed", "Job completed", &cluster)
        } else if status.number("failed") > job.object.number("spec", "backoffLimit") {
            for pod in active { stop(job, pod, &cluster) }
            left = []
            add(
                ["FailureTarget", "Failed"],
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
                &status,
                cluster.timestamp
            )
            job.event("Warning", "BackoffLimitExceeded", "Job has reached the specified backoff limit", &cluster)
        } else if suspended {
            for pod in active { stop(job, pod, &cluster) }
            left = []
            setSuspended(true, job, &status, &cluster)
        } else {
            setSuspended(false, job, &status, &cluster)
            if status["startTime"] == nil { status["startTime"] = .string(cluster.timestamp) }
            let parallel = max(1, job.object.number("spec", "parallelism"))
            let missing = min(parallel, completions - status.number("succeeded")) - active.count
            for _ in 0..<max(0, missing) { create(job, &cluster) }
            left = cluster.dependents(of: job.object.uid).compactMap { cluster.get($0) }
                .filter { !$0.isOver && !$0.isBeingDeleted }
        }
        return left
    }

    private static func create(_ job: Workload, _ cluster: inout Cluster) {
        var pod = job.pod(job.object.at("spec", "template"))
        pod.put([.string(finalizer)], "metadata", "finalizers")
        guard let created = job.create(pod, .sync(.job, job.key), &cluster) else { return }
        job.event("SuccessfulCreate", "Created pod: \(created.name)", &cluster)
    }

    private static func stop(_ job: Workload, _ pod: JSON, _ cluster: inout Cluster) {
        release(pod, &cluster)
        job.delete(pod, &cluster)
        job.event("SuccessfulDelete", "Deleted pod: \(pod.name)", &cluster)
    }

    /// Lets go of the pods of a Job that is gone.
    private static func releaseOrphans(of key: ObjectKey, _ cluster: inout Cluster) {
        for pod in cluster.list(.pods, namespace: key.namespace) where pod.finalizers.contains(finalizer) {
            let owners = pod.list("metadata", "ownerReferences")
            if owners.contains(where: { $0.text("kind") == "Job" && $0.text("name") == key.name }) {
                release(pod, &cluster)
            }
        }
    }

    private static func release(_ pod: JSON, _ cluster: inout Cluster) {
        cluster.write(ObjectKey(.pods, pod.namespace, pod.name)) { pod in
            pod.setFinalizers(pod.finalizers.filter { $0 != finalizer })
        }
    }

    private static func add(
        _ types: [String],
        _ reason: String,
        _ message: String,
        _ status: inout JSON,
        _ now: String
    ) {
        let conditions: [JSON] = types.map { type in
            [
                "type": .string(type), "status": "True", "lastProbeTime": .string(now),
                "lastTransitionTime": .string(now), "reason": .string(reason), "message": .string(message),
            ]
        }
        status["conditions"] = .array(status.list("conditions") + conditions)
    }

    private static func setSuspended(_ suspended: Bool, _ job: Workload, _ status: inout JSON, _ cluster: inout Cluster)
    {
        var conditions = status.list("conditions")
        let index = conditions.firstIndex { $0.text("type") == "Suspended" }
        let was = index.map { conditions[$0].text("status") == "True" } ?? false
        if was == suspended { return }
        let condition: JSON = [
            "type": "Suspended", "status": suspended ? "True" : "False", "lastProbeTime": .string(cluster.timestamp),
            "lastTransitionTime": .string(cluster.timestamp), "reason": suspended ? "JobSuspended" : "JobResumed",
            "message": suspended ? "Job suspended" : "Job resumed",
        ]
        if let index { conditions[index] = condition } else { conditions.append(condition) }
        status["conditions"] = .array(conditions)
        if !suspended { status["startTime"] = .string(cluster.timestamp) }
        job.event(suspended ? "Suspended" : "Resumed", suspended ? "Job suspended" : "Job resumed", &cluster)
    }
}

/// Starts the Jobs of a CronJob: each minute, or each so many (`*/5 * * * *`); other schedules never fall due.
enum CronJobController {
    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let cron = Workload(key, component: "cronjob-controller", cluster), !cron.object.isBeingDeleted else {
            return
        }
        let jobs = cluster.dependents(of: cron.object.uid).filter { $0.resource == .jobs }.compactMap {
            cluster.get($0)
        }
        let running = jobs.filter { $0.at("status", "completionTime") == nil && $0.condition("Failed") == nil }
        var status = cron.object["status"] ?? [:]
        guard cron.object.at("spec", "suspend") != true, let minutes = interval(cron.object.text("spec", "schedule"))
        else {
            return report(cron, running, status, &cluster)
        }
        let now = cluster.epoch + Int(cluster.now.components.seconds)
        let minute = now / 60 / minutes * minutes * 60
        let last = Timestamp.text(minute)
        let created = cron.object.text("metadata", "creationTimestamp")
        if last > created, status.text("lastScheduleTime") < last {
            let policy = cron.object.text("spec", "concurrencyPolicy")
            if policy == "Replace" {
                for job in running { cluster.remove(ObjectKey(.jobs, key.namespace, job.name), uid: job.uid) }
            }
            if policy != "Forbid" || running.isEmpty {
                start(cron, minute, &cluster)
                status["lastScheduleTime"] = .string(last)
            }
        }
        cluster.enqueue(.sync(.cronJob, key), after: .seconds(minute + minutes * 60 - now))
        report(cron, running, status, &cluster)
    }

    private static func interval(_ schedule: String) -> Int? {
        let fields = schedule.split(separator: " ")
        guard fields.count == 5, fields.dropFirst().allSatisfy({ $0 == "*" }) else { return nil }
        if fields[0] == "*" { return 1 }
        guard fields[0].hasPrefix("*/"), let minutes = Int(fields[0].dropFirst(2)), minutes > 0 else { return nil }
        return minutes
    }

    private static func start(_ cron: Workload, _ moment: Int, _ cluster: inout Cluster) {
        let template = cron.object.at("spec", "jobTemplate")
        var metadata: JSON = [
            "name": .string("\(cron.key.name)-\(moment / 60)"),
            "ownerReferences": [cron.object.ownerReference(.cronJobs)],
        ]
        metadata["labels"] = template?.at("metadata", "labels")
        metadata["annotations"] = template?.at("metadata", "annotations")
        do {
            let job = try cluster.create(
                .jobs,
                namespace: cron.key.namespace,
                ["metadata": metadata, "spec": template?["spec"] ?? [:]]
            )
            cron.event("SuccessfulCreate", "Created job \(job.name)", &cluster)
        } catch {
            cron.event("Warning", "FailedCreate", "Error creating job: \(error)", &cluster)
        }
    }

    private static func report(_ cron: Workload, _ running: [JSON], _ status: JSON, _ cluster: inout Cluster) {
        var status = status
        let active: [JSON] = running.map {
            [
                "apiVersion": "batch/v1", "kind": "Job", "name": .string($0.name), "namespace": .string($0.namespace),
                "uid": .string($0.uid), "resourceVersion": .string($0.resourceVersion),
            ]
        }
        let names = status.list("active").map { $0["uid"] }
        if names != active.map({ $0["uid"] }) { status["active"] = active.isEmpty ? nil : .array(active) }
        cron.setStatus(status, &cluster)
    }
}
