import Kubernetes

/// Waits for the objects of the other namespace that a person names, before anything is stopped: there the workloads are
/// somebody else's, and come when he brings them.
struct AwaitedObjects: Sendable {
    private let destination: Client
    private let options: Options
    private let journal: Journal
    private let limit: Duration

    init(_ context: Context) {
        (destination, options, journal) = (context.destination, context.options, context.journal)
        limit = context.limits.awaitedObjects
    }

    /// Returns the obstacles of kinds that the API server does not know.
    func obstacles() async throws -> [Obstacle] {
        var obstacles: [Obstacle] = []
        for choice in options.handover?.awaited ?? [] {
            do { _ = try await resource(of: choice) } catch let refusal as Refusal {
                obstacles.append(
                    Obstacle(namespace: options.handover?.namespace, resource: "\(choice)", message: "\(refusal)")
                )
            }
        }
        return obstacles
    }

    /// Returns the title of the first that is missing; nil where all are there.
    func missing() async throws -> String? {
        for choice in options.handover?.awaited ?? [] {
            let object = try await object(of: choice)
            if try await !isThere(object) { return object.title }
        }
        return nil
    }

    /// Waits until all of them are there.
    ///
    /// - Throws: `WaitTimeout`, `APIError`, or `Refusal` where the API server does not know a kind.
    func wait() async throws {
        let end = destination.time.now() + limit
        for choice in options.handover?.awaited ?? [] {
            let object = try await object(of: choice)
            if try await isThere(object) { continue }
            journal.info(object.title, "is not there yet: nothing is stopped before it is")
            try await destination.wait(
                for: MetadataObject.self,
                of: object.resource,
                in: object.name.namespace,
                named: object.name.name,
                limit: max(.milliseconds(1), end - destination.time.now()),
                what: "\(object.title) to exist"
            ) { $0.object(named: object.name.name).map { _ in } }
            journal.info(object.title, "is there")
        }
    }

    /// An object that is waited for.
    private struct Awaited: Sendable {
        var resource: APIResource
        var name: ObjectName
        var title: String { "\(resource.kind) \(name)" }
    }

    private func object(of choice: ObjectChoice) async throws -> Awaited {
        let name = ObjectName(choice.name ?? "", in: options.handover?.namespace)
        return Awaited(resource: try await resource(of: choice), name: name)
    }

    private func isThere(_ object: Awaited) async throws -> Bool {
        try await destination.find(MetadataObject.self, of: object.resource, object.name) != nil
    }

    private func resource(of choice: ObjectChoice) async throws -> APIResource {
        if let own = choice.ownWorkload { return own }
        guard let found = try await destination.served(of: choice.group ?? "").first(where: choice.isOf) else {
            throw Refusal("is named by --wait-for, and the API server knows no such kind")
        }
        guard found.namespaced else { throw Refusal("is named by --wait-for, and is of no namespace") }
        return found
    }
}

extension ObjectChoice {
    /// The kind of workloads that is named, with or without its group; nil for any other kind.
    var ownWorkload: APIResource? {
        Workload.ownKinds.first { resource in
            var choice = self
            choice.group = group ?? resource.group
            return choice.isOf(resource)
        }
    }
}
