import FoundationEssentials

/// What a credential plugin printed.
struct ExecCredential: Sendable {
    var token: Secret<String>?
    var certificate: ClientCertificate?
    /// Until when both can be used; nil for ever.
    var expiry: Date?

    private struct Text: Decodable {
        struct Status: Decodable {
            var token: String?
            var clientCertificateData: String?
            var clientKeyData: String?
            var expirationTimestamp: String?
        }

        var apiVersion: String?
        var kind: String?
        var status: Status?
    }

    /// Reads a plugin's output.
    ///
    /// - Throws: `TransportError` of kind `configuration` that says what is wrong, without the output itself.
    init(_ output: [UInt8], of plugin: ExecPlugin) throws(TransportError) {
        func failure(_ message: String) -> TransportError {
            TransportError(.configuration, "\(plugin.title) \(message)")
        }
        let text: Text
        do {
            text = try JSONDecoder().decode(Text.self, from: Data(output))
        } catch {
            // The decoder's own words may hold a part of the output.
            throw failure("printed no ExecCredential in JSON")
        }
        // What it printed may be anything, also in these two.
        guard text.kind == "ExecCredential" else {
            throw failure("printed JSON of another kind than ExecCredential")
        }
        guard text.apiVersion == plugin.apiVersion else {
            throw failure("printed another apiVersion than \(plugin.apiVersion), which the kubeconfig asks for")
        }
        guard let status = text.status else { throw failure("printed no status") }
        if let token = status.token, !token.isEmpty {
            guard token.isHeaderValue else { throw failure("printed a token with control characters") }
            self.token = Secret(token)
        }
        switch (status.clientCertificateData ?? "", status.clientKeyData ?? "") {
        case ("", ""):
            certificate = nil
        case (let certificate, let key) where Data(certificate.utf8).isPEM && Data(key.utf8).isPEM:
            self.certificate = ClientCertificate(certificate: Data(certificate.utf8), key: Secret(Data(key.utf8)))
        default:
            throw failure("must print clientCertificateData and clientKeyData together, both in PEM")
        }
        guard token != nil || certificate != nil else { throw failure("printed neither a token nor a certificate") }
        if let timestamp = status.expirationTimestamp {
            guard let expiry = Self.date(timestamp) else { throw failure("printed an unusable expirationTimestamp") }
            self.expiry = expiry
        }
    }

    /// A time as RFC 3339 has it, with or without a fraction.
    private static func date(_ text: String) -> Date? {
        for fraction in [false, true] {
            let style = Date.ISO8601FormatStyle(includingFractionalSeconds: fraction)
            if let date = try? style.parse(text) { return date }
        }
        return nil
    }
}
