import Kubernetes
import Migration
import Synchronization

/// How the cluster is reached and how results are written: what all commands that ask a cluster have in common.
struct Connection: Sendable {
    var kubeconfig: String?
    var context: String?
    /// What holds in place of what the kubeconfig says.
    var overrides = ConfigurationOverrides()
    var format: OutputFormat
    /// How many requests a second are sent, in the long run; nil for as many as there are.
    var rate: RequestRate?
    /// Whether each request is told of.
    var isVerbose = false

    /// Finds out where the cluster is and who asks.
    ///
    /// - Throws: what is wrong with the kubeconfig.
    func configuration(in surroundings: Surroundings) throws -> Configuration {
        try Configuration.load(
            kubeconfig: kubeconfig,
            context: context,
            overrides: overrides,
            environment: surroundings.environment,
            home: surroundings.environment["HOME"]
        )
    }
}

extension Surroundings {
    /// A client that passes each different warning of the server on once; what the configuration warns of is said first.
    func client(_ configuration: Configuration, _ connection: Connection, log: Log) throws -> Client {
        for warning in configuration.warnings { log.note(.warning, "", warning) }
        var transport = try connect(configuration)
        if connection.isVerbose {
            transport = TracedTransport(transport: transport, time: time) { text in
                log.write(Log.line(log.elapsed, .info, "", text))
            }
        }
        let warnings = Mutex<Set<String>>([])
        return Client(
            transport: transport,
            time: time,
            rate: connection.rate,
            onWarning: { text in
                guard warnings.withLock({ $0.insert(text).inserted }) else { return }
                log.note(.warning, "", "the API server says: \(text)")
            }
        )
    }

    /// Writes what a command has found, and the last thing to say.
    func conclude(_ format: OutputFormat, text: String, json: JSON, last: String) {
        switch format {
        case .text: output(text)
        case .json, .jsonl: output(json.line)
        }
        errors(last.onOneLine + "\n")
    }
}
