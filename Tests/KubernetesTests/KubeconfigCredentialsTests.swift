import Foundation
import Synchronization
import Testing

@testable import Kubernetes

@Suite("Credentials")
struct KubeconfigCredentialsTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// A clock that a test sets.
    private final class Clock: Sendable {
        private let time = Mutex(Date(timeIntervalSince1970: 1_700_000_000))
        var now: Date { time.withLock { $0 } }
        func advance(_ seconds: Double) { time.withLock { $0 += seconds } }
    }

    private func configuration(
        user: String,
        cluster: String = "{server: https://a.example.com}"
    ) throws -> Configuration {
        let file = try folder.write("config", kubeconfig(cluster: cluster, user: user))
        return try Configuration.load(
            kubeconfig: file,
            context: nil,
            environment: ["PATH": "/usr/bin:/bin", "OWN": "yes"],
            home: nil
        )
    }

    /// A user with the plugin `plugin`, a shell script.
    private func plugin(_ script: String, more: String = "", version: String = "v1beta1") throws -> Configuration {
        try folder.write("plugin", "#!/bin/sh\ncd \(folder.path)\n\(script)\n", executable: true)
        return try configuration(
            user: "{exec: {apiVersion: client.authentication.k8s.io/\(version), command: ./plugin\(more)}}",
            cluster: "{server: https://a.example.com, tls-server-name: b, extensions: "
                + "[{name: client.authentication.k8s.io/exec, extension: {audience: x}}]}"
        )
    }

    /// The configuration with another plugin.
    private func changed(
        _ configuration: Configuration,
        _ change: (inout ExecPlugin) -> Void
    ) throws -> Configuration {
        var configuration = configuration
        guard case .exec(var plugin) = configuration.authentication.header else {
            throw TransportError(.configuration, "no exec plugin")
        }
        change(&plugin)
        configuration.authentication.header = .exec(plugin)
        return configuration
    }

    private func output(_ status: String, version: String = "v1beta1") -> String {
        "{\"apiVersion\":\"client.authentication.k8s.io/\(version)\",\"kind\":\"ExecCredential\",\"status\":\(status)}"
    }

    private func authorization(_ credentials: Credentials) async throws -> String? {
        try await credentials.identity().headers.value.first { $0.name == "Authorization" }?.value
    }

    private func failure(_ configuration: Configuration) async -> String {
        do {
            return "read: \(try await authorization(Credentials(configuration)) ?? "")"
        } catch {
            return "\(error)".replacingOccurrences(of: folder.path + "/", with: "")
        }
    }

    private let counting = "echo run >> runs; n=$(wc -l < runs)"

    @Test("of a token file are read again after a minute and after a 401")
    func tokenFile() async throws {
        try folder.write("token", " one\n")
        let clock = Clock()
        let credentials = Credentials(try configuration(user: "{tokenFile: token}"), now: { clock.now })
        #expect(try await authorization(credentials) == "Bearer one")
        try folder.write("token", "two")
        clock.advance(59)
        #expect(try await authorization(credentials) == "Bearer one")
        clock.advance(2)
        #expect(try await authorization(credentials) == "Bearer two")
        let refused = try await credentials.identity()
        #expect(try await credentials.refresh(refused) == false)
        try folder.write("token", "three")
        #expect(try await credentials.refresh(refused))
        #expect(try await authorization(credentials) == "Bearer three")
        // The refused identity is not the current one any more.
        #expect(try await credentials.refresh(refused))
        // A file that is being replaced: the last token holds.
        try FileManager.default.removeItem(atPath: folder.path + "/token")
        clock.advance(120)
        #expect(try await authorization(credentials) == "Bearer three")
    }

    @Test("of a token file that cannot be used say so, or use the token beside it")
    func missingTokenFile() async throws {
        #expect(
            await failure(try configuration(user: "{tokenFile: token}"))
                == "the token file token cannot be read: no such file or directory"
        )
        #expect(await failure(try configuration(user: "{tokenFile: token, token: x}")) == "read: Bearer x")
        try folder.write("token", "\n")
        #expect(await failure(try configuration(user: "{tokenFile: token}")) == "the token file token holds no token")
    }

    @Test("that never change cannot be refreshed")
    func fixed() async throws {
        let credentials = Credentials(try configuration(user: "{token: x}"))
        #expect(try await credentials.refresh(try await credentials.identity()) == false)
    }

    @Test("of a plugin are cached until they expire, and renewed after a 401")
    func pluginCache() async throws {
        let expiry = "2023-11-14T22:15:20.5+00:00"  // 120.5 seconds after the clock's start
        let script =
            counting + "\ncat <<E\n" + output("{\"token\":\"t$n\",\"expirationTimestamp\":\"\(expiry)\"}") + "\nE"
        let clock = Clock()
        let credentials = Credentials(try plugin(script), now: { clock.now })
        #expect(try await authorization(credentials) == "Bearer t1")
        clock.advance(120)
        #expect(try await authorization(credentials) == "Bearer t1")
        let refused = try await credentials.identity()
        #expect(try await credentials.refresh(refused))
        #expect(try await authorization(credentials) == "Bearer t2")
        #expect(try await credentials.refresh(refused))
        #expect(try folder.read("runs") == "run\nrun\n")
        clock.advance(1)
        #expect(try await authorization(credentials) == "Bearer t3")
    }

    @Test("of a plugin are asked for once, however many requests wait")
    func onePluginAtATime() async throws {
        let configuration = try plugin(counting + "\ncat <<E\n" + output("{\"token\":\"t$n\"}") + "\nE")
        let credentials = Credentials(configuration)
        let first = try await credentials.identity()
        let answers = try await withThrowingTaskGroup { group in
            for _ in 0..<20 {
                group.addTask {
                    #expect(try await credentials.refresh(first))
                    return try await self.authorization(credentials)
                }
            }
            return try await group.reduce(into: Set<String?>()) { $0.insert($1) }
        }
        #expect(answers == ["Bearer t2"])
        #expect(try folder.read("runs") == "run\nrun\n")
    }

    @Test("of a plugin can be a certificate with its key")
    func pluginCertificate() async throws {
        let certificate = fakePEM.replacingOccurrences(of: "\n", with: "\\n")
        let status = "{\"clientCertificateData\":\"\(certificate)\",\"clientKeyData\":\"\(certificate)\"}"
        let credentials = Credentials(try plugin("cat <<'E'\n" + output(status) + "\nE"))
        let identity = try await credentials.identity()
        #expect(identity.certificate?.certificate == Data(fakePEM.utf8))
        #expect(identity.headers.value.isEmpty)
    }

    @Test("of a plugin are asked for with arguments, variables and what is known of the cluster")
    func pluginInput() async throws {
        let script = """
            echo "$KUBERNETES_EXEC_INFO" > info
            cat <<E
            \(output("{\"token\":\"$1-$2-$NEW-$OWN\"}", version: "v1"))
            E
            """
        let more =
            ", args: [a b, \"'c\"], env: [{name: NEW, value: new}], interactiveMode: Never, provideClusterInfo: true"
        #expect(
            try await authorization(Credentials(plugin(script, more: more, version: "v1"))) == "Bearer a b-'c-new-yes"
        )
        let info = try JSON(parsing: Data(folder.read("info").utf8))
        #expect(
            info == [
                "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                "spec": [
                    "interactive": false,
                    "cluster": [
                        "server": "https://a.example.com", "tls-server-name": "b", "config": ["audience": "x"],
                    ],
                ],
            ]
        )
    }

    @Test("of a plugin that does not do its work say what happened, without its output")
    func pluginFailures() async throws {
        let place = "(config:6:32)"
        let title = "the credential plugin ./plugin of the user \"u\" \(place)"
        #expect(await failure(try plugin("exit 3")) == "\(title) failed: exited(3)")
        #expect(
            await failure(try plugin("echo SECRET")) == "\(title) printed no ExecCredential in JSON"
        )
        #expect(await failure(try plugin("")) == "\(title) printed no ExecCredential in JSON")
        #expect(
            await failure(try plugin("echo '" + output("{\"token\":\"x\"}", version: "v1") + "'"))
                == "\(title) printed another apiVersion than client.authentication.k8s.io/v1beta1, which the kubeconfig"
                + " asks for"
        )
        #expect(
            await failure(try plugin("echo '{\"kind\":\"Pod\"}'"))
                == "\(title) printed JSON of another kind than ExecCredential"
        )
        #expect(await failure(try plugin("echo '" + output("null") + "'")) == "\(title) printed no status")
        #expect(
            await failure(try plugin("echo '" + output("{}") + "'"))
                == "\(title) printed neither a token nor a certificate"
        )
        #expect(
            await failure(try plugin("echo '" + output("{\"clientCertificateData\":\"x\"}") + "'"))
                == "\(title) must print clientCertificateData and clientKeyData together, both in PEM"
        )
        #expect(
            await failure(try plugin("echo '" + output("{\"token\":\"x\",\"expirationTimestamp\":\"soon\"}") + "'"))
                == "\(title) printed an unusable expirationTimestamp"
        )
        #expect(await failure(try plugin("yes")) == "\(title) printed more than 1 MiB")
    }

    @Test("of a plugin that must ask a person are not to be had without a terminal")
    func noTerminal() async throws {
        let configuration = try changed(try plugin("exit 1", more: ", interactiveMode: Always")) {
            $0.hasTerminal = false
        }
        #expect(await failure(configuration).hasSuffix(" needs a terminal to ask you, and stdin is none"))
    }

    @Test("of a plugin that is not installed come with its hint", arguments: ["no-such-plugin", "./no-such-plugin"])
    func missingPlugin(command: String) async throws {
        let version = "client.authentication.k8s.io/v1beta1"
        let user = "{exec: {apiVersion: \(version), command: \(command), installHint: Install it from example.com}}"
        #expect(
            await failure(try configuration(user: user))
                == "the credential plugin \(command) of the user \"u\" (config:6:32) was not found, or cannot be run\n"
                + "Install it from example.com"
        )
    }

    @Test("of a plugin that hangs are given up, and so is the plugin", .timeLimit(.minutes(5)))
    func hangingPlugin() async throws {
        let configuration = try changed(try plugin("echo $$ > pid\nexec sleep 600")) {
            $0.hasTerminal = false
            $0.timeLimit = .seconds(1)
        }
        #expect(await failure(configuration).hasSuffix("did not end within 1 s"))
        let pid = try #require(Int32(folder.read("pid").trimmed))
        #expect(kill(pid, 0) == -1)
    }

    @Test("of a plugin can be given up by one request while another still waits", .timeLimit(.minutes(5)))
    func cancelledPlugin() async throws {
        // The first run waits for ever, the second answers.
        try folder.write("answer", output("{\"token\":\"x\"}"))
        let pipe = folder.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        let configuration = try plugin("if mkdir first; then exec cat pipe; fi\ncat answer")
        let credentials = Credentials(configuration)
        let cancelled = Task { try await credentials.identity() }
        let other = Task { try await self.authorization(credentials) }
        // A pipe can be opened for writing when somebody reads it: then the plugin runs.
        let writer = await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: open(pipe, O_WRONLY)) }
        }
        defer { close(writer) }
        cancelled.cancel()
        #expect(try await other.value == "Bearer x")
        await #expect(throws: CancellationError.self) { try await cancelled.value }
    }
}
