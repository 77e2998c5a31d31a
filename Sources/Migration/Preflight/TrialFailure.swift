import Kubernetes

/// Finds out whether a trial failed, and why.
struct TrialFailure: Sendable {
    private let client: Client

    init(_ client: Client) { self.client = client }

    /// Waits until a trial's pod has ended, or does what is enough.
    ///
    /// - Parameters:
    ///   - isEnough: True where the pod need not end.
    ///   - lateness: Returns the reason why it did not in time, given the pod as last seen.
    /// - Returns: The reason why it failed; nil where it did not.
    /// - Throws: `Refusal` where somebody deletes the pod; `APIError`.
    func awaitFailure(
        of name: ObjectName,
        _ content: any MoverContent,
        limit: Duration,
        orUntil isEnough: (Pod) -> Bool = { _ in false },
        lateness: (Pod?) async -> String
    ) async throws -> String? {
        var last: Pod?
        do {
            let pod = try await client.wait(
                for: Pod.self,
                in: name.namespace,
                named: name.name,
                limit: limit,
                what: "the pod of a trial"
            ) { snapshot -> Pod? in
                guard let pod = snapshot.object(named: name.name) else { throw Refusal("somebody deleted its pod") }
                last = pod
                return pod.isFinished || isEnough(pod) ? pod : nil
            }
            return pod.phase == .failed ? await failure(of: pod, content) : nil
        } catch is WaitTimeout {
            return await lateness(last)
        }
    }

    /// Returns the reason why a trial's pod failed: its end, and its output.
    private func failure(of pod: Pod, _ content: any MoverContent) async -> String {
        guard let ended = pod.state(of: Trial.container)?.terminated else {
            return "its pod failed: \(pod.status?.reason ?? "Failed")\(pod.status?.message.map { ": \($0)" } ?? "")"
        }
        var output = ended.message ?? ""
        do {
            output += try await client.log(of: pod.name, container: Trial.container, tail: 5)
        } catch {
            // A container that never started has no log; its termination message says why.
            if output.isEmpty { output = "(\(error))" }
        }
        let words = output.split(whereSeparator: \.isNewline).joined(separator: " ")
        let meaning = content.advice(output: output) ?? content.exit(ended.exitCode).meaning
        return "\(content.tool) ended with exit code \(ended.exitCode), \(meaning)"
            + (words.isEmpty ? "" : ": \(words)")
    }

    /// Returns the reason why a trial's pod does not run yet, in the most telling words of the cluster.
    func hindrance(of pod: Pod, waitingFor claim: ObjectName) async -> String {
        // The kubelet has the pod and cannot start it, mostly because of the image.
        if let waiting = pod.state(of: Trial.container)?.waiting, let message = waiting.message, !message.isEmpty {
            return "\(waiting.reason ?? "Waiting"): \(message)"
        }
        let unscheduled = pod.status?.conditions?.first { $0.type == "PodScheduled" && $0.status == "False" }
        do {
            let found = try await client.find(PersistentVolumeClaim.self, claim)
            // Without a volume the scheduler and the kubelet only wait for the provisioner.
            if found?.phase != .bound, let words = Self.words(try await events(of: "PersistentVolumeClaim", claim)) {
                return words
            }
            if let unscheduled { return "\(unscheduled.reason ?? ""): \(unscheduled.message ?? "")" }
            // Complaints of the scheduler from before it found a node are over.
            let events = try await events(of: "Pod", pod.name)
                .filter { pod.spec.nodeName == nil || $0.reason != "FailedScheduling" }
            if let words = Self.words(events) { return words }
            // There is no complaint: the last action takes its time, such as pulling the image.
            let after = events.filter { $0.reason != "Scheduled" }
            let last = (after.isEmpty ? events : after).max {
                ($0.metadata.creationTimestamp ?? "") < ($1.metadata.creationTimestamp ?? "")
            }
            if let last { return "\(last.reason ?? ""): \(last.message ?? "")" }
            return "it is \(pod.phase), its claim \(found?.phase.rawValue ?? "gone"), and nothing says why"
        } catch {
            if let unscheduled { return "\(unscheduled.reason ?? ""): \(unscheduled.message ?? "")" }
            return "it is \(pod.phase), and the reasons could not be read: \(error)"
        }
    }

    private func events(of kind: String, _ name: ObjectName) async throws -> [Event] {
        try await client.list(Event.self, in: name.namespace, field: "involvedObject.name=\(name.name)")
            .filter { $0.involvedObject.kind == kind }
    }

    /// Returns the words of events: a warning, or else the message of a wait for a provisioner.
    ///
    /// Of several warnings the longest tells most. The others only say that something failed (`Error: ErrImagePull`).
    static func words(_ events: [Event]) -> String? {
        let warnings = events.filter { $0.type == "Warning" }
        let waits = events.filter { $0.reason == "ExternalProvisioning" }
        return (warnings.isEmpty ? waits : warnings).max { $0.message?.count ?? 0 < $1.message?.count ?? 0 }
            .map { "\($0.reason ?? "Warning"): \($0.message ?? "")" }
    }
}
