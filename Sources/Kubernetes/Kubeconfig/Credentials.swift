import FoundationEssentials

/// Who the client is, request by request: keeps tokens and certificates fresh.
///
/// Files are read again after a minute, plugins run again when what they gave has expired, and both after the server
/// refused what there was. However many requests ask at once, there is one plugin at a time.
public actor Credentials {
    /// What one request carries.
    public struct Identity: Sendable {
        /// `Authorization` and the `Impersonate-` headers.
        public var headers: Secret<[Header]>
        public var certificate: ClientCertificate?
        /// Which of the identities so far this is.
        fileprivate var generation: Int
    }

    public typealias Header = (name: String, value: String)

    private let configuration: Configuration
    private let now: @Sendable () -> Date

    /// Counts the changes of what follows.
    private var generation = 0
    private var fileToken: (token: Secret<String>, readAt: Date)?
    private var credential: ExecCredential?
    private var running: Task<ExecCredential, any Error>?

    public init(_ configuration: Configuration) {
        self.init(configuration, now: { Date() })
    }

    /// - Parameter now: The time of day, which decides on expiry.
    init(_ configuration: Configuration, now: @escaping @Sendable () -> Date) {
        self.configuration = configuration
        self.now = now
    }

    /// What the next request shall carry.
    ///
    /// - Throws: `TransportError` where a token's file cannot be read or a plugin fails; `CancellationError`.
    public func identity() async throws -> Identity {
        var headers: [Header] = []
        var certificate = configuration.authentication.certificate
        func bearer(_ token: Secret<String>) -> Header { ("Authorization", "Bearer \(token.value)") }
        switch configuration.authentication.header {
        case .none:
            break
        case .token(let token):
            headers.append(bearer(token))
        case .basic(let username, let password):
            let pair = Data("\(username):\(password.value)".utf8).base64EncodedString()
            headers.append(("Authorization", "Basic \(pair)"))
        case .tokenFile(let path, let fallback):
            let isFresh = fileToken.map { now() < $0.readAt + 60 } ?? false
            if !isFresh { try readToken(path, fallback: fallback) }
            if let fileToken { headers.append(bearer(fileToken.token)) }
        case .exec(let plugin):
            let credential = try await validCredential(of: plugin)
            if let token = credential.token { headers.append(bearer(token)) }
            // The kubeconfig's own certificate wins, as in client-go.
            certificate = certificate ?? credential.certificate
        }
        return Identity(
            headers: Secret(headers + configuration.impersonation),
            certificate: certificate,
            generation: generation
        )
    }

    /// Gets another identity after the server answered 401.
    ///
    /// - Parameter refused: What the request carried.
    /// - Returns: Whether there is another one now, so that trying again makes sense.
    /// - Throws: As `identity()`.
    public func refresh(_ refused: Identity) async throws -> Bool {
        // Somebody else has done it since.
        guard refused.generation == generation else { return true }
        switch configuration.authentication.header {
        case .none, .token, .basic:
            return false
        case .tokenFile(let path, let fallback):
            try readToken(path, fallback: fallback)
            return generation != refused.generation
        case .exec(let plugin):
            credential = nil
            _ = try await validCredential(of: plugin)
            return true
        }
    }

    private func readToken(_ path: String, fallback: Secret<String>?) throws {
        let file = LocalFile(path: path)
        var token: Secret<String>
        do throws(LocalFile.Failure) {
            token = Secret(String(decoding: try file.read(), as: UTF8.self).trimmed)
        } catch {
            // A file that is being replaced may be gone for a moment: the last token still holds (client-go's rule).
            guard let last = fileToken?.token ?? fallback else {
                throw TransportError(.configuration, "the token file \(file.shown) cannot be read: \(error.message)")
            }
            token = last
        }
        guard !token.value.isEmpty, token.value.isHeaderValue else {
            throw TransportError(.configuration, "the token file \(file.shown) holds no token")
        }
        if token != fileToken?.token { generation += 1 }
        fileToken = (token, now())
    }

    private func validCredential(of plugin: ExecPlugin) async throws -> ExecCredential {
        while true {
            if let credential, credential.expiry.map({ now() < $0 }) ?? true { return credential }
            let task = running ?? Task { try await plugin.run() }
            running = task
            defer { if running == task { running = nil } }
            do {
                // Whoever is cancelled ends the plugin for all; the others start it again.
                let fresh = try await withTaskCancellationHandler {
                    try await task.value
                } onCancel: {
                    task.cancel()
                }
                if running == task {
                    credential = fresh
                    generation += 1
                }
                // Also what is said to have expired already is worth a try, as in client-go.
                return fresh
            } catch is CancellationError {
                try Task.checkCancellation()
            }
        }
    }
}
