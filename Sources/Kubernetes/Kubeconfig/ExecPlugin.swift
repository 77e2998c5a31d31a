import FoundationEssentials
import Subprocess
import SystemPackage

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A program that prints credentials: the `exec` of a kubeconfig's user.
///
/// The contract is Kubernetes' `client.authentication.k8s.io`, versions v1 and v1beta1.
struct ExecPlugin: Sendable {
    enum InteractiveMode: String {
        case never = "Never"
        case ifAvailable = "IfAvailable"
        case always = "Always"
    }

    var apiVersion: String
    var command: String
    /// Some plugins take secrets here.
    var arguments: Secret<[String]>
    /// The whole environment of the plugin, that of this process included.
    var environment: Secret<[String: String]>
    var interactiveMode: InteractiveMode
    var installHint: String?
    /// What the plugin is told of the cluster; nil where it does not ask.
    var cluster: Secret<JSON>?
    /// Which plugin this is, for messages.
    var title: String
    /// Whether a person can answer on stdin.
    var hasTerminal = isatty(STDIN_FILENO) == 1
    /// How long the plugin may take where it asks nobody, and where it may ask the person at the terminal.
    var timeLimit = Duration.seconds(60)
    var interactiveTimeLimit = Duration.seconds(300)

    /// Reads the `exec` of a user.
    ///
    /// - Parameters:
    ///   - node: The value of `exec`.
    ///   - user: The user's name.
    ///   - cluster: The cluster's entry in the kubeconfig.
    ///   - configuration: What was read of the cluster so far.
    ///   - environment: The environment of this process.
    init(
        _ node: KubeconfigNode,
        user: String,
        cluster: KubeconfigNode,
        configuration: Configuration,
        environment: [String: String]
    ) throws(ConfigurationError) {
        let group = "client.authentication.k8s.io"
        guard let version = try node.string("apiVersion"), ["\(group)/v1", "\(group)/v1beta1"].contains(version) else {
            throw (try node.child("apiVersion") ?? node).error(
                "exec needs the apiVersion \(group)/v1 or \(group)/v1beta1; update the plugin and this entry"
            )
        }
        apiVersion = version
        guard let command = try node.string("command") else { throw node.error("exec has no command") }
        // kubectl's rule: a bare name is looked up in PATH, a path is relative to the file.
        self.command = command.contains("/") ? node.file.resolve(command) : command
        title = "the credential plugin \(command) of the user \"\(user)\" (\(node.place))"
        arguments = Secret(try node.strings("args"))
        installHint = try node.string("installHint")
        switch try node.string("interactiveMode") {
        case let mode?:
            guard let known = InteractiveMode(rawValue: mode) else {
                throw (try node.child("interactiveMode") ?? node).error(
                    "interactiveMode must be Never, IfAvailable or Always"
                )
            }
            interactiveMode = known
        case nil:
            guard version == "\(group)/v1beta1" else { throw node.error("exec has no interactiveMode") }
            interactiveMode = .ifAvailable
        }
        var variables = environment
        for variable in try node.elements("env") {
            guard let name = try variable.string("name") else { throw variable.error("this variable has no name") }
            variables[name] = try variable.string("value") ?? ""
        }
        self.environment = Secret(variables)
        if try node.bool("provideClusterInfo") {
            self.cluster = Secret(try Self.information(on: cluster, configuration))
        }
    }

    /// The `spec.cluster` that the plugin is given.
    private static func information(
        on cluster: KubeconfigNode,
        _ configuration: Configuration
    ) throws(ConfigurationError) -> JSON {
        var information: JSON = ["server": .string(configuration.server)]
        if let name = configuration.serverName { information["tls-server-name"] = .string(name) }
        if configuration.insecureSkipVerify { information["insecure-skip-tls-verify"] = true }
        if let authority = configuration.certificateAuthority {
            information["certificate-authority-data"] = .string(authority.base64EncodedString())
        }
        if let proxy = configuration.proxy { information["proxy-url"] = .string(proxy.value) }
        for named in try cluster.elements("extensions")
        where try named.string("name") == "client.authentication.k8s.io/exec" {
            information["config"] = try named.child("extension").map { JSON($0.value) }
        }
        return information
    }

    /// Runs the plugin; what it says on stderr goes to this process's stderr.
    ///
    /// - Throws: `TransportError`: `configuration` where the plugin is missing or says nonsense, `notSent` where it
    ///   failed; `CancellationError` where the task was cancelled, which ends the plugin.
    func run() async throws -> ExecCredential {
        let isInteractive = interactiveMode != .never && hasTerminal
        if interactiveMode == .always, !isInteractive {
            throw TransportError(.configuration, "\(title) needs a terminal to ask you, and stdin is none")
        }
        let output = try await output(isInteractive: isInteractive)
        guard output.status.isSuccess else {
            let hint = installHint.map { "\n\($0)" } ?? ""
            throw TransportError(.notSent, "\(title) failed: \(output.status)\(hint)")
        }
        return try ExecCredential(output.bytes, of: self)
    }

    private func output(isInteractive: Bool) async throws -> (bytes: [UInt8], status: TerminationStatus) {
        let limit = isInteractive ? interactiveTimeLimit : timeLimit
        return try await withThrowingTaskGroup { group in
            group.addTask { () -> (bytes: [UInt8], status: TerminationStatus)? in
                try await start(isInteractive: isInteractive)
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let output = first else {
                throw TransportError(.notSent, "\(title) did not end within \(limit.components.seconds) s")
            }
            return output
        }
    }

    private func start(isInteractive: Bool) async throws -> (bytes: [UInt8], status: TerminationStatus) {
        var variables: [Environment.Key: String] = [:]
        for (name, value) in environment.value {
            if let key = Environment.Key(rawValue: name) { variables[key] = value }
        }
        var information: JSON = ["apiVersion": .string(apiVersion), "kind": "ExecCredential", "spec": [:]]
        information[path: ["spec", "interactive"]] = .bool(isInteractive)
        information[path: ["spec", "cluster"]] = cluster?.value
        variables["KUBERNETES_EXEC_INFO"] = String(decoding: information.text, as: UTF8.self)

        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(1))]
        let configuration = Subprocess.Configuration(
            executable: command.contains("/") ? .path(FilePath(command)) : .name(command),
            arguments: Arguments(arguments.value),
            environment: .custom(variables),
            platformOptions: options
        )
        let outputLimit = 1 << 20
        do {
            if isInteractive {
                let result = try await Subprocess.run(
                    configuration,
                    input: .currentStandardInput,
                    output: .bytes(limit: outputLimit),
                    error: .currentStandardError
                )
                return (result.standardOutput, result.terminationStatus)
            }
            let result = try await Subprocess.run(
                configuration,
                output: .bytes(limit: outputLimit),
                error: .currentStandardError
            )
            return (result.standardOutput, result.terminationStatus)
        } catch let error as SubprocessError {
            if Task.isCancelled { throw CancellationError() }
            let hint = installHint.map { "\n\($0)" } ?? ""
            switch error.code {
            case .executableNotFound:
                throw TransportError(.configuration, "\(title) was not found, or cannot be run\(hint)")
            case .outputLimitExceeded:
                throw TransportError(.configuration, "\(title) printed more than \(outputLimit >> 20) MiB")
            default:
                throw TransportError(.notSent, "\(title) could not be run: \(error)")
            }
        }
    }
}
