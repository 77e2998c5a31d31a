extension Client {
    /// Asks whether the object that an owner reference names still exists, with the same UID.
    ///
    /// The path of a kind is looked up in the API's discovery document. Where it may not be read, the owner counts as
    /// existing: nobody who owned a living object a moment ago is taken away on a guess.
    ///
    /// - Throws: `APIError`.
    public func exists(owner: JSON, in namespace: String?) async throws -> Bool {
        guard let apiVersion = owner["apiVersion"]?.string, let kind = owner["kind"]?.string,
            let name = owner["name"]?.string, let uid = owner["uid"]?.string
        else { return false }
        do {
            guard let resource = try await resource(kind: kind, apiVersion: apiVersion) else { return false }
            let object = try await get(resource, ObjectName(name, in: resource.namespaced ? namespace : nil))
            return object[path: ["metadata", "uid"]]?.string == uid
        } catch let error as APIError where error.reason == .notFound {
            return false
        } catch let error as APIError where error.reason == .forbidden {
            return true
        }
    }

    /// Finds under which path a kind is served; nil where it isn't.
    private func resource(kind: String, apiVersion: String) async throws -> APIResource? {
        let parts = apiVersion.split(separator: "/", maxSplits: 1).map(String.init)
        let (group, version) = parts.count == 2 ? (parts[0], parts[1]) : ("", apiVersion)
        let path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        let request = "discover \(apiVersion)"
        let response = try await perform(Request(.get, path), request: request, repeatable: true)
        let document = try decode(JSON.self, from: response.body, request: request)
        for entry in document["resources"]?.array ?? [] {
            guard entry["kind"]?.string == kind, let plural = entry["name"]?.string, !plural.contains("/") else {
                continue
            }
            return APIResource(
                group: group,
                version: version,
                kind: kind,
                plural: plural,
                namespaced: entry["namespaced"]?.bool ?? true
            )
        }
        return nil
    }
}
