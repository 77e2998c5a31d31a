import Foundation
import Synchronization
import Testing

@testable import Kubernetes

/// A connection whose other end says what is prepared, and nothing more after that.
private final class ScriptedStream: ByteStream {
    private struct State {
        var said: [ReceivedBytes]
        var sent: [Data] = []
        var posted: [Data] = []
        var waits: [Duration] = []
        var last: Data?
    }

    private let state: Mutex<State>

    init(_ said: [ReceivedBytes]) { state = Mutex(State(said: said)) }

    var sent: [Data] { state.withLock { $0.sent } }
    var posted: [Data] { state.withLock { $0.posted } }
    var waits: [Duration] { state.withLock { $0.waits } }
    /// What was said when it was closed; nil while it is open.
    var last: Data? { state.withLock { $0.last } }

    func send(_ bytes: Data) async throws { state.withLock { $0.sent.append(bytes) } }
    func post(_ bytes: Data) async { state.withLock { $0.posted.append(bytes) } }
    func close(saying last: Data) async { state.withLock { $0.last = $0.last ?? last } }

    func receive(within limit: Duration) async throws -> ReceivedBytes {
        try Task.checkCancellation()
        return state.withLock { state in
            state.waits.append(limit)
            return state.said.isEmpty ? .end : state.said.removeFirst()
        }
    }
}

@Suite("WebSockets over libcurl's connections")
struct CurlWebSocketTests {
    private let handshake = WebSocketHandshake(
        host: "a.test",
        target: "/",
        headers: [],
        subprotocols: ["v5"],
        key: "dGhlIHNhbXBsZSBub25jZQ=="
    )
    private static let agreed = Data(
        ("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: v5\r\n"
            + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n").utf8
    )

    private func open(_ stream: ScriptedStream) async throws -> any WebSocket {
        switch try await CurlWebSocket.open(handshake, over: stream, silence: .seconds(7)) {
        case .open(let socket): return socket
        case .refused(let response): throw TransportError(.configuration, "refused with \(response.status)")
        }
    }

    /// A frame of ours without its mask.
    private func unmasked(_ frame: Data?) -> [UInt8] {
        guard let frame = frame.map(Array.init), frame.count >= 6 else { return [] }
        return [frame[0], frame[1] & 0x7F] + frame[6...].enumerated().map { $1 ^ frame[2 + $0 % 4] }
    }

    @Test("carry messages both ways, from what comes with the answer on")
    func messages() async throws {
        let stream = ScriptedStream([
            .bytes(Self.agreed.prefix(20)), .bytes(Self.agreed.dropFirst(20) + Data([0x82, 1])),
            .bytes(Data([9, 0x82])),
            .bytes(Data([0, 0x88, 2, 3, 0xE8])),
        ])
        let socket = try await open(stream)
        #expect(socket.subprotocol == "v5")
        try await socket.send(Data([1, 2]))
        #expect(stream.sent.first == (try handshake.request()))
        #expect(unmasked(stream.sent.last) == [0x82, 2, 1, 2])
        #expect(try await socket.receive() == Data([9]))
        #expect(try await socket.receive() == Data())
        #expect(stream.last == nil)
        #expect(try await socket.receive() == nil)
        #expect(unmasked(stream.last) == [0x88, 2, 3, 0xE8])
        #expect(try await socket.receive() == nil)
        await #expect(throws: TransportError.self) { try await socket.send(Data([1])) }
    }

    @Test("answer pings, without a wait for what is being sent")
    func pings() async throws {
        let stream = ScriptedStream([.bytes(Self.agreed + Data([0x89, 2, 5, 6, 0x82, 1, 9]))])
        #expect(try await open(stream).receive() == Data([9]))
        #expect(stream.posted.map(unmasked) == [[0x8A, 2, 5, 6]])
    }

    @Test("ask after half a minute without a word, and go on where there is an answer")
    func asks() async throws {
        let stream = ScriptedStream([
            .bytes(Self.agreed), .nothing, .bytes(Data([0x8A, 0])), .nothing, .bytes(Data([0x82])),
            .bytes(Data([1, 9])),
        ])
        #expect(try await open(stream).receive() == Data([9]))
        #expect(stream.posted.map(unmasked) == [[0x89, 0], [0x89, 0]])
        #expect(stream.waits.map(\.components.seconds) == [7, 30, 7, 30, 7, 30])
    }

    @Test("fail where there is no answer for as long as the request may be silent")
    func silent() async throws {
        let stream = ScriptedStream([.bytes(Self.agreed), .nothing, .nothing])
        let socket = try await open(stream)
        let error = await #expect(throws: TransportError.self) { try await socket.receive() }
        #expect(error?.message == "a.test sent nothing for 7 s")
        #expect(error?.kind == .interrupted)
        #expect(stream.last != nil)

        let mute = ScriptedStream([.nothing])
        let unanswered = await #expect(throws: TransportError.self) { _ = try await open(mute) }
        #expect(unanswered?.message == "a.test sent nothing for 7 s")
        #expect(mute.last != nil)
    }

    @Test("fail with the server's reason where it closes them for one, and where it breaks off")
    func closed() async throws {
        let reason = Data([0x88, 6, 3, 0xF3]) + Data("oops".utf8)
        let stream = ScriptedStream([.bytes(Self.agreed + reason)])
        let socket = try await open(stream)
        let error = await #expect(throws: TransportError.self) { try await socket.receive() }
        #expect(error?.message == "a.test closed the connection with the code 1011: oops")
        #expect(unmasked(stream.last) == [0x88, 2, 3, 0xF3])

        let broken = try await open(ScriptedStream([.bytes(Self.agreed)]))
        let end = await #expect(throws: TransportError.self) { try await broken.receive() }
        #expect(end?.message == "a.test broke the connection off")
    }

    @Test("are closed with the code for what breaks the rules, and never read on")
    func violations() async throws {
        for (bytes, code, kind): ([UInt8], [UInt8], TransportError.Kind) in [
            ([0x82, 0x80, 0, 0, 0, 0], [3, 0xEA], .interrupted),
            ([0x82, 127, 0, 0, 0, 0, 0, 16, 0, 1], [3, 0xF1], .tooLarge),
        ] {
            let stream = ScriptedStream([.bytes(Self.agreed + Data(bytes))])
            let socket = try await open(stream)
            let error = await #expect(throws: TransportError.self) { try await socket.receive() }
            #expect(error?.kind == kind)
            #expect(error?.message.hasPrefix("a.test sends ") == true)
            #expect(unmasked(stream.last) == [0x88, 2] + code)
            #expect(try await socket.receive() == nil)
        }
    }

    @Test("are not opened by an answer that is not to this key, nor by a refusal, and the connection is closed")
    func refused() async throws {
        var other = handshake
        other.key = "AAAAAAAAAAAAAAAAAAAAAA=="
        let stream = ScriptedStream([.bytes(Self.agreed)])
        await #expect(throws: TransportError.self) {
            _ = try await CurlWebSocket.open(other, over: stream, silence: .seconds(7))
        }
        #expect(stream.last == Data())

        let refusing = ScriptedStream([.bytes(Data("HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno".utf8)), .end])
        guard case .refused(let answer) = try await CurlWebSocket.open(handshake, over: refusing, silence: .seconds(7))
        else {
            Issue.record("a refusal opens a WebSocket")
            return
        }
        #expect(answer.status == 403)
        #expect(answer.body == Data("no".utf8))
        #expect(refusing.last == Data())
    }
}
