import Curl
import Foundation
import Synchronization
import Testing

@Suite("Connections", .timeLimit(.minutes(5)))
struct SocketTests {
    let server: TestServer
    let client: CurlClient

    init() async throws {
        server = try await TestServer.shared
        client = try CurlClient()
    }

    /// Connects, and asks for a path by hand.
    private func open(_ path: String, to port: String = "https", connection: CurlConnection? = nil) async throws
        -> CurlSocket
    {
        let socket = try await client.connect(server.request(path, to: port, connection: connection))
        try await socket.send(Data("GET \(socket.target) HTTP/1.1\r\nHost: \(socket.authority)\r\n\r\n".utf8))
        return socket
    }

    /// What comes until it is as long as expected, or ends.
    private func read(_ count: Int, from socket: CurlSocket) async throws -> Data {
        var bytes = Data()
        while bytes.count < count, case .bytes(let piece) = try await socket.receive(within: .seconds(20)) {
            bytes.append(piece)
        }
        return bytes
    }

    private static let agreed = Data(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: talk\r\nConnection: Upgrade\r\n\r\n".utf8
    )

    /// Has what was said come back.
    private func talk(_ socket: CurlSocket) async throws {
        #expect(try await read(Self.agreed.count, from: socket) == Self.agreed)
        let bytes = Data(pattern.prefix(300_000))
        async let answer = read(bytes.count, from: socket)
        try await socket.send(bytes)
        #expect(try await answer == bytes)
    }

    @Test("carry bytes in both directions, and are closed", arguments: ["https", "plain"])
    func talking(port: String) async throws {
        let socket = try await open("/talk?id=talk-\(port)", to: port)
        #expect(socket.authority == "127.0.0.1:\(try server.port(port))")
        #expect(socket.target == "/talk?id=talk-\(port)")
        try await talk(socket)
        await socket.close(saying: Data("bye".utf8))
        #expect(try await server.fact("closed:talk-\(port)") == "1")
        await #expect(throws: CancellationError.self) { try await socket.send(Data("x".utf8)) }
        await #expect(throws: CancellationError.self) { try await socket.receive(within: .seconds(1)) }
        await socket.close()
    }

    @Test("are closed when the last reference goes away")
    func dropped() async throws {
        _ = try await open("/talk?id=talk-drop")
        #expect(try await server.fact("closed:talk-drop") == "1")
    }

    @Test("send what is posted after what is being sent, and what is said last")
    func order() async throws {
        let socket = try await open("/echo", to: "plain")
        await socket.post(Data("GET /nothing HTTP/1.1\r\n".utf8))
        try await socket.send(Data("\r\n".utf8))
        var answers = Data()
        while answers.firstRange(of: Data("204".utf8)) == nil {
            guard case .bytes(let piece) = try await socket.receive(within: .seconds(20)) else { break }
            answers.append(piece)
        }
        #expect(answers.firstRange(of: Data("204 No Content".utf8)) != nil)
        await socket.close(saying: Data("GET /go?id=last HTTP/1.1\r\n\r\n".utf8))
        #expect(try await server.fact("go:last") == "1")
    }

    @Test("that nobody reads stop the server, and lose nothing")
    func backPressure() async throws {
        let size = 100 << 20
        let socket = try await open("/bytes?id=slow-socket&size=\(size)")
        #expect(try #require(Int(try await server.fact("stalled:slow-socket"))) < 32 << 20)
        var (received, right, head) = (0, true, true)
        while received < size, case .bytes(var piece) = try await socket.receive(within: .seconds(20)) {
            if head, let end = piece.firstRange(of: Data("\r\n\r\n".utf8)) {
                piece = Data(piece[end.upperBound...])
                head = false
            }
            right = right && isPattern(piece, at: received)
            received += piece.count
        }
        #expect(right)
        #expect(received == size)
    }

    @Test("have whoever sends wait until the server reads")
    func sendingWaits() async throws {
        let size = 64 << 20
        let socket = try await open("/listen?id=late&size=\(size)")
        #expect(try await server.fact("arrived:late") == "1")
        let bytes = Data(repeating: 1, count: size)
        let order = Mutex<[String]>([])
        async let sending: Void = {
            try await socket.send(bytes)
            order.withLock { $0.append("sent") }
        }()
        _ = try await client.send(server.request("/steady?size=1"))
        order.withLock { $0.append("read") }
        _ = try await client.send(server.request("/go?id=late"))
        try await sending
        #expect(order.withLock { $0 } == ["read", "sent"])
        #expect(try await server.fact("heard:late") == String(size))
    }

    @Test("say when nothing comes, and stay open")
    func nothing() async throws {
        let socket = try await open("/talk?id=quiet")
        #expect(try await read(Self.agreed.count, from: socket) == Self.agreed)
        #expect(try await socket.receive(within: .milliseconds(50)) == .nothing)
        try await socket.send(Data("x".utf8))
        #expect(try await read(1, from: socket) == Data("x".utf8))
    }

