public import Kubernetes

struct AppliedFields: Sendable {}

extension Resource {
    var isBuiltIn: Bool { true }
}

extension JSON {
    func finishedState(of old: JSON) -> JSON { old }
}

extension Cluster {
    mutating func prepareForCreation(
        _ object: inout JSON,
        _ resource: Resource,
        namespace: String?,
        by user: User
    ) throws(Refusal) {
        object["metadata"]?["uid"] = .string(makeUID())
        object["metadata"]?["creationTimestamp"] = .string(timestamp)
        if let namespace { object["metadata"]?["namespace"] = .string(namespace) }
    }
    mutating func prepareForUpdate(
        _ object: inout JSON,
        old: JSON,
        _ key: ObjectKey,
        subresource: String?,
        by user: User
    ) throws(Refusal) {}
    mutating func afterCreation(_ object: StoredObject) {}
    mutating func afterDeletion(_ object: StoredObject) {}
    mutating func addDefaultObjects() {}

    /// Answers a request that is no stream.
    public mutating func handle(_ request: Request, as user: User) -> Response { Response(status: 501) }

    /// Records an Event about an object; the same one again raises its count.
    mutating func recordEvent(
        about object: JSON,
        type: String = "Normal",
        reason: String,
        message: String,
        component: String,
        host: String? = nil
    ) {}
}
