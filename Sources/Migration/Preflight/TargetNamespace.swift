import Kubernetes

/// Checks the namespace of a transfer's destinations, and creates it.
struct TargetNamespace: Sendable {
    private let destination: Client
    private let options: Options
    private let journal: Journal

    init(_ context: Context) {
        (destination, options, journal) = (context.destination, context.options, context.journal)
    }

    /// Returns the obstacle of a namespace that does not exist and may not be created, or is being deleted.
    func obstacles() async throws -> [Obstacle] {
        // Nothing is made there while a transfer is only staged.
        guard let handover = options.handover, options.pipeline.makesTargets else { return [] }
        let name = handover.namespace
        let message: String
        do {
            let found = try await destination.find(MetadataObject.self, of: .namespaces, ObjectName(name, in: nil))
            if let found {
                guard found.metadata.isTerminating else { return [] }
                message = "is being deleted: wait until it is gone"
            } else if handover.createsNamespace {
                try await create(name, dryRun: true)
                return []
            } else {
                message = "does not exist: create it, or give --create-namespace"
            }
        } catch let error as APIError where error.reason == .forbidden {
            // A dry run of each claim tells whether the namespace exists.
            guard handover.createsNamespace else { return [] }
            message = "can't be looked at or created: \(error.message)"
        }
        return [Obstacle(namespace: name, resource: "Namespace \(name)", message: message)]
    }

    /// Creates the namespace, where that is asked for and it is missing.
    func create() async throws {
        guard let handover = options.handover, handover.createsNamespace else { return }
        let name = ObjectName(handover.namespace, in: nil)
        do {
            guard try await destination.find(MetadataObject.self, of: .namespaces, name) == nil else { return }
            try await create(handover.namespace, dryRun: false)
            journal.info("Namespace \(name)", "created")
        } catch let error as APIError where error.reason == .alreadyExists {
            // Somebody else has made it meanwhile.
        }
    }

    private func create(_ name: String, dryRun: Bool) async throws {
        let manifest: JSON = ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)]]
        try await destination.create(.namespaces, in: nil, manifest, dryRun: dryRun)
    }
}
