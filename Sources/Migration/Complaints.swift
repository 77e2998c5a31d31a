import Kubernetes

/// Finds the cluster's complaints, as reasons for error messages.
struct Complaints: Sendable {
    let client: Client

    init(_ client: Client) { self.client = client }

    /// Returns the newest warning of the cluster's controllers about an object, as a reason for an error message.
    ///
    /// Events may be forbidden or gone; the message then has no reason.
    func lastWarning(about kind: String, _ name: ObjectName) async -> String? {
        do {
            let events = try await client.list(
                Event.self,
                in: name.namespace,
                field: "involvedObject.name=\(name.name)"
            )
            return events.filter { $0.type == "Warning" && $0.involvedObject.kind == kind }
                .max { ($0.metadata.creationTimestamp ?? "") < ($1.metadata.creationTimestamp ?? "") }
                .map { "\($0.reason ?? "Warning"): \($0.message ?? "")" }
        } catch {
            return "(its events could not be read: \(error))"
        }
    }

    /// Returns the reason why a pod does not run, in the cluster's words.
    func hindrance(of pod: Pod) async -> String? {
        let statuses = (pod.status?.initContainerStatuses ?? []) + (pod.status?.containerStatuses ?? [])
        let waiting = statuses.lazy.compactMap { $0.state?.waiting }.first {
            !["PodInitializing", "ContainerCreating"].contains($0.reason ?? "PodInitializing")
        }
        if let waiting { return "\(waiting.reason ?? ""): \(waiting.message ?? "")" }
        if let condition = pod.status?.conditions?.first(where: { $0.type == "PodScheduled" && $0.status == "False" }) {
            return "\(condition.reason ?? ""): \(condition.message ?? "")"
        }
        return await lastWarning(about: "Pod", pod.name)
    }
}
