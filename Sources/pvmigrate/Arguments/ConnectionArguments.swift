import ArgumentParser
import Kubernetes

/// Whether results are for a person or for a program.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
    /// Events, one JSON object a line, as they happen.
    case jsonl
}

/// The flags of every command that asks a cluster.
struct ConnectionArguments: ParsableArguments {
    /// The names of its flags, which no plan holds.
    static let names: Set<String> = ["kubeconfig", "context", "qps", "output"]

    @Option(
        help: ArgumentHelp(
            "The kubeconfig. (default: $KUBECONFIG, the pod's service account, ~/.kube/config)",
            valueName: "file"
        )
    )
    var kubeconfig: String?

    @Option(help: ArgumentHelp("The kubeconfig's context. (default: its current one)", valueName: "name"))
    var context: String?

    @Option(help: ArgumentHelp("How many requests a second the API server is sent at most.", valueName: "number"))
    var qps = 100

    @Option(help: ArgumentHelp("How results are written on stdout.", valueName: "format"))
    var output = OutputFormat.text

    /// - Parameter streaming: whether the command has events to stream.
    func checked(streaming: Bool = false) throws(UsageError) -> Connection {
        guard streaming || output != .jsonl else {
            throw UsageError("--output jsonl streams what happens in a run; this command has one result: use json")
        }
        return Connection(
            kubeconfig: try Check.notEmpty(kubeconfig, "--kubeconfig"),
            context: try Check.notEmpty(context, "--context"),
            format: output,
            rate: RequestRate(perSecond: try Check.requestsPerSecond(qps))
        )
    }
}
