import Foundation
import Testing

@testable import Kubernetes

/// An HTTPS server on loopback with certificates of its own, and what the client shows it in its answers.
///
/// A path with `slow` is answered after two seconds, a stream's end comes as late; a path with `token` wants the one that stands in the file `accepted`; a path with `/stream` is answered in three
/// chunks, one with `/large` with 65 MiB; one with `/websocket` is one whose frames come back.
private final class HTTPSServer: Sendable {
    let folder: TemporaryFolder
    let port: Int
    private let process: Process
    private let input = Pipe()

    private static let script = """
        import base64, hashlib, http.server, json, os, ssl, sys, threading, time

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                peer = self.connection.getpeercert() or {}
                names = [value for part in peer.get("subject", ()) for key, value in part if key == "commonName"]
                authorization = self.headers.get("Authorization")
                seen = {
                    "method": self.command, "path": self.path, "body": self.rfile.read(length).decode(),
                    "certificate": names[0] if names else None, "authorization": authorization,
                    "agent": self.headers.get("User-Agent"), "group": self.headers.get_all("Impersonate-Group"),
                }
                with open("requests", "a") as log:
                    log.write(self.command + " " + self.path + "\\n")
                with open("impersonated", "a") as log:
                    log.write(str(self.headers.get("Impersonate-User")) + "\\n")
                if "/slow" in self.path:
                    time.sleep(2)
                status = 200
                if "token" in self.path and authorization != "Bearer " + open("accepted").read():
                    status = 401
                if "/websocket" in self.path and status == 200:
                    return self.websocket()
                body = b"x" * (65 << 20) if "/large" in self.path else json.dumps(seen).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if "/stream" in self.path:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for part in (body, b"\\n", b"end"):
                        if "late" in self.path:
                            time.sleep(0.5)
                        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(part), part))
                        self.wfile.flush()
                    self.wfile.write(b"0\\r\\n\\r\\n")
                else:
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def websocket(self):
                key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
                self.send_header("Sec-WebSocket-Protocol", self.headers["Sec-WebSocket-Protocol"].split(", ")[-1])
                self.end_headers()
                self.wfile.flush()
                while True:
                    first, length = self.rfile.read(2)
                    length &= 0x7F
                    if length > 125:
                        length = int.from_bytes(self.rfile.read(2 if length == 126 else 8), "big")
                    mask = self.rfile.read(4)
                    payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(self.rfile.read(length)))
                    self.wfile.write(bytes([first, 127]) + length.to_bytes(8, "big") + payload if length > 65535 else
                                     bytes([first, 126]) + length.to_bytes(2, "big") + payload if length > 125 else
                                     bytes([first, length]) + payload)
                    self.wfile.flush()
                    if first == 0x88:
                        self.close_connection = True
                        return

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def handle(self):
                try:
                    super().handle()
                except OSError:
                    pass  # A client that refuses the certificate.

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("server.crt", "server.key")
        context.load_verify_locations("ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        # Ends with the test, however that ends.
        sys.stdin.read()
        os._exit(0)
        """

    init() throws {
        folder = try TemporaryFolder()
        try folder.write("server.py", Self.script)
        try folder.write("server.ext", "subjectAltName=IP:127.0.0.1,DNS:kubernetes.example.com")
        try folder.write("client.ext", "extendedKeyUsage=clientAuth")
        try folder.write("accepted", "good")
        for authority in ["ca", "other"] {
            try Self.openssl(
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=\(authority)",
                ]
                    + ["-keyout", "\(authority).key", "-out", "\(authority).crt"],
                in: folder
            )
        }
        for name in ["server", "client"] {
            try Self.openssl(
                [
                    "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                    "/CN=the-\(name)",
                ]
                    + ["-keyout", "\(name).key", "-out", "\(name).csr"],
                in: folder
            )
            try Self.openssl(
                ["x509", "-req", "-in", "\(name).csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
                    + ["-days", "2", "-extfile", "\(name).ext", "-out", "\(name).crt"],
                in: folder
            )
        }
        process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "server.py"]
        process.currentDirectoryURL = URL(filePath: folder.path)
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        // The line with the port comes when the server listens; none at all when it ended.
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        port = try #require(Int(line.trimmed), "the test's server did not start")
    }

    // Not SIGTERM, which the threads of tests block, and so do their children.
    deinit { kill(process.processIdentifier, SIGKILL) }

    private static func openssl(_ arguments: [String], in folder: TemporaryFolder) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = URL(filePath: folder.path)
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl \(arguments)")
    }

    /// A transport to this server.
    func transport(
        cluster: String = "certificate-authority: ca.crt",
        user: String,
        agent: String = "pvmigrate/0",
        overrides: ConfigurationOverrides = ConfigurationOverrides()
    ) throws -> CurlTransport {
        let file = try folder.write(
            "config-\(UUID())",
            kubeconfig(cluster: "{server: 'https://127.0.0.1:\(port)/base/', \(cluster)}", user: user)
        )
        let configuration = try Configuration.load(
            kubeconfig: file,
            context: nil,
            overrides: overrides,
            environment: ["PATH": "/usr/bin:/bin"],
            home: nil
        )
        return try CurlTransport.make(configuration, userAgent: agent)
    }
}

