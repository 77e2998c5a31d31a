import Foundation
import Kubernetes
import Synchronization
import Testing

@Suite("Commands in containers", .timeLimit(.minutes(1)))
struct ExecTests {
    private let pod = ObjectName("p", in: "rec")
    private let transcript: ExecTranscript

    init() throws { transcript = try ExecTranscript() }

    private func run(
        _ client: Client,
        _ command: String...,
        container: String = "main",
        stdin: Bool = false
    ) async throws -> ExecSession {
        try await client.exec(in: pod, container: container, command: command, stdin: stdin)
    }

    private func whole(_ output: ExecSession.Output) async throws -> String {
        var bytes = Data()
        for try await piece in output { bytes.append(piece) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func success(_ channel: UInt8 = 3) -> Data {
        Data([channel]) + Data(#"{"metadata":{},"status":"Success"}"#.utf8)
    }

    @Test(
        "give their outputs and their exit code as a cluster tells them",
        arguments: [
            ("exit%207", "v5.channel.k8s.io", "out\n", "err\n", 7), ("command=true", "v4.channel.k8s.io", "", "", 0),
            ("sleep%202", "v5.channel.k8s.io", "", "", 137),
            ("300000", "v5.channel.k8s.io", String(repeating: "x", count: 300_000), "", 0),
        ]
    )
    func outcomes(text: String, subprotocol: String, out: String, err: String, code: Int) async throws {
        let command = try #require(transcript.command(text, subprotocol: subprotocol))
        let socket = ScriptedSocket(subprotocol, saying: command.received)
        let session = try await run(ExecServer(.open(socket)).client, "x")
        async let stdout = whole(session.stdout)
        async let stderr = whole(session.stderr)
        #expect(try await session.exitCode() == code)
        #expect(try await stdout == out)
        #expect(try await stderr == err)
        // Again, and by those who come late.
        #expect(try await session.exitCode() == code)
        #expect(socket.isClosed)
    }

    @Test("read what they are sent, up to its end where the server speaks v5")
    func stdin() async throws {
        let command = try #require(transcript.command("wc%20-c"))
        let socket = ScriptedSocket(saying: command.received)
        let server = ExecServer(.open(socket))
        let session = try await run(server.client, "sh", "-c", "wc -c; echo done", stdin: true)
        try await session.send(Data("hello ".utf8))
        try await session.send(Data("world".utf8))
        try await session.closeStdin()
        #expect(socket.sent == command.sent)
        #expect(try await whole(session.stdout) == "11\ndone\n")
        #expect(try await session.exitCode() == 0)
        #expect(server.requests.map(\.target) == [command.target])
        #expect(server.subprotocols == ["v5.channel.k8s.io", "v4.channel.k8s.io"])
        let late = await #expect(throws: APIError.self) { try await session.send(Data("x".utf8)) }
        #expect(late?.message == "the command has ended and reads no more input")
    }

    @Test("can't be told of the end of their input where the server speaks v4")
    func noHalfClose() async throws {
        let command = try #require(transcript.command("cat", subprotocol: "v4.channel.k8s.io"))
        let socket = ScriptedSocket("v4.channel.k8s.io", saying: Array(command.received.dropLast()))
        let session = try await run(ExecServer(.open(socket)).client, "cat", stdin: true)
        try await session.send(Data("hello\n".utf8))
        let error = await #expect(throws: APIError.self) { try await session.closeStdin() }
        #expect(
            error?.description
                == "run a command in Pod rec/p: the server can't close a command's input, since it speaks "
                + "v4.channel.k8s.io only"
        )
        #expect(socket.sent == Array(command.sent))
        var output = session.stdout.makeAsyncIterator()
        #expect(try await output.next() == Data("hello\n".utf8))
        await session.close()
        #expect(socket.isClosed)
        await #expect(throws: CancellationError.self) { try await output.next() }
        await #expect(throws: CancellationError.self) { try await session.exitCode() }
        await #expect(throws: CancellationError.self) { try await session.send(Data("x".utf8)) }
    }

    @Test("get long input in parts, and none where they were given no input")
    func longInput() async throws {
        let socket = ScriptedSocket(saying: [])
        let session = try await run(ExecServer(.open(socket)).client, "cat", stdin: true)
        let bytes = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0) })
        try await session.send(bytes)
        #expect(socket.sent.map(\.count) == [32769, 32769, 32769, 1697])
        #expect(socket.sent.reduce(Data()) { $0 + $1.dropFirst() } == bytes)
        let deaf = try await run(ExecServer(.open(ScriptedSocket(saying: []))).client, "true")
        let error = await #expect(throws: APIError.self) { try await deaf.send(Data("x".utf8)) }
        #expect(error?.message == "the command was given no standard input")
    }

    @Test("that can't be run fail with the server's words")
    func noSuchProgram() async throws {
        var received = try #require(transcript.command("no%2Fsuch%2Fprogram")).received
        // The recording keeps the first 400 bytes of the status.
        let rest = Data(#"ry","reason":"InternalError","code":500}"#.utf8)
        received = received.map { $0?.first == 3 ? ($0 ?? Data()) + rest : $0 }
        let session = try await run(ExecServer(.open(ScriptedSocket(saying: received))).client, "/no/such/program")
        let error = await #expect(throws: APIError.self) { try await session.exitCode() }
        #expect(error?.code == 500)
        #expect(error?.message.contains("/no/such/program: no such file or directory") == true)
        #expect(try await whole(session.stdout) == "")
    }

    @Test("are refused in the server's words", arguments: [("nobody", 404), ("container=other", 400)])
    func refused(text: String, status: Int) async throws {
        let command = try #require(transcript.commands.first { $0.target.contains(text) })
        let refusal = try #require(command.refusal)
        #expect(refusal.status == status)
        let server = ExecServer(.refused(refusal))
        let error = await #expect(throws: APIError.self) { _ = try await run(server.client, "true") }
        #expect(error?.reason == (status == 404 ? .notFound : .invalid))
        #expect(
            error?.message == (status == 404 ? "pods \"nobody\" not found" : "container other is not valid for pod p")
        )
        #expect(server.requests.count == 1)
    }

    @Test("are not begun by what answers a page, and never with what no pod is named")
    func strange() async throws {
        let page = ExecServer(.refused(Response(status: 200, body: Data("<html>hunter2".utf8))))
        let error = await #expect(throws: APIError.self) { _ = try await run(page.client, "true") }
        #expect(error?.reason == .protocolError)
        #expect(error?.message.contains("hunter2") == false)
        let server = ExecServer()
        await #expect(throws: APIError.self) {
            _ = try await server.client.exec(in: ObjectName("../x", in: "rec"), container: "c", command: ["true"])
        }
        #expect(server.requests.isEmpty)
    }

    @Test("are tried again where they surely did not begin, and never where they may have")
    func repeats() async throws {
        let busy = Response(status: 429, headers: [("Retry-After", "1")], body: Data())
        let socket = ScriptedSocket(saying: [Self.success()])
        let server = ExecServer(.refused(busy), .failure(TransportError(.notSent, "no route")), .open(socket))
        #expect(try await run(server.client, "true").exitCode() == 0)
        #expect(server.requests.count == 3)
        for answer in [
            ExecServer.Answer.failure(TransportError(.interrupted, "reset")), .refused(Response(status: 500)),
        ] {
            let server = ExecServer(answer, .open(socket))
            await #expect(throws: APIError.self) { _ = try await run(server.client, "true") }
            #expect(server.requests.count == 1)
        }
    }

    @Test("whose connection breaks, or ends without an exit code, may be running still, and the error says so")
    func broken() async throws {
        for (end, words): (Result<Data?, TransportError>, String) in [
            (.failure(TransportError(.interrupted, "reset: hunter2")), "reset: (secret)"),
            (.success(nil), "the server closed the connection before it told the exit code"),
        ] {
            let socket = ScriptedSocket("v5.channel.k8s.io", [.success(Data("\u{1}out".utf8)), end])
            let session = try await run(ExecServer(.open(socket)).client, "true", stdin: true)
            let error = await #expect(throws: APIError.self) { try await session.exitCode() }
            #expect(error?.message == "\(words); whether the command has ended is unknown")
            #expect(error?.reason == .unavailable)
            #expect(socket.isClosed)
            // What came before is not lost.
            var output = session.stdout.makeAsyncIterator()
            #expect(try await output.next() == Data("out".utf8))
            await #expect(throws: APIError.self) { try await output.next() }
            await #expect(throws: APIError.self) { try await session.send(Data("x".utf8)) }
        }
    }

    @Test("whose end the server tells in other words have no exit code", arguments: ["", "{}", "[", "hunter2"])
    func strangeStatus(text: String) async throws {
        let socket = ScriptedSocket(saying: [Data([3]) + Data(text.utf8)])
        let session = try await run(ExecServer(.open(socket)).client, "true")
        let error = await #expect(throws: APIError.self) { try await session.exitCode() }
        #expect(error?.message.contains("hunter2") == false)
    }

    @Test("write no faster than they are read")
    func slowReader() async throws {
        let piece = Data([1]) + Data(repeating: 7, count: 8192)
        let socket = ScriptedSocket("v5.channel.k8s.io", [.success(piece)], repeats: true)
        let session = try await run(ExecServer(.open(socket)).client, "yes")
        let code = Task { try await session.exitCode() }
        var output = session.stdout.makeAsyncIterator()
        var (read, most) = (0, 0)
        while read < 4 << 20 {
            read += try #require(try await output.next()).count
            // The other waits for the code meanwhile, and would read on and on.
            for _ in 0..<50 { await Task.yield() }
            most = max(most, socket.taken * 8192 - read)
        }
        #expect(most <= (256 << 10) + 2 * 8192)
        await session.close()
        await #expect(throws: CancellationError.self) { try await code.value }
    }

    @Test("are closed where a task that waits for them is cancelled, be it the one that reads or another")
    func cancelled() async throws {
        for first in [true, false] {
            let socket = ScriptedSocket(saying: [])
            let session = try await run(ExecServer(.open(socket)).client, "sleep", "9")
            let code = Task { try await session.exitCode() }
            let output = Task { try await whole(session.stdout) }
            // Either of the two reads, for both.
            while socket.taken == 0 { await Task.yield() }
            if first { code.cancel() } else { output.cancel() }
            await #expect(throws: CancellationError.self) { try await code.value }
            await #expect(throws: CancellationError.self) { try await output.value }
            #expect(socket.isClosed)
        }
    }
}
