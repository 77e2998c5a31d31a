import FoundationEssentials

/// The API server's verbs, and nothing else: no cache, no informers, no PUT.
///
/// A request that surely had no effect is repeated with backoff, as is every read; `Retry-After` is honoured. A write
/// whose effect is unknown is not: the caller looks again and decides again.
public struct Client: Sendable {
    let transport: any Transport
    public let time: TimeSource
    /// Called with each `Warning` header's text (RFC 9111, 5.5), once for each request that carries it.
    let onWarning: @Sendable (String) -> Void
    /// How long repeats go on before the failure is reported.
    public var patience: Duration
    /// How many objects a page of a list holds.
    let pageSize: Int
    /// How many requests it begins; nil for as many as there are.
    let rate: RequestRate?
    /// What waits watch with and lists are read with, where they share it; see `sharingReads`.
    var sharedReads: SharedReads?

    public init(
        transport: any Transport,
        time: TimeSource = .continuous,
        patience: Duration = .seconds(60),
        pageSize: Int = 500,
        rate: RequestRate? = nil,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.transport = transport
        self.time = time
        self.patience = patience
        self.pageSize = pageSize
        self.rate = rate
        self.onWarning = onWarning
    }

    // MARK: Reading

    /// Reads one object.
    ///
    /// - Parameter resource: its kind, where the type stands for several.
    /// - Throws: `APIError`, `.notFound` where there is none.
    public func get<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource,
        _ name: ObjectName
    ) async throws -> Object {
        let (data, request) = try await getData(resource, name)
        return try decode(Object.self, from: data, request: request)
    }

    /// Reads one object, or what a subresource says of it, with all fields.
    ///
    /// - Throws: `APIError`, `.notFound` where there is none.
    public func get(_ resource: APIResource, _ name: ObjectName, subresource: String? = nil) async throws -> JSON {
        let (data, request) = try await getData(resource, name, subresource: subresource)
        return try decode(JSON.self, from: data, request: request)
    }

    private func getData(
        _ resource: APIResource,
        _ name: ObjectName,
        subresource: String? = nil
    ) async throws -> (Data, String) {
        let request = "get \(resource.kind) \(name)"
        let path = try resource.path(to: name, subresource: subresource)
        return (try await perform(Request(.get, path), request: request, repeatable: true).body, request)
    }

    /// Reads one object, or nil where there is none.
    public func find<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource,
        _ name: ObjectName
    ) async throws -> Object? {
        do { return try await get(type, of: resource, name) } catch let error as APIError
            where error.reason == .notFound
        {
            return nil
        }
    }

    /// Lists all objects of a kind, page by page. One that can't be read fails the list, by its name: whoever does
    /// without it says so by `listReadable`.
    ///
    /// - Parameters:
    ///   - resource: their kind, where the type stands for several.
    ///   - namespace: nil for all namespaces.
    ///   - field: a field selector, `involvedObject.name=data`.
    ///   - labels: a label selector, `app=web,tier!=cache`.
    /// - Throws: `APIError`.
    public func list<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource,
        in namespace: String? = nil,
        field: String? = nil,
        labels: String? = nil
    ) async throws -> [Object] {
        let list = try await listPages(type, of: resource, in: namespace, field: field, labels: labels)
        return try list.whole(of: resource, in: namespace)
    }

    /// Lists all objects of a kind that can be read, and names the others.
    ///
    /// - Throws: `APIError`.
    public func listReadable<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource,
        in namespace: String? = nil
    ) async throws -> Readable<Object> {
        let list = try await listPages(type, of: resource, in: namespace)
        return Readable(items: list.items, unreadable: list.unreadable(of: resource))
    }

    /// Lists as `list`, with the resourceVersion that a watch can start from.
    func listPages<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource,
        in namespace: String?,
        field: String? = nil,
        labels: String? = nil
    ) async throws -> List<Object> {
        if let sharedReads, field == nil, labels == nil {
            return try await sharedReads.list(of: resource, in: namespace, for: self)
        }
        let request = Self.listing(resource, namespace)
        var restarts = 0
        var size = pageSize
        while true {
            var all = List<Object>(metadata: .init())
            do {
                repeat {
                    var query = [("limit", String(size))]
                    if let field { query.append(("fieldSelector", field)) }
                    if let labels { query.append(("labelSelector", labels)) }
                    if let token = all.metadata.continue { query.append(("continue", token)) }
                    let target = Self.target(try resource.path(namespace: namespace), query)
                    let response = try await perform(Request(.get, target), request: request, repeatable: true)
                    let page = try decode(List<Object>.self, from: response.body, request: request)
                    // Somebody else's JSON must not be taken for an empty list.
                    guard page.kind == resource.kind + "List" || page.kind == "List" else {
                        throw notOfAnAPIServer(response.body, request)
                    }
                    // Somebody between us and the server who ignores the token would keep us here for ever.
                    guard page.metadata.continue != all.metadata.continue || page.isLast else {
                        throw APIError(
                            reason: .protocolError,
                            request: request,
                            message: "the server gives the same page of the list again and again",
                            code: response.status
                        )
                    }
                    all.items += page.items
                    all.unread += page.unread
                    all.metadata = page.metadata
                } while !all.isLast
                return all
            } catch let error as APIError where error.reason == .expired && restarts < 5 {
                // The continue token outlived the server's memory: begin again.
                restarts += 1
            } catch let error as APIError where error.reason == .tooLarge && size > 1 {
                // Few large objects make a page, too; a token may not be used with another limit.
                size = max(1, size / 10)
            }
        }
    }

    /// The log of a container as it is now; no more than 8 MiB, since a line may be of any length.
    ///
    /// - Parameter tail: how many lines from the end.
    /// - Throws: `APIError`, `.invalid` while the container waits to start.
    public func log(of pod: ObjectName, container: String, tail: Int) async throws -> String {
        let target = Self.target(
            try APIResource.pods.path(to: pod, subresource: "log"),
            [("container", container), ("tailLines", String(tail)), ("limitBytes", String(8 << 20))]
        )
        let response = try await perform(
            Request(.get, target),
            request: "read the log of Pod \(pod)",
            repeatable: true
        )
        return String(decoding: response.body, as: UTF8.self)
    }

    /// Follows the log of a container line by line until it ends; a line of more than 64 KiB comes in several parts.
    ///
    /// - Parameter silence: how long the log may be silent before the connection is given up.
    /// - Throws: `APIError` or `TransportError`.
    public func followLog(
        of pod: ObjectName,
        container: String,
        tail: Int? = nil,
        silence: Duration,
        onLine: (String) async throws -> Void
    ) async throws {
        let target = Self.target(
            try APIResource.pods.path(to: pod, subresource: "log"),
            [("container", container), ("follow", "true")] + (tail.map { [("tailLines", String($0))] } ?? [])
        )
        let request = "follow the log of Pod \(pod)"
        let response = try await open(Request(.get, target, silence: silence), request: request)
        var lines = Lines(response.body, longest: 64 << 10, cutting: true)
        do {
            while let line = try await lines.next() { try await onLine(String(decoding: line, as: UTF8.self)) }
        } catch {
            await response.body.close()
            throw error
        }
    }

    // MARK: Writing

    /// Creates an object.
    ///
    /// - Parameter dryRun: lets the server check and admit the object without keeping it.
    /// - Returns: the object as the server keeps it.
    /// - Throws: `APIError`, `.alreadyExists` where the name is taken.
    @discardableResult
    public func create(
        _ resource: APIResource,
        in namespace: String?,
        _ manifest: JSON,
        dryRun: Bool = false
    ) async throws -> JSON {
        let (data, request) = try await createData(resource, in: namespace, manifest, dryRun: dryRun)
        return try decode(JSON.self, from: data, request: request)
    }

    /// Creates an object of a kind that is read.
    ///
    /// - Returns: the object as the server keeps it.
    /// - Throws: `APIError`, `.alreadyExists` where the name is taken.
    public func create<Object: KubernetesObject>(
        _ type: Object.Type,
        in namespace: String?,
        _ manifest: JSON
    ) async throws -> Object {
        let (data, request) = try await createData(Object.resource, in: namespace, manifest, dryRun: false)
        return try decode(Object.self, from: data, request: request)
    }

    private func createData(
        _ resource: APIResource,
        in namespace: String?,
        _ manifest: JSON,
        dryRun: Bool
    ) async throws -> (Data, String) {
        let name = manifest[path: ["metadata", "name"]]?.string ?? ""
        let request = "create \(resource.kind) \(ObjectName(name, in: namespace))"
        var query = [("fieldValidation", "Strict")]
        if dryRun { query.append(("dryRun", "All")) }
        let target = Self.target(try resource.path(namespace: namespace), query)
        let response = try await perform(
            Request(.post, target, headers: [Self.json], body: manifest.text),
            request: request,
            repeatable: dryRun
        )
        return (response.body, request)
    }

    /// Changes an object.
    ///
    /// - Parameter resource: its kind, where the type stands for several.
    /// - Returns: the object as the server keeps it now.
    /// - Throws: `APIError`: `.conflict` where it is no longer as the patch says, `.invalid` where a `test` failed.
    @discardableResult
    public func patch<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource,
        _ name: ObjectName,
        _ patch: Patch
    ) async throws -> Object {
        let (data, request) = try await patchData(resource, name, subresource: nil, patch)
        return try decode(Object.self, from: data, request: request)
    }

    /// Changes an object of any kind, or what a subresource says of it.
    ///
    /// - Parameter dryRun: only asks whether the server would take the change.
    /// - Throws: as the other one.
    public func patch(
        _ resource: APIResource,
        _ name: ObjectName,
        subresource: String? = nil,
        _ patch: Patch,
        dryRun: Bool = false
    ) async throws {
        _ = try await patchData(resource, name, subresource: subresource, patch, dryRun: dryRun)
    }

    private func patchData(
        _ resource: APIResource,
        _ name: ObjectName,
        subresource: String?,
        _ patch: Patch,
        dryRun: Bool = false
    ) async throws -> (Data, String) {
        let request = "patch \(resource.kind) \(name)"
        let path = try resource.path(to: name, subresource: subresource)
        let response = try await perform(
            Request(
                .patch,
                dryRun ? Self.target(path, [("dryRun", "All")]) : path,
                headers: [("Content-Type", patch.contentType)],
                body: patch.body.text
            ),
            request: request,
            repeatable: dryRun
        )
        return (response.body, request)
    }

    /// Asks for the deletion of exactly one object, never of a namesake.
    ///
    /// - Parameters:
    ///   - uid: the object's UID; the server refuses with a conflict where the name belongs to another by now.
    ///   - resourceVersion: deletes the object only as long as it is unchanged.
    ///   - grace: for pods, how long their processes get, in seconds.
    ///   - orphaning: leaves what the object owns to itself, instead of deleting that too.
    /// - Returns: false where the object was already gone.
    /// - Throws: `APIError`.
    @discardableResult
    public func delete(
        _ resource: APIResource,
        _ name: ObjectName,
        uid: String,
        resourceVersion: String? = nil,
        grace: Int? = nil,
        orphaning: Bool = false
    ) async throws -> Bool {
        var options: JSON = ["apiVersion": "v1", "kind": "DeleteOptions", "preconditions": ["uid": .string(uid)]]
        if let resourceVersion { options[path: ["preconditions", "resourceVersion"]] = .string(resourceVersion) }
        if let grace { options["gracePeriodSeconds"] = .integer(Int64(grace)) }
        if orphaning { options["propagationPolicy"] = "Orphan" }
        do {
            _ = try await perform(
                Request(
                    .delete,
                    try resource.path(to: name),
                    headers: [Self.json],
                    body: options.text
                ),
                request: "delete \(resource.kind) \(name)",
                // The UID makes a second delete harmless.
                repeatable: true
            )
            return true
        } catch let error as APIError where error.reason == .notFound {
            return false
        }
    }

    /// Asks whether the caller may do something (SelfSubjectAccessReview).
    ///
    /// - Parameter namespace: nil for all namespaces.
    /// - Throws: `APIError`.
    public func mayI(
        _ verb: String,
        _ resource: APIResource,
        subresource: String? = nil,
        in namespace: String? = nil
    ) async throws -> Bool {
        var attributes: JSON = [
            "verb": .string(verb), "group": .string(resource.group), "resource": .string(resource.plural),
        ]
        if let subresource { attributes["subresource"] = .string(subresource) }
        if let namespace { attributes["namespace"] = .string(namespace) }
        let review: JSON = [
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": ["resourceAttributes": attributes],
        ]
        let request = "ask for the permission to \(verb) \(resource.plural)"
        let response = try await perform(
            Request(.post, try APIResource.accessReviews.path(namespace: nil), headers: [Self.json], body: review.text),
            request: request,
            repeatable: true
        )
        let answer = try decode(JSON.self, from: response.body, request: request)
        return answer[path: ["status", "allowed"]]?.bool ?? false
    }
}