@Suite("The transport over libcurl", .timeLimit(.minutes(5)))
struct CurlTransportTests {
    private let server: HTTPSServer

    init() throws {
        server = try HTTPSServer()
    }

    private func seen(_ response: Response) throws -> JSON {
        try JSON(parsing: response.body)
    }

    private func failure(_ transport: CurlTransport) async -> TransportError? {
        await #expect(throws: TransportError.self) { try await transport.send(Request(.get, "/x")) }
    }

    /// A user whose plugin gives the token `old` at first and `good` from then on.
    private func renewingPlugin() throws -> String {
        let credential = "{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":\"ExecCredential\","
        try server.folder.write(
            "plugin",
            """
            #!/bin/sh
            cd \(server.folder.path)
            echo run >> runs
            if [ $(wc -l < runs) = 1 ]; then token=old; else token=good; fi
            echo '\(credential)"status":{"token":"'$token'"}}'
            """,
            executable: true
        )
        return "{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./plugin}}"
    }

    @Test("shows the server the client's certificate, the agent and the whole request")
    func clientCertificate() async throws {
        let transport = try server.transport(
            user: "{client-certificate: client.crt, client-key: client.key, as: a, as-groups: [b, c]}",
            agent: "pvmigrate/1.2.3"
        )
        let body = Data("{}".utf8)
        let response = try await transport.send(Request(.patch, "/api/v1/x?dryRun=All", body: body))
        #expect(response.status == 200)
        let seen = try seen(response)
        #expect(seen["certificate"] == "the-client")
        #expect(seen["agent"] == "pvmigrate/1.2.3")
        #expect(seen["method"] == "PATCH")
        #expect(seen["path"] == "/base/api/v1/x?dryRun=All")
        #expect(seen["body"] == "{}")
        #expect(seen["group"] == ["b", "c"])
    }

    @Test("sends the token")
    func token() async throws {
        let transport = try server.transport(user: "{token: good}")
        let response = try await transport.send(Request(.get, "/token"))
        #expect(response.status == 200)
        #expect(try seen(response)["authorization"] == "Bearer good")
        #expect(response.header("content-type") == "application/json")
    }

    @Test("refuses an answer of more than 64 MiB, which asking again would not make smaller")
    func large() async throws {
        let transport = try server.transport(user: "{token: good}")
        let error = await #expect(throws: TransportError.self) { try await transport.send(Request(.get, "/large")) }
        #expect(error?.kind == .tooLarge)
        #expect(error?.message == "the answer of 127.0.0.1:\(server.port) is larger than 64 MiB")
    }

    @Test("asks the plugin again after a 401 and repeats the request once")
    func refreshedPlugin() async throws {
        let transport = try server.transport(user: try renewingPlugin())
        let response = try await transport.send(Request(.post, "/token", body: Data("body".utf8)))
        #expect(response.status == 200)
        #expect(try seen(response)["body"] == "body")
        #expect(try server.folder.read("runs") == "run\nrun\n")
        #expect(try server.folder.read("requests") == "POST /base/token\nPOST /base/token\n")
    }

    @Test("asks the plugin again after a 401 to a stream")
    func refreshedPluginForStream() async throws {
        let transport = try server.transport(user: try renewingPlugin())
        let stream = try await transport.open(Request(.get, "/stream/token"))
        #expect(stream.status == 200)
        var body = Data()
        while let piece = try await stream.body.next() { body += piece }
        #expect(String(decoding: body, as: UTF8.self).hasSuffix("}\nend"))
        await stream.body.close()
        #expect(try server.folder.read("runs") == "run\nrun\n")
    }

