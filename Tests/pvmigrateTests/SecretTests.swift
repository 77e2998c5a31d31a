import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

/// A server on loopback that tells everything it was sent, each path in another way; by HTTPS, and at another port by HTTP.
private final class EchoServer: Sendable {
    let port: Int
    let plainPort: Int
    private let process: Process
    private let input = Pipe()

    private static let script = """
        import http.server, json, ssl, sys, threading, os

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                echo = " ".join(f"{name}: {value}" for name, value in self.headers.items())
                path = self.path[len("http://"):] if self.path.startswith("http://") else self.path
                mode = "407" if self.command == "CONNECT" else path.split("/")[1]
                status = int(mode) if mode.isdigit() else 200
                body = echo
                if mode == "401" or mode == "403":
                    body = json.dumps({"kind": "Status", "code": status, "message": "I do not know " + echo})
                elif mode == "json":
                    body = json.dumps({"headers": dict(self.headers)})
                elif mode == "html":
                    body = "<html>" + "x" * 60 + echo
                elif mode == "lists":
                    kinds = {
                        "storageclasses": "StorageClass", "persistentvolumes": "PersistentVolume", "pods": "Pod",
                        "persistentvolumeclaims": "PersistentVolumeClaim", "statefulsets": "StatefulSet",
                        "deployments": "Deployment", "daemonsets": "DaemonSet", "replicasets": "ReplicaSet",
                        "replicationcontrollers": "ReplicationController", "jobs": "Job", "cronjobs": "CronJob",
                        "configmaps": "ConfigMap",
                    }
                    kind = kinds.get(self.path.split("?")[0].split("/")[-1], "") + "List"
                    body = json.dumps({"kind": kind, "metadata": {"resourceVersion": "1"}, "items": []})
                elif mode == "cut":
                    self.wfile.write(("HTTP/1.1 200 OK\\r\\nContent-Length: 9999\\r\\n\\r\\n" + echo).encode())
                    return
                elif mode == "garbage":
                    self.wfile.write((echo + "\\r\\n" + echo + "\\r\\n").encode())
                    return
                self.send_response(status, echo)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Warning", '299 - "' + echo.replace('"', "") + '"')
                self.send_header("Location", "https://a.example.com/?" + echo)
                self.send_header("Retry-After", echo)
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_POST = do_CONNECT = answer

            def log_message(self, *arguments):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1] + "/server.crt", sys.argv[1] + "/server.key")
        ports = []
        for isPlain in (False, True):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            if not isPlain:
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            ports.append(str(server.server_address[1]))
        print(" ".join(ports), flush=True)
        # Ends with the test, however that ends.
        sys.stdin.read()
        os._exit(0)
        """

    /// - Parameter folder: takes its key and certificate.
    init(_ folder: TemporaryFolder) throws {
        let openssl = Process()
        openssl.executableURL = URL(filePath: "/usr/bin/env")
        openssl.arguments =
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-days", "2", "-subj", "/CN=server", "-keyout", folder.path + "/server.key"]
            + ["-out", folder.path + "/server.crt"]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", Self.script, folder.path]
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        // The line with the ports comes when the server listens; none at all when it ended.
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let ports = line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        try #require(ports.count == 2, "the test's server did not start")
        (port, plainPort) = (ports[0], ports[1])
    }

    // Not SIGTERM, which the threads of tests block, and so do their children.
    deinit { kill(process.processIdentifier, SIGKILL) }
}

/// Secrets everywhere, and nothing that the command says may tell one of them.
@Suite("No secret is told", .timeLimit(.minutes(5)))
struct SecretTests {
    private static let token = "t0ken/Zq8+vK3xW5yB7nM9"
    private static let password = "passw0rd Xy7/Lm4n"
    private static let proxyPassword = "pr0xy-9Wk2c"
    /// As they are, and as they are written into headers and URLs.
    private static let secrets = [
        token, password, proxyPassword, Data("me:\(password)".utf8).base64EncodedString(),
        Data("me:\(proxyPassword)".utf8).base64EncodedString(), "S2VlcCB0aGlz", "Keep this",
        String(key.suffix(20)),
    ]
    private static let certificate = Data("-----BEGIN CERTIFICATE-----\n".utf8).base64EncodedString()
    private static let fakeCertificate =
        "-----BEGIN CERTIFICATE-----\nTm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
    private static let key = Data(
        "-----BEGIN EC PRIVATE KEY-----\nKeep this\nS2VlcCB0aGlz+//+//+//+//+//+//+//+//+//+//+//+//+\n".utf8
    )
    .base64EncodedString()

