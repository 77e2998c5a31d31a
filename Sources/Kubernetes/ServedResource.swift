/// What the API server says of a kind: how it is named in paths, and what its objects can do.
public struct ServedResource: Sendable, Equatable {
    public var resource: APIResource
    /// True where its objects have a scale subresource.
    public var hasScale: Bool
}

extension Client {
    /// Finds out how the API server names a kind (API concepts, "API discovery").
    ///
    /// - Parameters:
    ///   - apiVersion: group and version, as owner references give it.
    /// - Returns: nil where the server serves no such kind.
    /// - Throws: `APIError`.
    public func served(_ kind: String, _ apiVersion: String) async throws -> ServedResource? {
        let parts = apiVersion.split(separator: "/", maxSplits: 1).map(String.init)
        guard let version = parts.last else { return nil }
        let group = parts.count > 1 ? parts[0] : ""
        // An owner reference is text that anybody may have written.
        guard parts.allSatisfy({ $0.allSatisfy { $0.isLetter || $0.isNumber || ".-".contains($0) } && $0 != ".." })
        else { return nil }
        let request = "discover \(apiVersion)"
        let path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        let list: ResourceList
        do {
            let response = try await perform(Request(.get, path), request: request, repeatable: true)
            list = try decode(ResourceList.self, from: response.body, request: request)
        } catch let error as APIError where error.reason == .notFound {
            return nil
        }
        guard let found = list.resources.first(where: { $0.kind == kind && !$0.name.contains("/") }) else { return nil }
        return ServedResource(
            resource: APIResource(
                group: group,
                version: version,
                kind: kind,
                plural: found.name,
                namespaced: found.namespaced
            ),
            hasScale: list.resources.contains { $0.name == "\(found.name)/scale" }
        )
    }
}

private struct ResourceList: Decodable {
    struct Resource: Decodable {
        var name: String
        var kind: String
        var namespaced: Bool
    }
    var resources: [Resource]
}
