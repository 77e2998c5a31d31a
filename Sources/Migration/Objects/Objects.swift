import Kubernetes

/// Brings objects that hold state to another namespace: Secrets, ConfigMaps and whatever `--include` names.
struct Objects: Sendable {
    private let source: Client
    private let destination: Client
    private let options: Options
    private let journal: Journal

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (options, journal) = (context.options, context.journal)
    }

    /// What was chosen, and why some of it cannot go.
    struct Found: Sendable {
        var planned: [PlannedObject] = []
        var refused: [Obstacle] = []
    }

    /// Finds the chosen objects, and what is to be done for each. It only reads.
    ///
    /// - Throws: `APIError`.
    func plan() async throws -> Found {
        var found = Found()
        // They go along with the claims.
        guard let handover = options.handover, options.pipeline.makesTargets,
            let namespace = options.selection.namespaces.first
        else { return found }
        for choice in handover.included {
            do {
                found.planned += try await plan(for: choice, in: namespace, handover, besides: found.planned)
            } catch let refusal as Refusal {
                found.refused.append(Obstacle(namespace: namespace, resource: "\(choice)", message: "\(refusal)"))
            }
        }
        found.planned.sort { ($0.resource.kind, $0.source) < ($1.resource.kind, $1.source) }
        found.refused += found.planned.compactMap(\.obstacle)
        return found
    }

    private func plan(
        for choice: ObjectChoice,
        in namespace: String,
        _ handover: Handover,
        besides known: [PlannedObject]
    ) async throws -> [PlannedObject] {
        let resource = try await resource(of: choice)
        var found: [PlannedObject] = []
        for object in try await objects(of: choice, resource, in: namespace) {
            let name = ObjectName(object.metadata.name, in: namespace)
            let isKnown = known.contains { $0.resource == resource && $0.source == name }
            let isExcluded = handover.excluded.contains { $0.isOf(resource) && ($0.name ?? name.name) == name.name }
            guard !isKnown, !isExcluded else { continue }
            found.append(try await plan(for: object, of: resource, choice, handover))
        }
        return found
    }

    private func plan(
        for object: StateObject,
        of resource: APIResource,
        _ choice: ObjectChoice,
        _ handover: Handover
    ) async throws -> PlannedObject {
        let target = ObjectName(object.metadata.name, in: handover.namespace)
        if let why = object.whatItIs(isNamed: choice.name != nil) {
            return PlannedObject(
                resource: resource,
                original: object.metadata,
                destination: target,
                action: .stay,
                reason: why
            )
        }
        return PlannedObject(
            object,
            of: resource,
            to: handover.namespace,
            existing: try await destination.find(StateObject.self, of: resource, target),
            overwrites: handover.overwrites
        )
    }

    private func objects(
        of choice: ObjectChoice,
        _ resource: APIResource,
        in namespace: String
    ) async throws -> [StateObject] {
        if let name = choice.name {
            guard let object = try await source.find(StateObject.self, of: resource, ObjectName(name, in: namespace))
            else { throw Refusal("is named by --include, and does not exist") }
            return [object]
        }
        return try await source.list(StateObject.self, of: resource, in: namespace, labels: options.selection.labels)
    }

    /// Finds the kind that a choice names, in the API's discovery documents.
    private func resource(of choice: ObjectChoice) async throws -> APIResource {
        let served = try await source.served(of: choice.group ?? "")
        guard let resource = served.first(where: choice.isOf) else {
            throw Refusal(
                "is named by --include, and the API server knows no such kind"
                    + (choice.group == nil ? " in its core group; name another one's with its group: PLURAL.GROUP" : "")
            )
        }
        guard resource.namespaced else { throw Refusal("is named by --include, and is of no namespace") }
        // A tenant could have bound himself to a role of his namespace.
        guard resource.group != "rbac.authorization.k8s.io" else {
            throw Refusal("is named by --include, and rights of one namespace are not brought to another")
        }
        let others: [APIResource] = [.claims, .pods, .events]
        guard
            !(others + Workload.ownKinds).contains(where: { $0.plural == resource.plural && $0.group == resource.group }
            )
        else {
            throw Refusal(
                "is named by --include, which is for objects that hold state: claims are chosen with --pvc, and workloads are "
                    + "for whoever deploys them"
            )
        }
        return resource
    }

    /// Returns why the other namespace would not take what is planned: the answers of dry runs.
    func hindrances(of planned: [PlannedObject]) async throws -> [Obstacle] {
        try await planned.sideBySide { object in
            await Result.of { try await hindrance(of: object) }
        }.compactMap { try $0.get() }
    }

    private func hindrance(of object: PlannedObject) async throws -> Obstacle? {
        do {
            try await carry(object, dryRun: true)
            return nil
        } catch let error as APIError
            where error.reason == .notFound && options.handover?.createsNamespace == true
        {
            return nil
        } catch let error as APIError {
            return Obstacle(
                namespace: object.destination.namespace,
                resource: "\(object.resource.kind) \(object.destination.name)",
                message: "cannot be \(object.action == .create ? "made" : "changed"): \(error.message)"
            )
        }
    }

    /// Writes what is planned, in the other namespace.
    ///
    /// - Returns: What could not be written.
    func carry(_ planned: [PlannedObject], where isChosen: (PlannedObject) -> Bool) async -> [String] {
        var failures = planned.compactMap(\.obstacle).map { "\($0.resource) \($0.message)" }
        guard failures.isEmpty else { return failures }
        for object in planned where isChosen(object) {
            do { try await carry(object) } catch {
                journal.error(object.title, "could not be made: \(error)")
                failures.append("\(object.title) could not be made: \(error)")
            }
        }
        return failures
    }

    private func carry(_ object: PlannedObject, dryRun: Bool = false) async throws {
        guard let manifest = object.manifest else { return }
        switch object.action {
        case .create:
            try await destination.create(object.resource, in: object.destination.namespace, manifest, dryRun: dryRun)
            if !dryRun { journal.info(object.title, "created") }
        case .overwrite:
            guard let patch = object.patch, let existing = object.existing else { return }
            let merge = Patch.merge(onto: existing, patch)
            try await destination.patch(object.resource, object.destination, merge, dryRun: dryRun)
            if !dryRun { journal.info(object.title, "overwritten: \(object.details ?? "")") }
        case .leave, .conflict, .stay: return
        }
    }
}

