import Kubernetes

/// Finds out on which nodes SELinux labels files. There, a second pod that mounts a volume can take it from the pods that
/// have it, as the container runtime labels the files for the last one.
struct Labels: Sendable {
    private let client: Client
    private let journal: Journal
    private let findings: Findings

    init(_ context: Context) {
        (client, journal, findings) = (context.destination, context.journal, context.findings)
    }

    /// Learns from the output of a pod that ran `tryingCommand`. Where that is not to be read, the node counts as one that
    /// labels files.
    func learn(from pod: Pod, container: String) async {
        guard let node = pod.spec.nodeName, let namespace = pod.metadata.namespace else { return }
        let log = await journal.orWarn(pod.title) { try await client.log(of: pod.name, container: container, tail: 50) }
        guard let log, Self.proveNone(log) else { return }
        findings.note { $0.nodesWithoutLabels.insert(.init(node: node, namespace: namespace)) }
    }

    /// Runs a program, and shows after its success the label of its process.
    /// Its end is shown by the program that shows the label, so that it is there, too.
    static let script = "\"$@\" || exit; cat /proc/self/attr/current 2>/dev/null; echo; echo \(end) | cat"
    private static let end = "label shown"

    /// Returns true where an output of the script proves that its process had no label.
    static func proveNone(_ output: String) -> Bool {
        let lines = output.split(whereSeparator: \.isNewline)
        // A label is user:role:type:level.
        return lines.last == end[...] && !lines.contains { $0.split(separator: ":").count >= 3 && !$0.contains(" ") }
    }
}
