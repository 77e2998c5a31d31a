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

    /// Waits until all of them are there.
    ///
    /// - Throws: `WaitTimeout`, `APIError`, or `Refusal` where the API server does not know a kind.
    func wait() async throws {
        guard let handover = options.handover else { return }
        let end = destination.time.now() + limit
        for choice in handover.awaited {
            guard let name = choice.name else { continue }
            let resource = try await resource(of: choice)
            let title = "\(resource.kind) \(ObjectName(name, in: handover.namespace))"
            if try await destination.find(MetadataObject.self, of: resource, ObjectName(name, in: handover.namespace))
                != nil
            {
                continue
            }
            journal.info(title, "is not there yet: nothing is stopped before it is")
            try await destination.wait(
                for: MetadataObject.self,
                of: resource,
                in: handover.namespace,
                named: name,
                limit: max(.milliseconds(1), end - destination.time.now()),
                what: "\(title) to exist"
            ) { $0.object(named: name).map { _ in } }
            journal.info(title, "is there")
        }
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
