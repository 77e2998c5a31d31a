import Curl
import Foundation
import Testing

@Suite("Flow", .timeLimit(.minutes(5)))
struct FlowTests {
    let server: TestServer
    let client: CurlClient

    init() async throws {
        server = try await TestServer.shared
        client = try CurlClient()
    }

    @Test("a reader that does not read stops the server, and gets every byte when it does")
    func backPressure() async throws {
        let size = 100 << 20
        let stream = try await client.open(server.request("/bytes?id=slow&size=\(size)", silence: .seconds(1)))
        // Stalled for longer than the silence allowed: what we do not read is not the server's silence.
        let stalled = try #require(Int(try await server.fact("stalled:slow")))
        #expect(stalled < 32 << 20)
        try await waitPastSilence(.milliseconds(1200))

        var received = 0
        var right = true
        var largest = 0
        while let piece = try await stream.body.next() {
            right = right && isPattern(piece, at: received)
            received += piece.count
            largest = max(largest, piece.count)
        }
        #expect(right)
        #expect(received == size)
        #expect(largest <= 256 << 10)
    }

    /// Lets the time of silence pass by real traffic on the same client rather than by sleeping.
    private func waitPastSilence(_ duration: Duration) async throws {
        let clock = ContinuousClock()
        let end = clock.now + duration
        while clock.now < end { _ = try await client.send(server.request("/steady?size=1")) }
    }

    @Test("requests one after the other use one connection")
    func keepAlive() async throws {
        var connections: Set<Int> = []
        for _ in 0..<20 { connections.insert(try await client.echo(server.request("/echo")).connection) }
        #expect(connections.count == 1)
    }

    @Test("requests that trust other certificates do not share a connection")
    func separateTrust() async throws {
        let first = try await client.echo(server.request("/echo"))
        let insecure = CurlConnection(insecureSkipVerify: true)
        let second = try await client.echo(server.request("/echo", connection: insecure))
        #expect(first.connection != second.connection)
    }

    @Test("100 requests at once share a few connections, and 20 open streams do not hold them up")
    func concurrency() async throws {
        var streams: [CurlStream] = []
        for _ in 0..<20 { streams.append(try await client.open(server.request("/stream?id=many"))) }
        let connections = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<100 {
                group.addTask { try await client.echo(server.request("/echo")).connection }
            }
            return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect(connections.count <= 16)
        for stream in streams { await stream.body.close() }
    }

    @Test("a request that waits for its turn can be cancelled, and the others get their turns")
    func cancelWaiting() async throws {
        let blockers = try (0..<16).map { _ in
            let request = try server.request("/silent?id=blocker")
            return Task { [client] in _ = try await client.send(request) }
        }
        #expect(try await server.fact("arrived:blocker", atLeast: 16) == "16")
        let waiting = Task { _ = try await client.send(server.request("/silent?id=waiting")) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        let patient = Task { try await client.send(server.request("/nothing")).status }
        for blocker in blockers { blocker.cancel() }
        #expect(try await patient.value == 204)
    }

    @Test(
        "HTTP/2 carries ordinary requests on one connection; a stream has an HTTP/1.1 connection of its own",
        .enabled("needs nghttpx, of the package nghttp2-proxy") { (try? await TestServer.shared.port("http2")) != nil }
    )
    func http2() async throws {
        // The proxy tells the server behind it, in `Via`, by which protocol it was asked.
        let via = try await client.echo(server.request("/echo", to: "http2")).headers.filter { $0.hasPrefix("Via") }
        #expect(via == ["Via: 2 nghttpx"])
        let stream = try await client.open(server.request("/stream?id=h2", to: "http2"))
        #expect(stream.headers.contains { $0.name.lowercased() == "x-via" && $0.value == "1.1 nghttpx" })

        try await withThrowingTaskGroup { group in
            for _ in 0..<100 {
                group.addTask {
                    let seen = try await client.echo(
                        server.request("/echo", method: "PATCH", to: "http2", body: Data("x".utf8))
                    )
                    #expect(seen.headers.contains("Via: 2 nghttpx"))
                    #expect(seen.body == Data("x".utf8).base64EncodedString())
                }
            }
            try await group.waitForAll()
        }
        let size = 20 << 20
        #expect(try await client.send(server.request("/bytes?size=\(size)", to: "http2")).body.count == size)

        let silent = try server.request("/silent?id=h2-silent", to: "http2", silence: .milliseconds(100))
        #expect(try await curlError { _ = try await client.send(silent) }.kind == .silent)
        // libcurl 7.88 tells the server of a stream given up with the next request on its connection.
        #expect(try await client.send(server.request("/nothing", to: "http2")).status == 204)
        #expect(try await server.fact("closed:h2-silent") == "1")
        await stream.body.close()
    }
}