    @Test("end where the server closes them, which fails whoever sends")
    func ends() async throws {
        let socket = try await open("/hangup")
        #expect(try await socket.receive(within: .seconds(20)) == .end)
        #expect(try await socket.receive(within: .seconds(20)) == .end)
        #expect(try await curlError { try await socket.send(Data("x".utf8)) }.kind == .interrupted)
    }

    @Test("are closed where the task is cancelled that reads, or that sends")
    func cancelled() async throws {
        let reading = try await open("/silent?id=cancel-reading")
        let reader = Task { _ = try await reading.receive(within: .seconds(60)) }
        #expect(try await server.fact("arrived:cancel-reading") == "1")
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
        #expect(try await server.fact("closed:cancel-reading") == "1")

        let sending = try await open("/listen?id=cancel-sending&size=\(64 << 20)")
        #expect(try await server.fact("arrived:cancel-sending") == "1")
        let sender = Task { try await sending.send(Data(repeating: 1, count: 64 << 20)) }
        _ = try await client.send(server.request("/nothing"))
        sender.cancel()
        await #expect(throws: CancellationError.self) { try await sender.value }
        _ = try await client.send(server.request("/go?id=cancel-sending"))
        #expect(try #require(Int(try await server.fact("heard:cancel-sending", atLeast: 0))) < 64 << 20)
    }

    @Test("survive the requests that begin meanwhile on the same client, with unread bytes and without")
    func others() async throws {
        let idle = try await open("/talk?id=idle")
        let full = try await open("/bytes?id=full&size=\(64 << 20)")
        #expect(try await read(Self.agreed.count, from: idle) == Self.agreed)
        // libcurl looks for dead connections once a second, when it makes a new one.
        for insecure in [false, true] {
            let connection = CurlConnection(certificateAuthority: server.authority, insecureSkipVerify: insecure)
            _ = try await client.send(server.request("/steady?size=11", connection: connection))
        }
        try await idle.send(Data("x".utf8))
        #expect(try await read(1, from: idle) == Data("x".utf8))
        #expect(try await read(64 << 20, from: full).count >= 64 << 20)
    }

    @Test("go through proxies, also to a server without TLS", arguments: ["http", "socks5"], ["https", "plain"])
    func proxies(scheme: String, port: String) async throws {
        let proxy = try server.port(scheme == "http" ? "proxy" : "socks")
        let name = "\(scheme)-\(port).test"
        var connection = server.trusting
        connection.proxy = "\(scheme)://127.0.0.1:\(proxy)"
        connection.serverName = port == "https" ? "cluster.test" : nil
        let url = "\(port == "https" ? "https" : "http")://\(name):\(try server.port(port))/talk"
        let socket = try await client.connect(CurlRequest("GET", url, connection: connection))
        try await socket.send(Data("GET \(socket.target) HTTP/1.1\r\nHost: \(socket.authority)\r\n\r\n".utf8))
        #expect(socket.authority == "\(name):\(try server.port(port))")
        try await talk(socket)
        #expect(try await server.fact("proxied:\(name)") == "1")
    }

    @Test("are refused by a proxy as requests are")
    func refusingProxy() async throws {
        var connection = server.trusting
        connection.proxy = "http://127.0.0.1:\(try server.port("proxy"))"
        let request = CurlRequest("GET", "https://forbidden.test:443/", connection: connection)
        #expect(try await curlError { _ = try await client.connect(request) }.kind == .configuration)
    }

    @Test("are not made where nobody listens, or the server can't be trusted")
    func refused() async throws {
        for (port, kind) in [
            ("closed", CurlError.Kind.notSent), ("otherName", .configuration), ("expired", .configuration),
        ] {
            let error = try await curlError { _ = try await client.connect(server.request("/", to: port)) }
            #expect(error.kind == kind, "\(error)")
        }
        let connection = CurlConnection(certificateAuthority: server.authority, connectTimeout: .milliseconds(100))
        let mute = CurlRequest("GET", "https://127.0.0.1:\(try server.port("mute"))/", connection: connection)
        #expect(try await curlError { _ = try await client.connect(mute) }.kind == .notSent)
    }

    @Test("show the client's certificate, and say that it is missing")
    func clientCertificate() async throws {
        let error = try await curlError {
            let socket = try await open("/talk", to: "demanding")
            _ = try await socket.receive(within: .seconds(20))
        }
        #expect(error.message.contains("refuses the client certificate"), "\(error)")
        #expect(error.kind == .configuration)
        var connection = server.trusting
        connection.clientCertificate = try server.file("client.crt")
        connection.clientKey = try server.file("client.key")
        try await talk(try await open("/talk", to: "demanding", connection: connection))
    }
}
