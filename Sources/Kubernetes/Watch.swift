import FoundationEssentials

/// A wait that reached its limit.
public struct WaitTimeout: Error, Sendable, CustomStringConvertible {
    /// What was waited for: `PersistentVolumeClaim shop/data to be Bound`.
    public var what: String
    public var limit: Duration

    public init(what: String, limit: Duration) {
        self.what = what
        self.limit = limit
    }

    public var description: String { "waited \(limit.components.seconds) s for \(what)" }
}

/// The objects that a watch knows of at one moment.
public struct Snapshot<Object: KubernetesObject>: Sendable {
    /// By UID.
    public internal(set) var objects: [String: Object] = [:]

    /// The object of a name, where there is one.
    public func object(named name: String) -> Object? { objects.values.first { $0.metadata.name == name } }
}

extension Client {
    /// Waits until the objects of a kind are as somebody wants them.
    ///
    /// Lists, then watches from the list's resourceVersion, and lists again where the watch has lost its place
    /// (API concepts, "Efficient detection of changes"). `check` is called after the list and after every change.
    ///
    /// - Parameters:
    ///   - resource: their kind, where the type stands for several.
    ///   - namespace: nil for all namespaces.
    ///   - name: watches only the object of this name.
    ///   - limit: how long to wait.
    ///   - what: what is waited for, as in "waited 5 s for …".
    ///   - check: returns a value when the wait is over, nil to go on.
    /// - Returns: what `check` returned.
    /// - Throws: `WaitTimeout`, `APIError`, or what `check` throws.
    public func wait<Object: KubernetesObject, Value>(
        for type: Object.Type,
        of resource: APIResource = Object.resource,
        in namespace: String?,
        named name: String? = nil,
        limit: Duration,
        what: String,
        until check: (Snapshot<Object>) async throws -> Value?
    ) async throws -> Value {
        let end = time.now() + limit
        let field = name.map { "metadata.name=\($0)" }
        var backoff = Backoff()
        while true {
            let list = try await listPages(type, of: resource, in: namespace, field: field)
            var snapshot = Snapshot<Object>()
            for object in list.items { snapshot.objects[object.metadata.uid] = object }
            if let value = try await check(snapshot) { return value }
            var version = list.metadata.resourceVersion
            // One pass is one watch; a watch that ended in good order goes on where it was.
            while let from = version {
                let remaining = end - time.now()
                guard remaining > .zero else { throw WaitTimeout(what: what, limit: limit) }
                let outcome = try await watch(
                    type,
                    of: resource,
                    in: namespace,
                    field: field,
                    from: from,
                    for: remaining,
                    into: &snapshot,
                    until: check
                )
                switch outcome {
                case .value(let value): return value
                case .lost: version = nil
                case .ended(let reached):
                    // Without news and before its time: the connection breaks, so don't run against the wall.
                    if reached == from { try await time.sleep(min(time.now() + backoff.next(), end)) }
                    version = reached
                }
            }
            let pause = backoff.next()
            guard time.now() + pause < end else { throw WaitTimeout(what: what, limit: limit) }
            try await time.sleep(time.now() + pause)
        }
    }

    private enum WatchOutcome<Value> {
        case value(Value)
        /// Over, with everything up to this resourceVersion seen.
        case ended(String)
        /// The place is lost: list again.
        case lost
    }

    /// The longest that one watch lasts; a connection that died without a word is noticed then.
    private static let longestWatch: Duration = .seconds(60)

    private func watch<Object: KubernetesObject, Value>(
        _ type: Object.Type,
        of resource: APIResource,
        in namespace: String?,
        field: String?,
        from start: String,
        for remaining: Duration,
        into snapshot: inout Snapshot<Object>,
        until check: (Snapshot<Object>) async throws -> Value?
    ) async throws -> WatchOutcome<Value> {
        let span = min(remaining, Self.longestWatch)
        var query = [
            ("watch", "1"), ("resourceVersion", start), ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", String(max(1, span.components.seconds + 1))),
        ]
        if let field { query.append(("fieldSelector", field)) }
        let target = Self.target(resource.path(namespace: namespace), query)
        let request = "watch \(resource.plural)"
        let response: StreamingResponse
        do {
            response = try await open(Request(.get, target, silence: span), request: request)
        } catch let error as APIError where error.reason == .expired || error.reason == .unavailable {
            return .lost
        }
        var lines = Lines(response.body)
        var version = start
        let end = time.now() + span
        do {
            while time.now() < end, let line = try await lines.next() {
                if line.isEmpty { continue }
                switch try decode(WatchEvent<Object>.self, from: line, request: request) {
                case .changed(let object):
                    snapshot.objects[object.metadata.uid] = object
                    version = object.metadata.resourceVersion
                case .deleted(let object):
                    snapshot.objects[object.metadata.uid] = nil
                    version = object.metadata.resourceVersion
                case .bookmark(let reached):
                    version = reached
                    continue
                case .failed:
                    await response.body.close()
                    return .lost
                }
                if let value = try await check(snapshot) {
                    await response.body.close()
                    return .value(value)
                }
            }
        } catch let error as TransportError where error.kind == .tooLarge {
            await response.body.close()
            throw APIError(reason: .tooLarge, request: request, message: error.message, code: response.status)
        } catch is TransportError {
            // Broken, or silent for as long as the watch was to last. What came of it is in `version`.
        } catch let error as APIError where error.reason == .protocolError {
            // A line cut in two: nothing of it was taken.
        } catch {
            await response.body.close()
            throw error
        }
        await response.body.close()
        return .ended(version)
    }
}

/// One line of a watch.
private enum WatchEvent<Object: KubernetesObject>: Decodable {
    case changed(Object)
    case deleted(Object)
    /// Nothing changed, but everything up to this resourceVersion has been sent.
    case bookmark(String)
    /// The server gives the watch up, mostly with 410.
    case failed

    private enum CodingKeys: CodingKey { case type, object }
    private struct Bookmark: Decodable {
        struct Metadata: Decodable { var resourceVersion: String }
        var metadata: Metadata
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        switch try container.decode(String.self, forKey: .type) {
        case "ADDED", "MODIFIED": self = .changed(try container.decode(Object.self, forKey: .object))
        case "DELETED": self = .deleted(try container.decode(Object.self, forKey: .object))
        case "BOOKMARK":
            self = .bookmark(try container.decode(Bookmark.self, forKey: .object).metadata.resourceVersion)
        default: self = .failed
        }
    }
}