extension Discovery {
    /// Adds the objects that go along, and notes on those that stay.
    mutating func add(_ found: Objects.Found) {
        objects = found.planned
        unmatched += found.refused
        let staying = Dictionary(grouping: found.planned.filter { $0.action == .stay }) {
            Obstacle(
                namespace: $0.source.namespace,
                resource: $0.resource.kind,
                message: "stays where it is: \($0.reason ?? "")"
            )
        }
        notes += staying.sorted { ($0.key.resource, $0.key.message) < ($1.key.resource, $1.key.message) }.map {
            var note = $0.key
            note.resource += " \($0.value.map(\.source.name).joined(separator: ", "))"
            return note
        }
    }
}

extension PlannedObject {
    /// The obstacle of an object that is another one in the other namespace; nil for any other.
    var obstacle: Obstacle? {
        guard action == .conflict else { return nil }
        let further = differing.count > 10 ? " and \(differing.count - 10) more" : ""
        let shown = differing.prefix(10).joined(separator: ", ") + further
        return Obstacle(
            namespace: destination.namespace,
            resource: "\(resource.kind) \(destination.name)",
            message:
                "exists already, and differs from that of \(source.namespace ?? "?") in \(shown): delete it, leave it out "
                + "with --exclude \(resource.kind)/\(destination.name), or give --overwrite"
        )
    }
}
