import FoundationEssentials

extension Client {
    static let json = (name: "Content-Type", value: "application/json")

    /// A path with a query; values are percent-encoded (RFC 3986, 2.3).
    static func target(_ path: String, _ query: [(String, String)]) -> String {
        path + "?" + query.map { "\($0.0)=\(Self.escape($0.1))" }.joined(separator: "&")
    }

    private static func escape(_ value: String) -> String {
        var escaped = ""
        for byte in value.utf8 {
            let character = Character(UnicodeScalar(byte))
            if byte < 128, character.isLetter || character.isNumber || "-._~".contains(character) {
                escaped.append(character)
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                escaped += hex.utf8.count == 1 ? "%0\(hex)" : "%\(hex)"
            }
        }
        return escaped
    }

    /// Sends a request and waits for the whole answer, repeating where that is safe.
    func perform(_ original: Request, request: String, repeatable: Bool) async throws -> Response {
        var message = original
        message.headers.append(("Accept", "application/json"))
        return try await repeating(request: request, repeatable: repeatable) {
            let response = try await transport.send(message)
            response.headers(named: "Warning").forEach { onWarning(transport.withoutSecrets(Self.warningText($0))) }
            return (response.status, response, { response })
        }
    }

    /// Sends a request whose answer keeps arriving, repeating until its head says success.
    func open(_ original: Request, request: String) async throws -> StreamingResponse {
        var message = original
        message.headers.append(("Accept", "application/json"))
        return try await repeating(request: request, repeatable: true) {
            let response = try await transport.open(message)
            return (
                response.status, response,
                {
                    var body = Data()
                    while body.count < 1 << 20, let piece = try await response.body.next() { body += piece }
                    await response.body.close()
                    return Response(status: response.status, headers: response.headers, body: body)
                }
            )
        }
    }

    /// The rule of what is repeated, for all kinds of requests.
    func repeating<Answer>(
        request: String,
        repeatable: Bool,
        _ attempt: () async throws -> (status: Int, answer: Answer, whole: () async throws -> Response)
    ) async throws -> Answer {
        let end = time.now() + patience
        var backoff = Backoff()
        while true {
            var failure: APIError
            var retryAfter: Duration?
            let harmless: Bool
            try await rate?.turn(time)
            do {
                let (status, answer, whole) = try await attempt()
                if (200..<300).contains(status) { return answer }
                let response = try await whole()
                failure = APIError(request: request, response: response, hiding: transport.withoutSecrets)
                retryAfter = response.header("Retry-After").flatMap { Int($0) }.map { .seconds(min($0, 30)) }
                // 429 says that the request was not looked at (RFC 6585, 4); so does 503 with Retry-After here.
                harmless = status == 429 || (status == 503 && retryAfter != nil)
            } catch let error as TransportError {
                failure = APIError(reason: .unavailable, request: request, message: error.message, code: 0)
                if error.kind == .configuration { failure.reason = .other }
                if error.kind == .tooLarge { failure.reason = .tooLarge }
                harmless = error.kind == .notSent
            }
            guard failure.reason == .unavailable, harmless || repeatable else { throw failure }
            let pause = max(retryAfter ?? .zero, backoff.next())
            guard time.now() + pause < end else { throw failure }
            try await time.sleep(time.now() + pause)
        }
    }

    /// The text of a `Warning` header: `299 - "text"`.
    private static func warningText(_ header: String) -> String {
        guard let start = header.firstIndex(of: "\""), let end = header.lastIndex(of: "\""), start < end else {
            return header
        }
        return String(header[header.index(after: start)..<end].replacing("\\\"", with: "\""))
    }

    /// What the list of a kind is called in messages.
    static func listing(_ resource: APIResource, _ namespace: String?) -> String {
        "list \(resource.plural)" + (namespace.map { " in \($0)" } ?? "")
    }

    func decode<Value: Decodable>(_ type: Value.Type, from data: Data, request: String) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: data)
        } catch {
            throw notOfAnAPIServer(data, request)
        }
    }

    func notOfAnAPIServer(_ data: Data, _ request: String) -> APIError {
        APIError(
            reason: .protocolError,
            request: request,
            message: "the answer is not what an API server says: "
                + APIError.excerpt(data, hiding: transport.withoutSecrets),
            code: 200
        )
    }
}

/// Growing pauses with jitter: 0.1 s, doubled up to 5 s, each shortened by up to a half.
public struct Backoff: Sendable {
    private var base: Duration = .milliseconds(100)

    public init() {}

    /// How long to wait before the next attempt.
    public mutating func next() -> Duration {
        defer { base = min(base * 2, .seconds(5)) }
        return base * Double.random(in: 0.5...1)
    }
}