    /// A server that nobody is.
    private static let nobody = "{server: 'https://127.0.0.1:1'}"

    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try folder.write("token", Self.token + "\n")
        let plugin = try folder.write(
            "plugin",
            """
            #!/bin/sh
            tr '\\0' ' ' < /proc/$$/cmdline > \(folder.path)/arguments
            echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"\(Self.token)"}}'
            """
        )
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: plugin)
    }

    /// Runs the command with a kubeconfig and returns all that it says.
    private func run(_ kubeconfig: String, _ format: String = "text") async throws -> Run {
        let file = try folder.write("config", kubeconfig)
        let console = Console()
        let environment = ["PATH": "/usr/bin:/bin", "HOME": folder.path]
        let code = await pvmigrate.run(
            ["--source-sc", "slow", "--dest-sc", "fast", "--kubeconfig", file, "--output", format],
            in: console.surroundings(environment: environment, time: .instant) { try CurlTransport.make($0) },
            interruption: Interruption()
        )
        return console.run(ending: code)
    }

    private func check(_ run: Run, _ what: String) {
        let told = Self.secrets.filter { run.output.contains($0) || run.errors.contains($0) }
        #expect(told.isEmpty, "\(what): \(run.errors)\(run.output)")
    }

    private static let logins: [String] = [
        "token: '\(token)'", "tokenFile: token", "username: me, password: '\(password)'",
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}",
    ]

    @Test("that a server echoes", arguments: logins)
    func servers(user: String) async throws {
        let server = try EchoServer(folder)
        let origin = "https://127.0.0.1:\(server.port)"
        let proxied = "proxy-url: 'http://me:\(Self.proxyPassword)@127.0.0.1:\(server.plainPort)'"
        let modes = ["302", "400", "401", "403", "404", "429", "500", "json", "html", "lists", "cut", "garbage"]
        let direct = modes.map { "insecure-skip-tls-verify: true, server: '\(origin)/\($0)'" }
        let indirect = modes.map { "server: 'http://a.example.com/\($0)', \(proxied)" }
        // This one is asked to connect and refuses.
        for cluster in direct + indirect + ["server: 'https://a.example.com', \(proxied)"] {
            let run = try await run(kubeconfig(cluster: "{\(cluster)}", user: "{\(user)}"), "json")
            #expect(!run.errors.isEmpty)
            check(run, cluster)
        }
        // The echo works: what is no secret is told.
        let run = try await run(kubeconfig(cluster: "{\(direct[2])}", user: "{\(user)}"))
        #expect(run.errors.contains("I do not know Host: 127.0.0.1:\(server.port)"))
        #expect(run.errors.contains("(secret)"))
    }

    @Test(
        "to a server without TLS: nothing is sent, no plugin is run, and that is said",
        arguments: logins + [
            "client-certificate-data: \(Data(fakeCertificate.utf8).base64EncodedString()), client-key-data: \(key)"
        ]
    )
    func plain(user: String) async throws {
        let server = try EchoServer(folder)
        let origin = "http://127.0.0.1:\(server.plainPort)/401"
        let run = try await run(kubeconfig(cluster: "{server: '\(origin)'}", user: "{\(user), as: jane}"))
        check(run, user)
        #expect(run.code == .failed)
        #expect(run.errors.contains("I do not know Host: 127.0.0.1:\(server.plainPort)"))
        #expect(run.errors.contains("Impersonate-User: jane"))
        #expect(!run.errors.contains("Authorization"))
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/arguments"))
        let warnings = run.errorLines.filter {
            $0.contains(
                "warning: the cluster \"k\" is reached without TLS (\(origin)), so the credentials of the user \"u\" are not sent"
            )
        }
        #expect(warnings.count == 1, "\(run.errors)")
    }

    @Test("to a server without TLS by somebody who has no secret, as with kubectl proxy: there is nothing to warn of")
    func proxied() async throws {
        let server = try EchoServer(folder)
        let run = try await run(kubeconfig(cluster: "{server: 'http://127.0.0.1:\(server.plainPort)/401'}"))
        #expect(run.code == .failed && run.errors.contains("I do not know Host:"))
        #expect(!run.errors.contains("is reached without TLS"))
    }

    @Test("to the arguments of a plugin")
    func arguments() async throws {
        _ = try await run(kubeconfig(cluster: Self.nobody, user: "{\(Self.logins[3])}"))
        let arguments = try String(contentsOfFile: folder.path + "/arguments", encoding: .utf8)
        #expect(arguments.hasSuffix("/plugin "))
    }

    @Test(
        "of a kubeconfig that cannot be used",
        arguments: [
            "{token: \(token): x}", "{token: '\(token)}", "{token: *\(token)}", "{token: !\(token) x}",
            "{token: &\(token)}", "{token: {\(token): 1}}", "{token: [\(token)]}", "{\(token)}",
            "{token: '\(token)', password: '\(password)'}", "{token: \"\(token)\\n\"}", "{tokenFile: {a: \(token)}}",
            "{password: !\(password)}", "{password: *\(password)}", "{password: \(password)\u{1}}",
            "{client-key-data: \(key)}", "{client-key-data: '%\(key)', client-certificate-data: '%'}",
            "{client-key-data: \(key), client-certificate-data: \(key)}", "{client-key: \"\(key)\"",
            "{client-certificate-data: \(certificate), client-key: \(key)}",
            "{tokenFile: \(key)}", "{tokenFile: \(key)/\(key)}",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: [\(token)]}}",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./token, args: ['\(token)'], "
                + "env: [{name: A, value: '\(password)'}], interactiveMode: Never}}",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: cat, args: [token, '\(password)'], "
                + "interactiveMode: Never}}",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: gone, args: ['\(token)'], "
                + "env: [{value: '\(password)'}], interactiveMode: Never}}",
        ]
    )
    func users(user: String) async throws {
        let run = try await run(kubeconfig(cluster: Self.nobody, user: user), "json")
        #expect(run.code == .failed)
        check(run, user)
    }

    @Test(
        "of a proxy that cannot be used",
        arguments: [
            "http://me:\(proxyPassword)@", "http://me:\(proxyPassword)@[", "gopher://me:\(proxyPassword)@proxy",
            "http://me:\(proxyPassword)@127.0.0.1:1", "https://me:\(proxyPassword)@127.0.0.1:1",
            "socks5://me:\(proxyPassword)@127.0.0.1:1",
            "http://me:\(proxyPassword)@proxy:99999", "me:\(proxyPassword)@proxy",
            "http://me:\(proxyPassword)\u{1}@proxy",
        ]
    )
    func proxies(proxy: String) async throws {
        let cluster = "{server: 'https://127.0.0.1:1', proxy-url: '\(proxy)'}"
        let run = try await run(kubeconfig(cluster: cluster), "json")
        #expect(run.code == .failed)
        check(run, proxy)
    }

    @Test("since no Secret is read at all, only made for a copy over the network and removed again")
    func permissions() async throws {
        let console = Console()
        let surroundings = console.surroundings(time: .instant) { _ in throw TransportError(.configuration, "asked") }
        let code = await pvmigrate.run(["rbac", "--network-copy"], in: surroundings, interruption: Interruption())
        let run = console.run(ending: code)
        let rules = run.output.split(separator: "- apiGroups:").filter { $0.contains("\"secrets\"") }
        #expect(rules.count == 1)
        #expect(rules.first?.contains("verbs: [\"create\", \"delete\"]") == true)
    }
}
