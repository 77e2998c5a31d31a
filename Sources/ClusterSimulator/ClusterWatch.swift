import FoundationEssentials
import Kubernetes

/// A watch: what it is about, and how far its reader has come.
struct Watch: Sendable {
    let target: Target
    private let filter: ListFilter
    private let asTable: Bool
    private let bookmarks: Bool
    /// When the server ends it.
    let deadline: Duration
    private var version: Int
    private var nextBookmark: Duration
    /// Lines that are ready: the objects that were there at the start, an error.
    private var pending: [Data] = []
    private var isEnded = false
    private var isFirstRow = true
    /// Until when a version that is not reached yet is waited for.
    private var freshness: (version: Int, until: Duration)?

    /// How often a watch without events says how far it is.
    private static let bookmarkInterval: Duration = .seconds(60)

    init(_ target: Target, _ context: RequestContext, in cluster: Cluster) throws(Refusal) {
        let query = context.info.query
        self.target = target
        filter = try ListFilter(query, target.resource, name: target.name)
        asTable = context.wantsTable
        bookmarks = context.info.flag("allowWatchBookmarks")
        let timeout = query["timeoutSeconds"].flatMap { Int($0) } ?? 1800
        deadline = cluster.now + .seconds(timeout == 0 ? 1800 : timeout)
        nextBookmark = cluster.now + Self.bookmarkInterval
        version = cluster.resourceVersion
        let asked = query["resourceVersion"] ?? ""
        if context.info.flag("sendInitialEvents") {
            guard query["resourceVersionMatch"] == "NotOlderThan", bookmarks else {
                throw Refusal(
                    422,
                    "Invalid",
                    "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents "
                        + "requires setting resourceVersionMatch to NotOlderThan"
                )
            }
            addPresentObjects(cluster)
            pending.append(bookmark(cluster, endsInitialEvents: true))
            return
        }
        if asked.isEmpty || asked == "0" {
            addPresentObjects(cluster)
            return
        }
        guard let start = Int(asked) else {
            throw .badRequest(
                "Invalid value: \"\(asked)\": strconv.ParseUint: parsing \"\(asked)\": invalid syntax"
            )
        }
        version = start
        if start > cluster.resourceVersion {
            freshness = (start, cluster.now + .seconds(3))
        }
        let floor = cluster.history.floor(of: target.resource)
        if start < floor {
            pending.append(Self.error(.expired(start, floor)))
            isEnded = true
        }
    }

    private mutating func addPresentObjects(_ cluster: Cluster) {
        for object in cluster.storedObjects(target.resource, namespace: target.namespace)
        where filter.matches(object.json) { pending.append(line("ADDED", object, cluster)) }
    }

    /// The next moment at which the watch has something to say by itself.
    var nextMoment: Duration {
        min(bookmarks ? min(deadline, nextBookmark) : deadline, freshness?.until ?? deadline)
    }

    enum Step {
        case piece(Data)
        case wait
        case end
    }

    /// What comes next.
    mutating func next(in cluster: Cluster) -> Step {
        if !pending.isEmpty { return .piece(pending.removeFirst()) }
        if isEnded { return .end }
        if let freshness {
            if cluster.resourceVersion >= freshness.version {
                self.freshness = nil
            } else if cluster.now >= freshness.until, freshness.until <= deadline {
                isEnded = true
                return .piece(Self.error(.tooLarge(freshness.version, cluster.resourceVersion, prefix: "Timeout: ")))
            }
        }
        if version < cluster.resourceVersion {
            guard let changes = cluster.history.changes(of: target.resource, after: version) else {
                isEnded = true
                let floor = cluster.history.floor(of: target.resource)
                return .piece(Self.error(.expired(version, floor)))
            }
            for change in changes {
                version = change.object.resourceVersion
                if let line = line(for: change, cluster) {
                    nextBookmark = cluster.now + Self.bookmarkInterval
                    return .piece(line)
                }
            }
            version = cluster.resourceVersion
        }
        if cluster.now >= deadline {
            isEnded = true
            return bookmarks ? .piece(bookmark(cluster)) : .end
        }
        if bookmarks, cluster.now >= nextBookmark {
            nextBookmark = cluster.now + Self.bookmarkInterval
            return .piece(bookmark(cluster))
        }
        return .wait
    }

