import Curl
import Foundation
import Testing

@Suite("Failures", .timeLimit(.minutes(5)))
struct FailureTests {
    let server: TestServer
    let client: CurlClient

    init() async throws {
        server = try await TestServer.shared
        client = try CurlClient()
    }

    @Test("nobody listens, or the name does not resolve: nothing was sent")
    func notSent() async throws {
        let refused = try await curlError { _ = try await client.send(server.request("/", to: "closed")) }
        #expect(refused.kind == .notSent)
        #expect(refused.message.contains("127.0.0.1:\(try server.port("closed"))"))
        let unknown = try await curlError { _ = try await client.send(CurlRequest("GET", "https://unknown.invalid/")) }
        #expect(unknown.kind == .notSent)
        #expect(unknown.message.contains("unknown.invalid"))
    }

    @Test("a TLS handshake that takes too long: nothing was sent")
    func connectTimeout() async throws {
        let connection = CurlConnection(connectTimeout: .milliseconds(100))
        let request = CurlRequest("GET", "https://127.0.0.1:\(try server.port("mute"))/", connection: connection)
        let error = try await curlError { _ = try await client.send(request) }
        #expect(error.kind == .notSent)
    }

    @Test("an answer that breaks off in its head or body is interrupted", arguments: ["/cut", "/hangup", "/garbage"])
    func interrupted(path: String) async throws {
        let error = try await curlError { _ = try await client.send(server.request(path)) }
        #expect(error.kind == .interrupted)
    }

    @Test("a stream that breaks off gives what came before")
    func cutStream() async throws {
        let stream = try await client.open(server.request("/cut"))
        #expect(try await stream.body.next() == Data("ten bytes!".utf8))
        #expect(try await curlError { _ = try await stream.body.next() }.kind == .interrupted)
    }

    @Test("no head within the time of silence is silence, and the connection is closed")
    func silentHead() async throws {
        let request = try server.request("/silent?id=head-silence", silence: .milliseconds(100))
        let error = try await curlError { _ = try await client.send(request) }
        #expect(error.kind == .silent)
        #expect(error.message == "127.0.0.1:\(try server.port("https")) sent nothing for 100 ms")
        #expect(try await server.fact("closed:head-silence") == "1")
    }

    @Test("a body that stops is silence")
    func silentBody() async throws {
        let request = try server.request("/stream?id=body-silence&piece=yes", silence: .milliseconds(300))
        let stream = try await client.open(request)
        #expect(try await stream.body.next() == Data("piece".utf8))
        let error = try await curlError { _ = try await stream.body.next() }
        #expect(error.kind == .silent)
        #expect(error.message.contains("sent nothing more for 300 ms"))
        #expect(try await server.fact("closed:body-silence") == "1")
    }

    @Test("a slow but steady answer is not silence, however long it takes")
    func steady() async throws {
        let answer = try await client.send(server.request("/steady?size=15", silence: .seconds(1)))
        #expect(answer.body.count == 15)
    }

    @Test("cancelling a request that waits for its head closes the connection")
    func cancelHead() async throws {
        for (id, stream) in [("cancel-send", false), ("cancel-open", true)] {
            let request = try server.request("/silent?id=\(id)")
            let task = Task { [client] in
                if stream { _ = try await client.open(request) } else { _ = try await client.send(request) }
            }
            #expect(try await server.fact("arrived:\(id)") == "1")
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try await server.fact("closed:\(id)") == "1")
        }
    }

    @Test("cancelling a task that waits for a piece closes the connection")
    func cancelPiece() async throws {
        let stream = try await client.open(server.request("/stream?id=cancel-piece&piece=yes"))
        let (pieces, piece) = AsyncStream.makeStream(of: Data.self)
        let task = Task {
            while let next = try await stream.body.next() { piece.yield(next) }
        }
        #expect(await pieces.first { _ in true } == Data("piece".utf8))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await server.fact("closed:cancel-piece") == "1")
    }

    @Test("a task that is cancelled already sends nothing lasting")
    func cancelledBefore() async throws {
        let request = try server.request("/silent?id=cancelled-before")
        let task = Task { [client] in
            withUnsafeCurrentTask { $0?.cancel() }
            _ = try await client.send(request)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("closing a body, or dropping its last reference, closes the connection")
    func closing() async throws {
        let stream = try await client.open(server.request("/stream?id=close"))
        await stream.body.close()
        #expect(try await server.fact("closed:close") == "1")
        await #expect(throws: CancellationError.self) { try await stream.body.next() }

        _ = try await client.open(server.request("/stream?id=drop"))
        #expect(try await server.fact("closed:drop") == "1")
    }

    @Test("a client that goes away closes its idle connections and ends its thread")
    func clientEnds() async throws {
        func threads() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count }
        var clients = try (0..<50).map { _ in try CurlClient() }
        for client in clients { _ = try await client.send(server.request("/nothing", to: "plain")) }
        let before = try threads()
        clients = []
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(10)
        // Other tests' clients come and go meanwhile; fifty do not.
        while try threads() > before - 25, clock.now < deadline { await Task.yield() }
        #expect(try threads() <= before - 25)
    }
}
