import Foundation
import Kubernetes
import Synchronization

/// What was said in `exec_websocket.json`, of which `testdata/transcripts/README.md` says how it was recorded.
struct ExecTranscript {
    struct Command {
        /// The path with the query, in which spaces are written as ours are.
        var target: String
        /// The body of a refusal.
        var refusal: Response?
        var subprotocol = ""
        var sent: [Data] = []
        /// Up to the frame that closes the WebSocket, which is nil.
        var received: [Data?] = []
    }

    /// In recorded order.
    var commands: [Command] = []

    init() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = folder.appending(path: "testdata/transcripts/exec_websocket.json")
        for entry in try JSON(parsing: Data(contentsOf: file))["exchanges"]?.array ?? [] {
            if let path = entry["request"]?["path"]?.string {
                guard path.contains("/exec?") else { continue }
                var command = Command(target: path.replacing("+", with: "%20"))
                command.subprotocol = entry[path: ["response", "headers", "sec-websocket-protocol"]]?.string ?? ""
                let status = Int(entry[path: ["response", "status"]]?.integer ?? 0)
                let body = entry[path: ["response", "body"]]?.text ?? Data()
                command.refusal = status == 101 ? nil : Response(status: status, body: body)
                commands.append(command)
            } else if let received = entry["received"] {
                commands[commands.count - 1].received.append(Self.message(received))
            } else if let sent = entry["sent"], let message = Self.message(sent) {
                commands[commands.count - 1].sent.append(message)
            }
        }
    }

    /// The only command whose target contains a text.
    func command(_ text: String, subprotocol: String = "v5.channel.k8s.io") -> Command? {
        let found = commands.filter { $0.target.contains(text) && $0.subprotocol == subprotocol }
        return found.count == 1 ? found.first : nil
    }

    private static func message(_ entry: JSON) -> Data? {
        guard entry["opcode"] == 2, let channel = entry["channel"]?.integer, let data = entry["data"]?.string else {
            return nil
        }
        var message = Data([UInt8(channel)]) + Data(data.utf8)
        // The recording keeps 400 bytes of a message; of an output, which has the same byte again and again, all is known.
        if channel == 1, let last = message.last, let length = entry["length"]?.integer {
            message.append(Data(repeating: last, count: Int(length) - message.count))
        }
        return message
    }
}

/// A server that answers a wish for a WebSocket, one after the other.
final class ExecServer: Transport {
    enum Answer: Sendable {
        case open(ScriptedSocket)
        case refused(Response)
        case failure(TransportError)
    }

    private let state: Mutex<(answers: [Answer], asked: [(request: Request, subprotocols: [String])])>

    init(_ answers: Answer...) { state = Mutex((answers, [])) }

    var requests: [Request] { state.withLock { $0.asked.map(\.request) } }
    var subprotocols: [String]? { state.withLock { $0.asked.first?.subprotocols } }

    /// With time that passes only when somebody sleeps.
    var client: Client {
        let elapsed = Mutex(Duration.zero)
        let now = { @Sendable in elapsed.withLock { $0 } }
        return Client(
            transport: self,
            time: TimeSource(now: now, sleep: { moment in elapsed.withLock { $0 = max($0, moment) } })
        )
    }

    func upgrade(_ request: Request, subprotocols: [String]) async throws -> UpgradeAnswer {
        let answer = state.withLock { state in
            state.asked.append((request, subprotocols))
            return state.answers.isEmpty ? nil : state.answers.removeFirst()
        }
        switch answer {
        case .open(let socket): return .open(socket)
        case .refused(let response): return .refused(response)
        case .failure(let error): throw error
        case nil: throw TransportError(.configuration, "no answer is left")
        }
    }

    func send(_ request: Request) async throws -> Response {
        throw TransportError(.configuration, "only WebSockets are served here")
    }

    func open(_ request: Request) async throws -> StreamingResponse {
        throw TransportError(.configuration, "only WebSockets are served here")
    }

    func withoutSecrets(_ text: String) -> String { text.replacing("hunter2", with: "(secret)") }
}

/// A WebSocket that says what is prepared, and then waits to be closed.
final class ScriptedSocket: WebSocket {
    private struct State {
        var messages: [Result<Data?, TransportError>]
        var taken = 0
        var sent: [Data] = []
        var isClosed = false
    }

    let subprotocol: String
    /// Whether the first of the messages is said again and again.
    private let repeats: Bool
    private let state: Mutex<State>
    private let closing: AsyncStream<Void>
    private let closer: AsyncStream<Void>.Continuation

    init(
        _ subprotocol: String = "v5.channel.k8s.io",
        _ messages: [Result<Data?, TransportError>],
        repeats: Bool = false
    ) {
        self.subprotocol = subprotocol
        self.repeats = repeats
        state = Mutex(State(messages: messages))
        (closing, closer) = AsyncStream.makeStream()
    }

    convenience init(_ subprotocol: String = "v5.channel.k8s.io", saying messages: [Data?]) {
        self.init(subprotocol, messages.map { .success($0) })
    }

    var sent: [Data] { state.withLock { $0.sent } }
    var taken: Int { state.withLock { $0.taken } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    func send(_ message: Data) async throws {
        try state.withLock { state in
            guard !state.isClosed else { throw CancellationError() }
            state.sent.append(message)
        }
    }

    func receive() async throws -> Data? {
        let next = state.withLock { state in
            state.taken += 1
            return state.messages.isEmpty ? nil : repeats ? state.messages.first : state.messages.removeFirst()
        }
        if let next {
            // As a real one, which gives others a turn.
            await Task.yield()
            try Task.checkCancellation()
            guard !isClosed else { throw CancellationError() }
            return try next.get()
        }
        for await _ in closing {}
        throw CancellationError()
    }

    func close() async {
        state.withLock { $0.isClosed = true }
        closer.finish()
    }
}