    /// A change as this watch sees it: an object that begins or ceases to match is added or deleted.
    private mutating func line(for change: Change, _ cluster: Cluster) -> Data? {
        let object = change.object
        if let namespace = target.namespace, object.key.namespace != namespace { return nil }
        if filter.isEmpty { return line(change.kind.rawValue, object, cluster) }
        let matched = change.previous.map { filter.matches($0.json) } ?? false
        let matches = change.kind != .deleted && filter.matches(object.json)
        switch (matched, matches) {
        case (false, false): return nil
        case (false, true): return line("ADDED", object, cluster)
        case (true, true): return line("MODIFIED", object, cluster)
        case (true, false):
            if change.kind == .deleted { return line("DELETED", object, cluster) }
            // The last state that matched, with the version of the change that ended it.
            var last = change.previous?.json ?? object.json
            last[path: ["metadata", "resourceVersion"]] = .string(String(object.resourceVersion))
            let gone = StoredObject(key: object.key, json: last, resourceVersion: object.resourceVersion)
            return line("DELETED", gone, cluster)
        }
    }

    private mutating func line(_ type: String, _ object: StoredObject, _ cluster: Cluster) -> Data {
        var line = Data("{\"type\":\"\(type)\",\"object\":".utf8)
        if asTable {
            var table = Table.table(of: [object.json], target.resource, version: object.resourceVersion, in: cluster)
            // Only the first event of a stream describes the columns.
            if !isFirstRow { table["columnDefinitions"] = nil }
            isFirstRow = false
            line.append(table.compactText)
        } else {
            line.append(object.fullText)
        }
        line.append(contentsOf: "}\n".utf8)
        return line
    }

    private func bookmark(_ cluster: Cluster, endsInitialEvents: Bool = false) -> Data {
        var object: JSON = [
            "kind": .string(target.resource.kind), "apiVersion": .string(target.resource.apiVersion),
            "metadata": ["resourceVersion": .string(String(cluster.resourceVersion)), "creationTimestamp": nil],
        ]
        if endsInitialEvents {
            object[path: ["metadata", "annotations", "k8s.io/initial-events-end"]] = "true"
        }
        return (["type": "BOOKMARK", "object": object] as JSON).compactText + Data("\n".utf8)
    }

    /// An error as the last line of a watch.
    static func error(_ refusal: Refusal) -> Data {
        (["type": "ERROR", "object": refusal.status] as JSON).compactText + Data("\n".utf8)
    }
}

extension Refusal {
    /// What a watch gets from a version whose changes are forgotten.
    static func expired(_ version: Int, _ floor: Int) -> Refusal {
        Refusal(410, "Expired", "too old resource version: \(version) (\(floor))")
    }
}

extension Refusal {
    /// What a version from the future gets.
    static func tooLarge(_ version: Int, _ current: Int, prefix: String = "") -> Refusal {
        Refusal(
            504,
            "Timeout",
            "\(prefix)Too large resource version: \(version), current: \(current)",
            details: [
                "causes": [["reason": "ResourceVersionTooLarge", "message": "Too large resource version"]],
                "retryAfterSeconds": 1,
            ],
            retryAfter: 1
        )
    }
}

/// What a streaming request opens.
enum OpenedStream: Sendable {
    case watch(Watch)
    case log(LogQuery)
    /// There is no stream: a refusal, or a request whose answer is whole.
    case answer(Response)
}

extension Cluster {
    /// Whether a request asks for a stream.
    static func isStreaming(_ request: Request) -> Bool {
        guard request.method == .get else { return false }
        let info = RequestInfo(request.target)
        return info.flag("watch") || (info.flag("follow") && info.parts.last == "log")
    }

    /// Begins a watch or a followed log.
    mutating func open(_ request: Request, as user: User) -> OpenedStream {
        var context = RequestContext(request, user: user)
        guard Self.isStreaming(request) else { return .answer(handle(request, as: user)) }
        do throws(Refusal) {
            context.user = try authenticate(request, as: user)
            guard let target = Target(context.info.parts, in: resources) else { throw notServed(context.info) }
            let verb = try Self.verb(.get, target, context.info)
            try authorize(context.user, verb, target)
            if verb == "watch" { return .watch(try Watch(target, context, in: self)) }
            guard let pod = get(target.key) else { throw .notFound(target.resource, target.key.name) }
            let query = try LogQuery(context.info.query, pod: pod, in: self)
            return query.isUnscheduled ? .answer(Response(status: 204)) : .log(query)
        } catch {
            return .answer(Response(error))
        }
    }
}
