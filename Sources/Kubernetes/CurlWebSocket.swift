import FoundationEssentials

/// A connection on which both ends say what they like.
protocol ByteStream: Sendable {
    /// Sends bytes after all that were to be sent before, and returns when they have gone.
    func send(_ bytes: Data) async throws
    /// Has bytes sent after all that are to be sent before, and returns at once; they may be dropped where many wait.
    func post(_ bytes: Data) async
    /// What has arrived, where need be after a wait.
    func receive(within limit: Duration) async throws -> ReceivedBytes
    /// Closes the connection; harmless after its end.
    ///
    /// - Parameter last: sent before, if that is possible without waiting.
    func close(saying last: Data) async
}

/// What the other end of a `ByteStream` has said.
enum ReceivedBytes: Sendable {
    case bytes(Data)
    /// It says nothing more.
    case end
    /// Nothing came within the time that was given.
    case nothing
}

/// A WebSocket over a connection of libcurl's, whose own ones are newer than some systems' libcurl.
///
/// Whoever waits for a message keeps the connection alive meanwhile: answers pings, and sends one himself when nothing has
/// come for half a minute. How long a wait lasts is up to the connection, which has its time from libcurl's thread as all
/// requests have.
actor CurlWebSocket: WebSocket {
    nonisolated let subprotocol: String
    private let stream: any ByteStream
    /// Host and port, for messages.
    private let server: String
    /// How long to wait for anything after a ping.
    private let silence: Duration
    /// Idle connections are forgotten by what is between the two ends, the first ones after a minute.
    private static let idleTime = Duration.seconds(30)

    private var reader = WebSocketReader()
    private var hasAsked = false
    private var isClosed = false

    private init(_ stream: any ByteStream, server: String, subprotocol: String, silence: Duration, begin: Data) {
        self.stream = stream
        self.server = server
        self.subprotocol = subprotocol
        self.silence = silence
        reader.append(begin)
    }

    /// Asks for a WebSocket on a connection.
    ///
    /// - Throws: `TransportError`; `CancellationError`. The connection is closed then, and where the server refuses.
    static func open(
        _ handshake: WebSocketHandshake,
        over stream: any ByteStream,
        silence: Duration
    ) async throws -> UpgradeAnswer {
        do {
            try await stream.send(try handshake.request())
            let (answer, rest) = try await answer(to: handshake, over: stream, silence: silence)
            guard answer.status == 101 else {
                await stream.close(saying: Data())
                return .refused(answer)
            }
            return .open(
                CurlWebSocket(
                    stream,
                    server: handshake.host,
                    subprotocol: try handshake.subprotocol(of: answer),
                    silence: silence,
                    begin: rest
                )
            )
        } catch {
            await stream.close(saying: Data())
            throw error
        }
    }

    private static func answer(
        to handshake: WebSocketHandshake,
        over stream: any ByteStream,
        silence: Duration
    ) async throws -> (answer: Response, rest: Data) {
        var (bytes, isWhole) = (Data(), false)
        while true {
            if let found = try WebSocketHandshake.answer(in: bytes, isWhole: isWhole) { return found }
            switch try await stream.receive(within: silence) {
            case .bytes(let piece): bytes.append(piece)
            case .end: isWhole = true
            case .nothing: throw silent(handshake.host, silence)
            }
        }
    }

    func send(_ message: Data) async throws {
        guard !isClosed else { throw TransportError(.interrupted, "the connection to \(server) is closed") }
        try await stream.send(WebSocketFrame.bytes(.binary, message))
    }

    func receive() async throws -> Data? {
        while !isClosed {
            switch try await event() {
            case .message(let message):
                return message
            case .ping(let payload):
                await stream.post(WebSocketFrame.bytes(.pong, payload))
            case .pong:
                break
            case .closed(let code, let reason):
                await end(saying: code ?? 1000)
                guard let code, code != 1000 else { return nil }
                throw TransportError(
                    .interrupted,
                    "\(server) closed the connection with the code \(code)\(reason.isEmpty ? "" : ": \(reason)")"
                )
            }
        }
        return nil
    }

    func close() async {
        await end(saying: 1000)
    }

    private func event() async throws -> WebSocketReader.Event {
        do {
            while true {
                if let event = try reader.next() { return event }
                try await readMore()
            }
        } catch let violation as WebSocketViolation {
            await end(saying: violation.code.rawValue)
            throw TransportError(
                violation.code == .tooLarge ? .tooLarge : .interrupted,
                "\(server) \(violation.message)"
            )
        } catch {
            await end(saying: 1000)
            throw error
        }
    }

    private func readMore() async throws {
        switch try await stream.receive(within: hasAsked ? silence : Self.idleTime) {
        case .bytes(let bytes):
            hasAsked = false
            reader.append(bytes)
        case .end:
            throw TransportError(.interrupted, "\(server) broke the connection off")
        case .nothing:
            guard !hasAsked else { throw Self.silent(server, silence) }
            hasAsked = true
            await stream.post(WebSocketFrame.bytes(.ping, Data()))
        }
    }

    private func end(saying code: UInt16) async {
        guard !isClosed else { return }
        isClosed = true
        await stream.close(saying: WebSocketFrame.closing(code))
    }

    private static func silent(_ server: String, _ silence: Duration) -> TransportError {
        TransportError(.interrupted, "\(server) sent nothing for \(silence.components.seconds) s")
    }
}
