import FoundationEssentials

/// A `metav1.Status`: how the API server says no.
public struct Status: Decodable, Sendable {
    public struct Details: Decodable, Sendable {
        public var retryAfterSeconds: Int?
    }

    public var code: Int?
    public var reason: String?
    public var message: String?
    public var details: Details?
}

/// A request that the API server refused, or that got no usable answer.
public struct APIError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure, as far as somebody decides on it.
    public enum Reason: Sendable, Equatable {
        case notFound
        /// The object is not as it was when the request was decided on: look again and decide again.
        case conflict
        case alreadyExists
        case forbidden
        case unauthorized
        /// The content was refused. A JSON patch whose `test` failed ends here too (422).
        case invalid
        /// A resourceVersion that the server no longer knows (410).
        case expired
        /// The server could not do it now: 429, 5xx, or no answer. Whether the request took effect is unknown.
        case unavailable
        /// The answer is not what an API server says.
        case protocolError
        /// The answer is larger than anything that an API server has to say.
        case tooLarge
        case other
    }

    public var reason: Reason
    /// What was asked: `patch PersistentVolume pvc-1`.
    public var request: String
    /// The server's own words, or the transport's.
    public var message: String
    /// The HTTP status, 0 where there was no answer.
    public var code: Int

    public var description: String { "\(request): \(message)" }
}

extension APIError {
    /// Makes the error of an answer that is no success.
    ///
    /// - Parameter hiding: takes out of the server's words what must not be told.
    init(request: String, response: Response, hiding: (String) -> String) {
        self.request = request
        code = response.status
        let status = Self.status(in: response)
        switch (response.status, status?.reason) {
        case (404, _): reason = .notFound
        case (409, "AlreadyExists"): reason = .alreadyExists
        case (409, _): reason = .conflict
        case (403, _): reason = .forbidden
        case (401, _): reason = .unauthorized
        case (422, _), (400, _): reason = .invalid
        case (410, _): reason = .expired
        case (429, _), (500..., _): reason = .unavailable
        case (300..<400, _): reason = .protocolError
        default: reason = .other
        }
        if let message = status?.message, !message.isEmpty {
            // Webhooks may say much.
            self.message = hiding(message).shortened(to: 2000)
        } else if (300..<400).contains(response.status) {
            message =
                "the server answered with a redirect (HTTP \(response.status)); "
                + "is the server in the kubeconfig the API server itself?"
        } else {
            message = "the server answered HTTP \(response.status): \(Self.excerpt(response.body, hiding: hiding))"
        }
    }

    private static func status(in response: Response) -> Status? {
        do {
            return try JSONDecoder().decode(Status.self, from: response.body)
        } catch {
            // No Status: a proxy's page, say. The excerpt of the body is the message then.
            return nil
        }
    }

    /// The beginning of a body that should have been something else, fit for one line.
    static func excerpt(_ body: Data, hiding: (String) -> String) -> String {
        if body.isEmpty { return "an empty body" }
        // What is hidden must be seen whole, so it is hidden before the text is cut.
        let text = hiding(String(decoding: body.prefix(1 << 16), as: UTF8.self))
        let line = text.prefix(200)
            .split(whereSeparator: { $0.isWhitespace || !($0.isASCII) || $0.asciiValue ?? 0 < 32 })
            .joined(separator: " ")
        return text.utf8.count > 200 ? "\(line) …" : line
    }
}
