/// What an API server says of itself at `/version`.
public struct ServerVersion: Decodable, Sendable {
    /// `v1.32.1`
    public var gitVersion: String
    /// `linux/amd64`
    public var platform: String
}

extension Client {
    /// Asks which version the API server has.
    ///
    /// - Throws: `APIError`.
    public func version() async throws -> ServerVersion {
        let request = "ask for the version"
        let response = try await perform(Request(.get, "/version"), request: request, repeatable: true)
        return try decode(ServerVersion.self, from: response.body, request: request)
    }
}
