import Curl
import FoundationEssentials

/// Carries requests to a real API server, with libcurl.
///
/// Answers of 401 make it get new credentials and try once again; that is safe for every verb, since the server did
/// nothing with the first request.
public struct CurlTransport: Transport {
    /// For reads, which share an HTTP/2 connection where the server offers it.
    private let reads: CurlClient
    /// For writes and streams, each on an HTTP/1.1 connection of its own for as long as it lasts. A broken HTTP/2
    /// connection takes everything with it that is under way: a read is repeated then, but of a write nobody knows
    /// whether it took effect. And libcurl 7.88 breaks some requests that have a body. They have a pool of their own, since
    /// libcurl confuses the two kinds in one.
    private let others: CurlClient
    private let credentials: Credentials
    private let secrets: SentSecrets
    private let server: String
    private let userAgent: String
    private let requestTimeout: Duration?
    /// Many times what a page of a list has.
    private static let largestAnswer = 64 << 20
    /// All of the connection but the client's certificate, which may change.
    private let connection: CurlConnection

    /// Makes the transport to the server of a configuration; nothing is sent yet.
    ///
    /// - Parameters:
    ///   - configuration: Which server, and as whom.
    ///   - userAgent: The `User-Agent`: `pvmigrate/1.0.0`.
    /// - Throws: `TransportError` where libcurl cannot be started.
    public static func make(_ configuration: Configuration, userAgent: String = "pvmigrate") throws -> CurlTransport {
        do {
            return CurlTransport(
                reads: try CurlClient(),
                others: try CurlClient(),
                credentials: Credentials(configuration),
                secrets: SentSecrets(proxy: configuration.proxy),
                server: configuration.server,
                userAgent: userAgent,
                requestTimeout: configuration.requestTimeout,
                connection: CurlConnection(
                    certificateAuthority: configuration.certificateAuthority,
                    serverName: configuration.serverName,
                    insecureSkipVerify: configuration.insecureSkipVerify,
                    proxy: configuration.proxy?.value
                )
            )
        } catch let error as CurlError {
            throw TransportError(error)
        }
    }

    public func send(_ request: Request) async throws -> Response {
        let answer = try await authenticated(request, status: \.status) {
            try await (request.method == .get ? reads : others).send($0, maximum: Self.largestAnswer)
        }
        return Response(status: answer.status, headers: answer.headers, body: answer.body)
    }

    public func withoutSecrets(_ text: String) -> String { secrets.removed(from: text) }

    public func open(_ request: Request) async throws -> StreamingResponse {
        let answer = try await authenticated(request, status: \.status) { try await others.open($0) }
        return StreamingResponse(
            status: answer.status,
            headers: answer.headers,
            body: CurlResponseBody(body: answer.body)
        )
    }

    public func upgrade(_ request: Request, subprotocols: [String]) async throws -> UpgradeAnswer {
        try await authenticated(request, status: \.status) { message in
            let socket = try await others.connect(message)
            let handshake = WebSocketHandshake(
                host: socket.authority,
                target: socket.target,
                headers: message.headers,
                subprotocols: subprotocols
            )
            let silence = min(request.silence, requestTimeout ?? request.silence)
            return try await CurlWebSocket.open(handshake, over: SocketStream(socket: socket), silence: silence)
        }
    }

    /// Makes an attempt, and another one with new credentials where the first was refused for its own.
    private func authenticated<Answer>(
        _ request: Request,
        status: (Answer) -> Int,
        attempt: (CurlRequest) async throws -> Answer
    ) async throws -> Answer {
        do {
            let identity = try await credentials.identity()
            let first = try await attempt(curlRequest(request, as: identity))
            guard status(first) == 401, try await credentials.refresh(identity) else { return first }
            return try await attempt(curlRequest(request, as: try await credentials.identity()))
        } catch let error as CurlError {
            throw TransportError(error)
        }
    }

    private func curlRequest(_ request: Request, as identity: Credentials.Identity) -> CurlRequest {
        secrets.note(identity.headers)
        var connection = connection
        connection.clientCertificate = identity.certificate?.certificate
        connection.clientKey = identity.certificate?.key.value
        var message = CurlRequest(
            request.method.rawValue,
            server + request.target,
            headers: [("User-Agent", userAgent)] + request.headers + identity.headers.value,
            body: request.body,
            silence: request.silence,
            limit: requestTimeout,
            connection: connection
        )
        message.mayShare = request.method == .get
        return message
    }
}

private struct CurlResponseBody: ResponseBody {
    let body: CurlBody

    func next() async throws -> Data? {
        do {
            return try await body.next()
        } catch let error as CurlError {
            throw TransportError(error)
        }
    }

    func close() async {
        await body.close()
    }
}

private struct SocketStream: ByteStream {
    let socket: CurlSocket

    func send(_ bytes: Data) async throws {
        do {
            try await socket.send(bytes)
        } catch let error as CurlError {
            throw TransportError(error)
        }
    }

    func post(_ bytes: Data) async { await socket.post(bytes) }

    func receive(within limit: Duration) async throws -> ReceivedBytes {
        do {
            return switch try await socket.receive(within: limit) {
            case .bytes(let bytes): .bytes(bytes)
            case .end: .end
            case .nothing: .nothing
            }
        } catch let error as CurlError {
            throw TransportError(error)
        }
    }

    func close(saying last: Data) async { await socket.close(saying: last) }
}

extension UpgradeAnswer {
    fileprivate var status: Int {
        switch self {
        case .open: 101
        case .refused(let response): response.status
        }
    }
}

extension TransportError {
    fileprivate init(_ error: CurlError) {
        switch error.kind {
        case .notSent: self.init(.notSent, error.message)
        case .interrupted, .silent: self.init(.interrupted, error.message)
        case .configuration: self.init(.configuration, error.message)
        case .tooLarge: self.init(.tooLarge, error.message)
        }
    }
}
