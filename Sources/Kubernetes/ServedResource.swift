/// What the API server says of a kind: how it is named in paths, and what its objects can do.
public struct ServedResource: Sendable, Equatable {
    public var resource: APIResource
    /// True where its objects have a scale subresource.
    public var hasScale: Bool

    public init(resource: APIResource, hasScale: Bool) { (self.resource, self.hasScale) = (resource, hasScale) }
}

extension Client {
    /// Finds out how the API server names a kind (API concepts, "API discovery").
    ///
    /// - Parameters:
    ///   - apiVersion: group and version, as owner references give it.
    /// - Returns: nil where the server serves no such kind.
    /// - Throws: `APIError`, `.invalid` where that is no group and version.
    public func served(_ kind: String, _ apiVersion: String) async throws -> ServedResource? {
        let parts = apiVersion.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let (group, version) = (parts.count > 1 ? parts[0] : "", parts.last ?? "")
        let path = try APIResource.path(group: group, version: version)
        let request = "discover \(apiVersion)"
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