    @Test("opens WebSockets with the same credentials, asks the plugin again after a 401, and closes them")
    func webSocket() async throws {
        let transport = try server.transport(user: try renewingPlugin())
        let request = Request(.get, "/websocket/token?a=b%20c")
        guard case .open(let socket) = try await transport.upgrade(request, subprotocols: ["v5", "v4"]) else {
            Issue.record("the WebSocket is refused")
            return
        }
        #expect(socket.subprotocol == "v4")
        #expect(try server.folder.read("runs") == "run\nrun\n")
        #expect(
            try server.folder.read("requests")
                == "GET /base/websocket/token?a=b%20c\nGET /base/websocket/token?a=b%20c\n"
        )
        for count in [0, 1, 200, 100_000] {
            let message = Data((0..<count).map { UInt8(truncatingIfNeeded: $0) })
            try await socket.send(message)
            #expect(try await socket.receive() == message)
        }
        await socket.close()
        #expect(try await socket.receive() == nil)
    }

    @Test("tells why a WebSocket is refused", arguments: ["{token: bad}", "{token: good}"])
    func refusedWebSocket(user: String) async throws {
        let transport = try server.transport(user: user)
        let answer = try await transport.upgrade(Request(.get, "/token"), subprotocols: ["v5"])
        guard case .refused(let response) = answer else {
            Issue.record("a WebSocket is open")
            return
        }
        #expect(response.status == (user.contains("good") ? 200 : 401))
        #expect(try seen(response)["path"] == "/base/token")
        #expect(try server.folder.read("requests") == "GET /base/token\n")
    }

    @Test("acts as somebody else with requests, streams and WebSockets")
    func impersonation() async throws {
        var overrides = ConfigurationOverrides()
        overrides.impersonatedUser = "jane"
        let transport = try server.transport(user: "{token: good}", overrides: overrides)
        _ = try await transport.send(Request(.post, "/token"))
        await (try await transport.open(Request(.get, "/stream/token"))).body.close()
        guard case .open(let socket) = try await transport.upgrade(Request(.get, "/websocket"), subprotocols: ["v5"])
        else {
            Issue.record("the WebSocket is refused")
            return
        }
        await socket.close()
        #expect(try server.folder.read("impersonated") == "jane\njane\njane\n")
    }

    @Test("gives a request up after as long as it may take, and a stream only before its head")
    func requestTimeout() async throws {
        var overrides = ConfigurationOverrides()
        overrides.requestTimeout = .seconds(1)
        let transport = try server.transport(user: "{token: good}", overrides: overrides)
        for method in [Request.Method.get, .post] {
            let error = await #expect(throws: TransportError.self) {
                try await transport.send(Request(method, "/slow"))
            }
            #expect(error?.kind == .interrupted)
            #expect(error?.message == "127.0.0.1:\(server.port) did not answer within 1 s")
        }
        await #expect(throws: TransportError.self) { try await transport.open(Request(.get, "/slow")) }
        await #expect(throws: TransportError.self) {
            try await transport.upgrade(Request(.get, "/slow/websocket"), subprotocols: ["v5"])
        }
        // The whole answer of a request counts, that of a stream does not.
        await #expect(throws: TransportError.self) { try await transport.send(Request(.get, "/stream/late")) }
        let stream = try await transport.open(Request(.get, "/stream/late"))
        var body = Data()
        while let piece = try await stream.body.next() { body += piece }
        #expect(String(decoding: body, as: UTF8.self).hasSuffix("}\nend"))
    }

    @Test("gives up after the second 401")
    func refusedTwice() async throws {
        try server.folder.write("accepted", "neither")
        let transport = try server.transport(user: try renewingPlugin())
        let response = try await transport.send(Request(.get, "/token"))
        #expect(response.status == 401)
        #expect(try server.folder.read("requests") == "GET /base/token\nGET /base/token\n")
    }

    @Test("does not repeat a request whose token cannot change")
    func refusedToken() async throws {
        let transport = try server.transport(user: "{token: bad}")
        #expect(try await transport.send(Request(.get, "/token")).status == 401)
        #expect(try server.folder.read("requests") == "GET /base/token\n")
    }

    @Test("refuses a certificate that is of another authority, has another name, or that nobody vouches for")
    func untrusted() async throws {
        let address = "127.0.0.1:\(server.port)"
        for cluster in ["certificate-authority: other.crt", "tls-server-name: ''"] {
            let error = await failure(try server.transport(cluster: cluster, user: "{token: good}"))
            #expect(error?.kind == .configuration)
            #expect(error?.message.hasPrefix("the certificate of \(address) is not trusted: ") == true)
        }
        let name = "certificate-authority: ca.crt, tls-server-name: "
        let error = await failure(try server.transport(cluster: name + "else.example.com", user: "{token: good}"))
        #expect(error?.kind == .configuration)
        #expect(error?.message.contains("else.example.com") == true)
        // The token went to none of them.
        #expect(!FileManager.default.fileExists(atPath: server.folder.path + "/requests"))

        for cluster in [name + "kubernetes.example.com", "insecure-skip-tls-verify: true"] {
            let transport = try server.transport(cluster: cluster, user: "{token: good}")
            #expect(try await transport.send(Request(.get, "/token")).status == 200)
        }
    }

    @Test("says what is wrong with a certificate that it cannot use, or a plugin that is missing")
    func unusable() async throws {
        let certificate = Data(fakePEM.utf8).base64EncodedString()
        let broken = await failure(
            try server.transport(user: "{client-certificate-data: \(certificate), client-key: client.key}")
        )
        #expect(broken?.kind == .configuration)
        #expect(broken?.message.contains("client certificate") == true)
        let missing = await failure(
            try server.transport(
                user: "{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: no-such-plugin}}"
            )
        )
        #expect(missing?.kind == .configuration)
        #expect(missing?.message.contains("was not found") == true)
    }
}
