import Synchronization

/// The watches and lists that all share who read side by side: one for each type of object, however many they are.
///
/// They hold no objects: each wait reads what it waits for, and takes from them what has changed since. Which change came
/// after what was read is told by resourceVersions, which are compared among objects of one kind only.
final class SharedReads: Sendable {
    /// True where one watch sees all namespaces; else there is one for each namespace.
    private let seesAll: Bool
    private let starts: AsyncStream<@Sendable () async -> Void>.Continuation
    private let shared = Mutex<[Key: any Sendable]>([:])

    private struct Key: Hashable {
        var path: String
        /// What is shared; two types may read the same objects.
        var type: ObjectIdentifier
    }

    fileprivate init(seesAll: Bool, _ starts: AsyncStream<@Sendable () async -> Void>.Continuation) {
        (self.seesAll, self.starts) = (seesAll, starts)
    }

    /// The watch of a kind, or of those of its objects that a field selector takes.
    func feed<Object: KubernetesObject>(
        of resource: APIResource,
        in namespace: String?,
        field: String? = nil,
        for client: Client
    ) throws(APIError) -> Feed<Object> {
        let scope = seesAll ? nil : namespace
        return theOne(of: try resource.path(namespace: scope) + (field.map { "?\($0)" } ?? "")) {
            Feed<Object>(resource, in: scope, field: field, client, starts)
        }
    }

    /// Lists all objects of a kind, as soon as the list that is being read for others has come; then once for all that
    /// have asked in the meantime. What is answered was read after it was asked for.
    func list<Object: KubernetesObject>(
        of resource: APIResource,
        in namespace: String?,
        for client: Client
    ) async throws -> List<Object> {
        var client = client
        client.sharedReads = nil
        let reader = client
        let list = theOne(of: try resource.path(namespace: namespace)) {
            SharedList<Object>(starts) { try await reader.listPages(Object.self, of: resource, in: namespace) }
        }
        return try await list.read()
    }

    private func theOne<Shared: Sendable>(of path: String, _ make: () -> Shared) -> Shared {
        shared.withLock { shared in
            let key = Key(path: path, type: ObjectIdentifier(Shared.self))
            if let one = shared[key] as? Shared { return one }
            let one = make()
            shared[key] = one
            return one
        }
    }
}

extension Client {
    /// Does some work whose waits share their watches, and which reads each list once for all that ask at a time.
    ///
    /// - Parameter seesAll: true where one watch may see all namespaces; else each namespace has its own.
    public func sharingReads<Value>(
        ofAllNamespaces seesAll: Bool,
        _ work: (Client) async -> Value
    ) async -> Value {
        let (starts, continuation) = AsyncStream<@Sendable () async -> Void>.makeStream()
        var client = self
        client.sharedReads = SharedReads(seesAll: seesAll, continuation)
        let sharing = client
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await withDiscardingTaskGroup { reads in
                    for await read in starts { reads.addTask { await read() } }
                }
            }
            defer { group.cancelAll() }
            return await work(sharing)
        }
    }
}
