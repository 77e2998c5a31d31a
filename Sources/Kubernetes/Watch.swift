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
    /// (API concepts, "Efficient detection of changes"). `check` is called after the list and after every change that
    /// concerns it. The watch is shared with other waits within `sharingReads`.
    ///
    /// - Parameters:
    ///   - resource: their kind, where the type stands for several.
    ///   - namespace: nil for all namespaces.
    ///   - name: watches only the object of this name.
    ///   - field: watches only the objects that this field selector takes.
    ///   - concerns: which objects matter, by what never changes of one; `check` sees no others.
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
        field selector: String? = nil,
        where concerns: @escaping @Sendable (Object) -> Bool = { _ in true },
        limit: Duration,
        what: String,
        until check: (Snapshot<Object>) async throws -> Value?
    ) async throws -> Value {
        let end = time.now() + limit
        let field = selector ?? name.map { "metadata.name=\($0)" }
        var backoff = Backoff()
        var feed: Feed<Object>? = try sharedReads?.feed(of: resource, in: namespace, field: selector, for: self)
        // From before the list on, so that no change is missed between the two.
        let listener = feed?.listen(in: namespace, named: name, where: concerns)
        defer { listener?.end() }
        while true {
            let list = try await listPages(type, of: resource, in: namespace, field: field)
            var snapshot = Snapshot<Object>()
            for object in try list.whole(of: resource, in: namespace) where concerns(object) {
                snapshot.objects[object.metadata.uid] = object
            }
            if let value = try await check(snapshot) { return value }
            if feed != nil, let listener, let from = Version(list.metadata.resourceVersion) {
                if listener.hears(allAfter: from) {
                    switch try await follow(listener, after: from, into: &snapshot, until: end, check) {
                    case .value(let value): return value
                    case .limit: throw WaitTimeout(what: what, limit: limit)
                    case .failed: feed = nil
                    case .lost: break
                    }
                }
            } else {
                let outcome = try await watch(
                    list,
                    of: resource,
                    in: namespace,
                    field,
                    where: concerns,
                    into: &snapshot,
                    until: end,
                    check
                )
                switch outcome {
                case .value(let value): return value
                case .limit: throw WaitTimeout(what: what, limit: limit)
                case .failed, .lost: break
                }
            }
            let pause = backoff.next()
            guard time.now() + pause < end else { throw WaitTimeout(what: what, limit: limit) }
            try await time.sleep(time.now() + pause)
        }
    }

    /// Waits until an object is gone. An object of its name with another UID does not count.
    ///
    /// - Parameters:
    ///   - limit: how long to wait.
    ///   - what: what is waited for, as in "waited 5 s for …"; nil for the object's deletion.
    /// - Throws: `WaitTimeout`, `APIError`.
    public func awaitDeletion<Object: KubernetesObject>(
        of object: Object,
        limit: Duration,
        what: String? = nil
    ) async throws {
        try await wait(
            for: Object.self,
            in: object.metadata.namespace,
            named: object.metadata.name,
            limit: limit,
            what: what ?? "\(object.title) to be deleted"
        ) { $0.objects[object.metadata.uid] == nil ? () : nil }
    }

    private enum WaitOutcome<Value> {
        case value(Value)
        case limit
        /// The place is lost: list again.
        case lost
        /// There is no shared watch, for whatever reason: list again, and watch alone.
        case failed
    }

    /// Waits for changes that a shared watch tells.
    private func follow<Object: KubernetesObject, Value>(
        _ listener: Feed<Object>.Listener,
        after version: Version,
        into snapshot: inout Snapshot<Object>,
        until end: Duration,
        _ check: (Snapshot<Object>) async throws -> Value?
    ) async throws -> WaitOutcome<Value> {
        while let news = try await listener.next(until: end, time) {
            switch news {
            case .change(let change):
                // The list says which one can't be read, and why.
                guard let object = change.object else { return .lost }
                // What the list has shown already, and may have shown newer.
                guard let its = Version(object.metadata.resourceVersion), version < its else { continue }
                snapshot.take(change)
                if let value = try await check(snapshot) { return .value(value) }
            case .lost: return .lost
            case .failed: return .failed
            }
        }
        return .limit
    }

    /// Waits for changes with a watch of its own.
    private func watch<Object: KubernetesObject, Value>(
        _ list: List<Object>,
        of resource: APIResource,
        in namespace: String?,
        _ field: String?,
        where concerns: (Object) -> Bool,
        into snapshot: inout Snapshot<Object>,
        until end: Duration,
        _ check: (Snapshot<Object>) async throws -> Value?
    ) async throws -> WaitOutcome<Value> {
        var version = list.metadata.resourceVersion
        var backoff = Backoff()
        // One pass is one watch; a watch that ended in good order goes on where it was.
        while let from = version {
            let remaining = end - time.now()
            guard remaining > .zero else { return .limit }
            var value: Value?
            var isUnreadable = false
            version = try await watch(
                Object.self,
                of: resource,
                in: namespace,
                field: field,
                from: from,
                for: remaining
            ) {
                isUnreadable = $0.object == nil
                guard let object = $0.object, concerns(object) else { return !isUnreadable }
                snapshot.take($0)
                value = try await check(snapshot)
                return value == nil
            }
            if let value { return .value(value) }
            if isUnreadable { return .lost }
            // Without news and before its time: the connection breaks, so don't run against the wall.
            if version == from { try await time.sleep(min(time.now() + backoff.next(), end)) }
        }
        return .lost
    }

    /// The longest that one watch lasts; a connection that died without a word is noticed then.
    private static let longestWatch: Duration = .seconds(60)

    /// Watches for a while.
    ///
    /// - Parameter tell: is told each change, and says whether to go on.
    /// - Returns: the version up to which every change was told; nil where the place is lost.
    func watch<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource,
        in namespace: String?,
        field: String? = nil,
        from start: String,
        for remaining: Duration = longestWatch,
        _ tell: (Change<Object>) async throws -> Bool
    ) async throws -> String? {
        let span = min(remaining, Self.longestWatch)
        var query = [
            ("watch", "1"), ("resourceVersion", start), ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", String(max(1, span.components.seconds + 1))),
        ]
        if let field { query.append(("fieldSelector", field)) }
        let target = Self.target(try resource.path(namespace: namespace), query)
        let request = "watch \(resource.plural)"
        let response: StreamingResponse
        do {
            response = try await open(Request(.get, target, silence: span), request: request)
        } catch let error as APIError where error.reason == .expired || error.reason == .unavailable {
            return nil
        }
        var lines = Lines(response.body)
        var version = start
        let end = time.now() + span
        do {
            while time.now() < end, let line = try await lines.next() {
                if line.isEmpty { continue }
                switch try decode(WatchEvent<Object>.self, from: line, request: request) {
                case .change(let change, let reached):
                    version = reached
                    guard try await tell(change) else {
                        await response.body.close()
                        return version
                    }
                case .bookmark(let reached): version = reached
                case .failed:
                    await response.body.close()
                    return nil
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
        return version
    }
}

/// A change of one object.
enum Change<Object: KubernetesObject>: Sendable {
    case changed(Object)
    case deleted(Object)
    /// One that can't be read has changed, or is gone.
    case unreadable(ObjectName)

    /// As it is now, or was at last; nil where that can't be read.
    var object: Object? {
        switch self {
        case .changed(let object), .deleted(let object): object
        case .unreadable: nil
        }
    }

    var name: ObjectName {
        switch self {
        case .changed(let object), .deleted(let object): object.name
        case .unreadable(let name): name
        }
    }
}

extension Snapshot {
    mutating func take(_ change: Change<Object>) {
        switch change {
        case .changed(let object): objects[object.metadata.uid] = object
        case .deleted(let object): objects[object.metadata.uid] = nil
        case .unreadable: break
        }
    }
}

/// One line of a watch.
private enum WatchEvent<Object: KubernetesObject>: Decodable {
    /// And the resourceVersion that is reached with it.
    case change(Change<Object>, String)
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
        let type = try container.decode(String.self, forKey: .type)
        switch type {
        case "ADDED", "MODIFIED", "DELETED":
            switch try container.decode(Item<Object>.self, forKey: .object) {
            case .object(let object):
                self = .change(type == "DELETED" ? .deleted(object) : .changed(object), object.metadata.resourceVersion)
            case .unread(let unread):
                guard let version = unread.resourceVersion else {
                    throw DecodingError.dataCorruptedError(forKey: .object, in: container, debugDescription: unread.why)
                }
                self = .change(.unreadable(unread.name), version)
            }
        case "BOOKMARK":
            self = .bookmark(try container.decode(Bookmark.self, forKey: .object).metadata.resourceVersion)
        default: self = .failed
        }
    }
}
