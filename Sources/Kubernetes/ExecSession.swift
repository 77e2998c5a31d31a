public import FoundationEssentials
import Synchronization

/// A command that runs in a container.
///
/// There is no reader in the background: whoever waits for a piece of output or for the exit code reads for all. So that
/// a slow reader slows the command, at most some 256 KiB of each output are kept; then nothing is read until somebody
/// takes a piece of that one. Where a command writes more than that to either, both have to be read at the same time, and
/// while the exit code is waited for.
///
/// A task that is cancelled while it waits for any of this closes the session.
public final class ExecSession: Sendable {
    /// What a command writes, in pieces that are never empty.
    public struct Output: AsyncSequence, Sendable {
        public typealias Element = Data
        public typealias Failure = any Error

        public struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate let session: ExecSession
            fileprivate let channel: Channel

            public mutating func next() async throws -> Data? { try await session.next(channel) }
        }

        fileprivate let session: ExecSession
        fileprivate let channel: Channel

        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(session: session, channel: channel) }
    }

    /// What the first byte of a message says that the others are.
    fileprivate enum Channel: UInt8 {
        case stdin = 0
        case stdout = 1
        case stderr = 2
        case status = 3
        /// The next byte is the channel that is closed; not before v5.
        case close = 255
    }

    private enum End {
        /// The server has said how the command ended.
        case status(Result<Int, APIError>)
        case broken(any Error)
    }

    private typealias Waiter = CheckedContinuation<Void, Never>

    private struct State {
        var unread: [Channel: Data] = [:]
        var isReading = false
        var end: End?
        /// Counts the changes, so that none is missed between a look and a wait.
        var changes = 0
        var waiters: [Waiter] = []

        /// Whether an output holds so much that nothing more is read.
        var isFull: Bool { unread.values.contains { $0.count >= ExecSession.unreadLimit } }

        /// Takes what there is of an output; where there is nothing, the end counts.
        mutating func look(at channel: Channel) -> (piece: Data?, end: End?, changes: Int, waiters: [Waiter]) {
            guard let piece = unread.removeValue(forKey: channel) else { return (nil, end, changes, []) }
            return (piece, end, changes, changed())
        }

        /// Those who have to look again.
        mutating func changed() -> [Waiter] {
            changes += 1
            defer { waiters = [] }
            return waiters
        }
    }

    /// The best one first.
    static let subprotocols = [halfClosing, "v4.channel.k8s.io"]
    private static let halfClosing = "v5.channel.k8s.io"
    private static let unreadLimit = 256 << 10
    private static let messageSize = 32 << 10

    private let socket: any WebSocket
    private let request: String
    private let hasStdin: Bool
    private let hiding: @Sendable (String) -> String
    private let state = Mutex(State())

    init(_ socket: any WebSocket, request: String, hasStdin: Bool, hiding: @escaping @Sendable (String) -> String) {
        self.socket = socket
        self.request = request
        self.hasStdin = hasStdin
        self.hiding = hiding
    }

    /// What the command writes to its standard output; for one reader at a time.
    ///
    /// It ends where the command does, however that ends, and throws `APIError` where the connection broke.
    public var stdout: Output { Output(session: self, channel: .stdout) }
    /// What the command writes to its standard error; as `stdout`.
    public var stderr: Output { Output(session: self, channel: .stderr) }

    /// Waits until the command has ended.
    ///
    /// - Returns: its exit code.
    /// - Throws: `APIError` with the server's words where it could not be run, or where the connection broke: whether the
    ///   command has ended is unknown then. `CancellationError` where the task was cancelled or the session was closed.
    public func exitCode() async throws -> Int {
        while true {
            let (end, changes) = state.withLock { ($0.end, $0.changes) }
            switch end {
            case .status(let status): return try status.get()
            case .broken(let error): throw error
            case nil: await advance(from: changes)
            }
        }
    }

    /// Sends bytes to the command's standard input; returns when there is room for more.
    ///
    /// - Throws: `APIError` where the command has ended or the connection broke; `CancellationError` where the task was
    ///   cancelled or the session was closed.
    public func send(_ bytes: Data) async throws {
        var rest = bytes
        while !rest.isEmpty {
            try await say(.stdin, rest.prefix(Self.messageSize))
            rest = rest.dropFirst(Self.messageSize)
        }
    }

    /// Tells the command that its standard input ends here.
    ///
    /// - Throws: As `send`; and `APIError` where the server knows no way to say so.
    public func closeStdin() async throws {
        guard socket.subprotocol == Self.halfClosing else {
            throw failure(
                .other,
                "the server can't close a command's input, since it speaks \(socket.subprotocol) only"
            )
        }
        try await say(.close, Data([Channel.stdin.rawValue]))
    }

    /// Closes the session, whether the command has ended or not; harmless after its end.
    ///
    /// What becomes of a command that runs is up to it: the server closes its input and outputs.
    public func close() async {
        finish(.broken(CancellationError()))
        await socket.close()
    }

    private func say(_ channel: Channel, _ bytes: Data) async throws {
        guard hasStdin else { throw failure(.other, "the command was given no standard input") }
        do {
            try throwEnd()
            try await socket.send(Data([channel.rawValue]) + bytes)
        } catch {
            // What was learnt meanwhile says more than that the connection is closed.
            try throwEnd()
            if error is CancellationError { await close() }
            throw told(error)
        }
    }

    /// Throws what those learn who want to send after the end.
    private func throwEnd() throws {
        switch state.withLock({ $0.end }) {
        case .status: throw failure(.other, "the command has ended and reads no more input")
        case .broken(let error): throw error
        case nil: break
        }
    }

    // MARK: Reading

    fileprivate func next(_ channel: Channel) async throws -> Data? {
        while true {
            let look = state.withLock { $0.look(at: channel) }
            for waiter in look.waiters { waiter.resume() }
            if let piece = look.piece { return piece }
            switch look.end {
            case .status: return nil
            case .broken(let error): throw error
            case nil: await advance(from: look.changes)
            }
        }
    }

    /// Reads a message, or waits for somebody else to.
    private func advance(from changes: Int) async {
        let reads = state.withLock { state in
            guard !state.isReading, !state.isFull, state.end == nil else { return false }
            state.isReading = true
            return true
        }
        guard reads else { return await change(since: changes) }
        do {
            try await take(try await socket.receive())
        } catch {
            finish(.broken(told(error)))
            await socket.close()
        }
        let waiters = state.withLock { state in
            state.isReading = false
            return state.changed()
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when something has changed; closes the session where the task is cancelled.
    private func change(since changes: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let isLate = state.withLock { state in
                    guard state.changes == changes, state.end == nil else { return true }
                    state.waiters.append(waiter)
                    return false
                }
                if isLate { waiter.resume() }
            }
        } onCancel: {
            finish(.broken(CancellationError()))
        }
        if Task.isCancelled { await close() }
    }

    private func take(_ message: Data?) async throws {
        guard let message else {
            throw TransportError(.interrupted, "the server closed the connection before it told the exit code")
        }
        switch message.first.flatMap(Channel.init) {
        case .stdout where message.count > 1, .stderr where message.count > 1:
            guard let channel = message.first.flatMap(Channel.init) else { return }
            // Those who wait look again when the reader is done.
            state.withLock { $0.unread[channel, default: Data()].append(message.dropFirst()) }
        case .status:
            finish(.status(outcome(Data(message.dropFirst()))))
            await socket.close()
        case .stdout, .stderr, .stdin, .close, nil:
            // Outputs begin with a message without a byte; what others there may be one day is not asked for.
            break
        }
    }

    /// What the API server says of a command that has ended: a `metav1.Status`, whose cause `ExitCode` bears the code.
    private struct CommandStatus: Decodable {
        struct Details: Decodable { var causes: [Cause]? }
        struct Cause: Decodable { var reason, message: String? }

        var status: String
        var code: Int?
        var reason: String?
        var details: Details?

        var exitCode: Int? {
            details?.causes?.first { $0.reason == "ExitCode" }?.message.flatMap { Int($0) }
        }
    }

    /// What a status says of a command.
    private func outcome(_ data: Data) -> Result<Int, APIError> {
        do {
            let status = try JSONDecoder().decode(CommandStatus.self, from: data)
            if status.status == "Success" { return .success(0) }
            if status.reason == "NonZeroExitCode", let code = status.exitCode { return .success(code) }
            let response = Response(status: status.code ?? 500, body: data)
            return .failure(APIError(request: request, response: response, hiding: hiding))
        } catch {
            let words = APIError.excerpt(data, hiding: hiding)
            return .failure(failure(.protocolError, "the server does not say how the command ended: \(words)"))
        }
    }

    /// Ends the session for all, if it has not ended yet.
    private func finish(_ end: End) {
        let waiters = state.withLock { state in
            state.end = state.end ?? end
            return state.changed()
        }
        for waiter in waiters { waiter.resume() }
    }

    private func failure(_ reason: APIError.Reason, _ message: String) -> APIError {
        APIError(reason: reason, request: request, message: message, code: 0)
    }

    /// An error of the transport, which may have the server's words, in those of a request.
    private func told(_ error: any Error) -> any Error {
        guard let error = error as? TransportError else { return error }
        return failure(
            error.kind == .tooLarge ? .tooLarge : .unavailable,
            "\(hiding(error.message)); whether the command has ended is unknown"
        )
    }
}
