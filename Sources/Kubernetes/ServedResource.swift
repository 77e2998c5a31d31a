/// What the API server says of a kind: how it is named in paths, and what its objects can do.
public struct ServedResource: Sendable, Equatable {
    public var resource: APIResource
    /// True where its objects have a scale subresource.
    public var hasScale: Bool

    public init(resource: APIResource, hasScale: Bool) { (self.resource, self.hasScale) = (resource, hasScale) }
}

extension Client {
    /// Finds out which kinds the API server serves of a group, in the version that it prefers (API concepts, "API discovery").
    ///
    /// - Parameter group: empty for the core group.
    /// - Returns: Nothing where the server serves no such group.
    /// - Throws: `APIError`, `.invalid` where that is no group.
    public func served(of group: String) async throws -> [APIResource] {
        var version = "v1"
        do {
            if !group.isEmpty {
                let path = "/apis/\(try PathPart.word(group, of: "API groups"))"
                let response = try await perform(Request(.get, path), request: "discover \(group)", repeatable: true)
                let found = try decode(Group.self, from: response.body, request: "discover \(group)")
                version = found.preferredVersion.version
            }
            return try await kinds(of: group, version).resources.filter { !$0.name.contains("/") }.map {
                APIResource(group: group, version: version, kind: $0.kind, plural: $0.name, namespaced: $0.namespaced)
            }
        } catch let error as APIError where error.reason == .notFound {
            return []
        }
    }

    private func kinds(of group: String, _ version: String) async throws -> ResourceList {
        let path = try APIResource.path(group: group, version: version)
        let request = "discover \(group.isEmpty ? version : "\(group)/\(version)")"
        let response = try await perform(Request(.get, path), request: request, repeatable: true)
        return try decode(ResourceList.self, from: response.body, request: request)
    }

    /// Finds out how the API server names a kind (API concepts, "API discovery").
    ///
    /// - Parameters:
    ///   - apiVersion: group and version, as owner references give it.
    /// - Returns: nil where the server serves no such kind.
    /// - Throws: `APIError`, `.invalid` where that is no group and version.
    public func served(_ kind: String, _ apiVersion: String) async throws -> ServedResource? {
        let parts = apiVersion.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let (group, version) = (parts.count > 1 ? parts[0] : "", parts.last ?? "")
        let list: ResourceList
        do { list = try await kinds(of: group, version) } catch let error as APIError where error.reason == .notFound {
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

private struct Group: Decodable {
    struct Version: Decodable { var version: String }
    var preferredVersion: Version
}

private struct ResourceList: Decodable {
    struct Resource: Decodable {
        var name: String
        var kind: String
        var namespaced: Bool
    }
    var resources: [Resource]
}
