import ArgumentParser
import Kubernetes

/// Whether results are for a person or for a program.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
    /// Events, one JSON object a line, as they happen.
    case jsonl
}

/// The flags of every command that asks a cluster: those that kubectl has, too, mean what they mean there.
struct ConnectionArguments: ParsableArguments {
    /// The names of its flags, which no plan holds.
    static let names: Set<String> = [
        "kubeconfig", "context", "cluster", "user", "server", "insecure-skip-tls-verify", "token-file", "as",
        "as-group", "request-timeout", "qps", "output", "verbose",
    ]

    /// Above these flags in a command's help.
    static let title = "Cluster and output"

    @Option(
        help: ArgumentHelp(
            "The kubeconfig. (default: $KUBECONFIG, the pod's service account, ~/.kube/config)",
            valueName: "file"
        )
    )
    var kubeconfig: String?

    @Option(help: ArgumentHelp("The kubeconfig's context. (default: its current one)", valueName: "name"))
    var context: String?

    @Option(help: ArgumentHelp("The kubeconfig's cluster. (default: the context's)", valueName: "name"))
    var cluster: String?

    @Option(help: ArgumentHelp("The kubeconfig's user. (default: the context's)", valueName: "name"))
    var user: String?

    @Option(help: ArgumentHelp("The API server's address. (default: the cluster's)", valueName: "url"))
    var server: String?

    @Flag(
        name: .customLong("insecure-skip-tls-verify"),
        help: "Trust whatever certificate the API server shows; whoever answers gets the credentials."
    )
    var insecureSkipVerify = false

    @Option(
        help: ArgumentHelp(
            "A file with a token, which is sent instead of the user's credentials, and read again as it changes.",
            valueName: "file"
        )
    )
    var tokenFile: String?

    @Option(name: .customLong("as"), help: ArgumentHelp("Act as this user.", valueName: "name"))
    var impersonatedUser: String?

    @Option(
        name: .customLong("as-group"),
        help: ArgumentHelp("With --as, act as a member of this group; may be given several times.", valueName: "name")
    )
    var impersonatedGroups: [String] = []

    @Option(
        help: ArgumentHelp(
            "How long a single request may take: 10s, 2m; 0 for as long as the server says something.",
            discussion:
                "Reads are repeated for a minute. Watches, logs and commands in containers take as long as they take.",
            valueName: "duration"
        )
    )
    var requestTimeout = "0"

    @Option(help: ArgumentHelp("How many requests a second the API server is sent at most.", valueName: "number"))
    var qps = 100

    @Option(help: ArgumentHelp("How results are written on stdout.", valueName: "format"))
    var output = OutputFormat.text

    @Flag(
        name: [.customShort("v"), .customLong("verbose")],
        help: "Tell on stderr of each request, and how long it took; of no header and no body."
    )
    var verbose = false

    /// - Parameter streaming: whether the command has events to stream.
    func checked(streaming: Bool = false) throws(UsageError) -> Connection {
        guard streaming || output != .jsonl else {
            throw UsageError("--output jsonl streams what happens in a run; this command has one result: use json")
        }
        return Connection(
            kubeconfig: try Check.notEmpty(kubeconfig, "--kubeconfig"),
            context: try Check.notEmpty(context, "--context"),
            overrides: try overrides(),
            format: output,
            rate: RequestRate(perSecond: try Check.requestsPerSecond(qps)),
            isVerbose: verbose
        )
    }

    private func overrides() throws(UsageError) -> ConfigurationOverrides {
        var overrides = ConfigurationOverrides()
        overrides.cluster = try Check.notEmpty(cluster, "--cluster")
        overrides.user = try Check.notEmpty(user, "--user")
        overrides.server = try Check.notEmpty(server, "--server")
        overrides.insecureSkipVerify = insecureSkipVerify
        overrides.tokenFile = try Check.notEmpty(tokenFile, "--token-file")
        overrides.impersonatedUser = try Check.notEmpty(impersonatedUser, "--as")
        for group in impersonatedGroups {
            overrides.impersonatedGroups += [try Check.notEmpty(group, "--as-group") ?? ""]
        }
        if !["0", "0s"].contains(requestTimeout) {
            overrides.requestTimeout = try Check.duration(requestTimeout, "--request-timeout")
        }
        return overrides
    }
}
