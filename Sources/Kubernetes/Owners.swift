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
            guard let resource = try await served(kind, apiVersion)?.resource else { return false }
            let object = try await get(resource, ObjectName(name, in: resource.namespaced ? namespace : nil))
            return object[path: ["metadata", "uid"]]?.string == uid
        } catch let error as APIError where error.reason == .notFound || error.reason == .invalid {
            return false
        } catch let error as APIError where error.reason == .forbidden {
            return true
        }
    }
}
