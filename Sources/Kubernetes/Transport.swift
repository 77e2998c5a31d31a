public import FoundationEssentials

/// One request to the API server.
public struct Request: Sendable {
    /// The verbs that the API has a use for here; there is no PUT on purpose (see `Client`).
    public enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case patch = "PATCH"
        case delete = "DELETE"
        /// Only sent by others: the simulated cluster answers it, the client never sends it.
        case put = "PUT"
    }

    public var method: Method
    /// The path with its query, percent-encoded: `/api/v1/pods?limit=500`.
    public var target: String
    public var headers: [(name: String, value: String)]
    public var body: Data?
    /// How long to wait for the head of the answer, and then between two pieces of its body.
    public var silence: Duration

    public init(
        _ method: Method,
        _ target: String,
        headers: [(name: String, value: String)] = [],
        body: Data? = nil,
        silence: Duration = .seconds(30)
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.silence = silence
    }

    /// The value of a header; names are compared without regard to case (RFC 9110, 5.1).
    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

/// A whole answer.
public struct Response: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: Data

    public init(status: Int, headers: [(name: String, value: String)] = [], body: Data = Data()) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first value of a header; names are compared without regard to case (RFC 9110, 5.1).
    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// All values of a header that may come several times, such as `Warning`.
    public func headers(named name: String) -> [String] {
        headers.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }
}

/// An answer whose body is still arriving: a watch or a followed log.
public struct StreamingResponse: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: any ResponseBody

    public init(status: Int, headers: [(name: String, value: String)] = [], body: any ResponseBody) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// The body of a streaming answer, pulled piece by piece so that a slow reader slows the sender.
public protocol ResponseBody: Sendable {
    /// The next piece, or nil at the end.
    ///
    /// - Throws: `TransportError` where the connection broke or stayed silent too long, `CancellationError` where the
    ///   task was cancelled.
    func next() async throws -> Data?
    /// Gives the transfer up; it is closed when this returns. Harmless after the end.
    func close() async
}

/// What carries requests to an API server: libcurl over HTTPS, or a simulated cluster in process.
public protocol Transport: Sendable {
    /// Sends a request and waits for the whole answer.
    ///
    /// - Throws: `TransportError`; an answer of any status is no error here.
    func send(_ request: Request) async throws -> Response
    /// Sends a request and returns when the head of the answer has arrived.
    ///
    /// - Throws: `TransportError`; an answer of any status is no error here.
    func open(_ request: Request) async throws -> StreamingResponse
    /// Asks for a WebSocket (RFC 6455).
    ///
    /// - Parameter subprotocols: those that are understood, the best one first.
    /// - Throws: `TransportError`; an answer that refuses it is no error here.
    func upgrade(_ request: Request, subprotocols: [String]) async throws -> UpgradeAnswer
    /// What a server says, as it can be told: without the secrets that requests have carried to it.
    func withoutSecrets(_ text: String) -> String
}

/// What a server answers to the wish for a WebSocket.
public enum UpgradeAnswer: Sendable {
    case open(any WebSocket)
    case refused(Response)
}

/// Both directions of a connection that carries messages (RFC 6455).
public protocol WebSocket: Sendable {
    /// The one that the server has chosen.
    var subprotocol: String { get }

    /// Sends one binary message, and returns when there is room for the next.
    ///
    /// - Throws: `TransportError` where the connection broke, `CancellationError` where the task was cancelled.
    func send(_ message: Data) async throws
    /// The next message, or nil where the server has closed the connection.
    ///
    /// - Throws: `TransportError` where the connection broke or stayed silent too long, `CancellationError` where the task
    ///   was cancelled.
    func receive() async throws -> Data?
    /// Closes the connection; harmless after its end.
    func close() async
}

extension Transport {
    /// A transport that knows no WebSockets refuses them.
    public func upgrade(_ request: Request, subprotocols: [String]) async throws -> UpgradeAnswer {
        .refused(Response(status: 400, body: Data("WebSockets are not served here".utf8)))
    }

    public func withoutSecrets(_ text: String) -> String { text }
}

/// Why there was no answer, or no whole one.
public struct TransportError: Error, Sendable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// The request cannot have had an effect: the name did not resolve, nobody listened, the TLS handshake failed.
        case notSent
        /// The request may have had its effect: the connection broke or fell silent after something was sent.
        case interrupted
        /// It will not work next time either: an untrusted certificate, an unusable key, a bad URL.
        case configuration
        /// The answer, or a line of it, is larger than anything that was asked for can be.
        case tooLarge
    }

    public var kind: Kind
    /// What happened, as a phrase without a full stop.
    public var message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}
