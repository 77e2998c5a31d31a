import Synchronization

/// One watch, and those who listen to it.
final class Feed<Object: KubernetesObject>: Sendable {
    enum News: Sendable {
        case change(Change<Object>)
        /// The watch has lost its place: what comes next is not known of.
        case lost
        /// It could not be opened.
        case failed
    }

    /// Somebody who waits for changes of one object, or of some in a namespace.
    struct Listener: Sendable {
        fileprivate let number: Int
        fileprivate let namespace: String?
        fileprivate let name: String?
        fileprivate let isMeant: @Sendable (Object) -> Bool
        fileprivate let news: AsyncStream<News>
        fileprivate let inbox: AsyncStream<News>.Continuation
        fileprivate let feed: Feed

        fileprivate func concerns(_ news: News) -> Bool {
            guard case .change(let change) = news else { return true }
            return (name == nil || name == change.name.name)
                && (namespace == nil || namespace == change.name.namespace) && change.object.map(isMeant) != false
        }

        /// Makes sure that every change after a version is heard: starts the watch where it does not run.
        ///
        /// - Returns: false where it has begun later; read anew then.
        func hears(allAfter version: Version) -> Bool { feed.watches(from: version) }

        /// The next news, or nil at the end of the time.
        func next(until end: Duration, _ time: TimeSource) async throws -> News? {
            let next = await withTaskGroup(of: News?.self) { group in
                group.addTask { await news.first { _ in true } }
                group.addTask {
                    do { try await time.sleep(end) } catch { return nil }
                    return nil
                }
                defer { group.cancelAll() }
                return await group.next() ?? nil
            }
            try Task.checkCancellation()
            return next
        }

        func end() { feed.state.withLock { $0.listeners[number] = nil } }
    }

    private struct State {
        /// Where the watch that runs has begun; nil where none runs.
        var start: Version?
        var listeners: [Int: Listener] = [:]
        var nextNumber = 0
    }

    private let resource: APIResource
    private let namespace: String?
    private let field: String?
    private let client: Client
    private let starts: AsyncStream<@Sendable () async -> Void>.Continuation
    private let state = Mutex(State())

    init(
        _ resource: APIResource,
        in namespace: String?,
        field: String?,
        _ client: Client,
        _ starts: AsyncStream<@Sendable () async -> Void>.Continuation
    ) {
        (self.resource, self.namespace, self.field) = (resource, namespace, field)
        (self.client, self.starts) = (client, starts)
    }

    func listen(
        in namespace: String?,
        named name: String?,
        where isMeant: @escaping @Sendable (Object) -> Bool
    ) -> Listener {
        let (news, inbox) = AsyncStream<News>.makeStream()
        return state.withLock { state in
            state.nextNumber += 1
            let listener = Listener(
                number: state.nextNumber,
                namespace: namespace,
                name: name,
                isMeant: isMeant,
                news: news,
                inbox: inbox,
                feed: self
            )
            state.listeners[listener.number] = listener
            return listener
        }
    }

    private func watches(from version: Version) -> Bool {
        state.withLock { state in
            if let start = state.start { return start <= version }
            state.start = version
            starts.yield { await self.run(from: version.text) }
            return true
        }
    }

    /// Watches until nobody listens any more, or the place is lost.
    private func run(from start: String) async {
        var version = start
        var backoff = Backoff()
        do {
            while true {
                let reached = try await client.watch(
                    Object.self,
                    of: resource,
                    in: namespace,
                    field: field,
                    from: version
                ) {
                    tell(.change($0))
                    return true
                }
                guard let reached else { return stop(.lost) }
                let isIdle = state.withLock { state in
                    if state.listeners.isEmpty { state.start = nil }
                    return state.start == nil
                }
                if isIdle { return }
                // Without news and before its time: the connection breaks, so don't run against the wall.
                if reached == version {
                    try await client.time.sleep(client.time.now() + backoff.next())
                } else {
                    backoff = Backoff()
                }
                version = reached
            }
        } catch {
            stop(.failed)
        }
    }

    private func tell(_ news: News) {
        let listeners = state.withLock { $0.listeners.values.filter { $0.concerns(news) } }
        for listener in listeners { listener.inbox.yield(news) }
    }

    private func stop(_ last: News) {
        state.withLock { $0.start = nil }
        tell(last)
    }
}

/// A resourceVersion that can be compared with others of the same kind of object.
struct Version: Comparable {
    let text: String
    private let number: UInt64

    /// Nil where it is no number: then it tells nothing about what came first.
    init?(_ text: String?) {
        guard let text, let number = UInt64(text) else { return nil }
        (self.text, self.number) = (text, number)
    }

    static func < (one: Version, other: Version) -> Bool { one.number < other.number }
}
