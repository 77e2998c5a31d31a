public import Kubernetes

/// Reads the objects that a status is derived from.
public struct StatusReader: Sendable {
    private let client: Client

    public init(_ client: Client) { self.client = client }

    /// Returns the traces of migrations in the cluster. It only reads.
    ///
    /// The status names the kinds that the caller may not list, except for volumes and claims.
    ///
    /// - Throws: `APIError`, `UnreadableSelector`.
    public func status(_ scope: MigrationStatus.Scope) async throws -> MigrationStatus {
        let selection = scope.selection
        let lists = SelectedObjects(client, selection)
        async let volumes = client.list(PersistentVolume.self)
        async let claims = lists.listReadable(PersistentVolumeClaim.self)
        async let labelled = lists.labelled()
        async let pods = permitted(Pod.self, in: selection.places, otherwise: "movers are not told of")
        async let workloads = permittedWorkloads(in: selection.places)
        async let leases = permitted(Lease.self, in: [Migrator.lockNamespace], otherwise: "locks are not told of")
        async let classes = permitted(StorageClass.self, in: [nil], otherwise: "that a class is gone is not told")
        let recorded = try await StoppedRecords(client).read(on: try await volumes, in: selection)
        let unreadable =
            try await claims.unreadable + (try await pods.unreadable) + (try await workloads.flatMap(\.unreadable))
        var inventory = Inventory(
            volumes: try await volumes,
            claims: try await claims.items,
            pods: try await pods.items,
            workloads: try await workloads.flatMap(\.workloads) + recorded.workloads,
            unreadable: unreadable
        )
        inventory.labelled = try await labelled
        let hidden = try await addTargets(to: &inventory)
        let refusals =
            hidden.map(Optional.some) + [
                try await pods.refusal, try await leases.refusal, try await classes.refusal,
            ] + (try await workloads.map(\.refusal))
        let survey = Survey(
            inventory: inventory,
            leases: try await leases.items,
            classes: try await classes.refusal == nil ? try await classes.items.map(\.metadata.name) : nil,
            unseen: refusals.compactMap(\.self)
                + (unreadable + (try await leases.unreadable) + (try await classes.unreadable)).map { Obstacle($0) },
            unbelieved: recorded.notes,
            now: client.time.timeOfDay
        )
        return MigrationStatus(survey, scope: scope)
    }

    /// Reads the claims of other namespaces that sealed volumes are for.
    ///
    /// - Returns: What could not be read.
    private func addTargets(to inventory: inout Inventory) async throws -> [Obstacle] {
        var hidden: [Obstacle] = []
        for volume in inventory.volumes.values.sorted(by: { $0.metadata.name < $1.metadata.name }) {
            guard let name = Seal(of: volume)?.target, inventory.claims[name] == nil else { continue }
            do {
                inventory.targets[name] = try await client.find(PersistentVolumeClaim.self, name)
            } catch let error as APIError {
                hidden.append(
                    Obstacle(
                        namespace: name.namespace,
                        resource: "PersistentVolumeClaim \(name)",
                        message: "can't be read, so how far its transfer is is not told: \(error)"
                    )
                )
            }
        }
        return hidden
    }

    private struct PermittedWorkloads: Sendable {
        var workloads: [Workload]
        var unreadable: [Unreadable]
        var refusal: Obstacle?
    }

    private func permittedWorkloads(in places: [String?]) async throws -> [PermittedWorkloads] {
        try await Workload.ownKinds.sideBySide { resource in
            await Result.of { () async throws -> PermittedWorkloads in
                let found = try await permitted(
                    WorkloadObject.self,
                    of: resource,
                    in: places,
                    otherwise: "stopped ones are not told of"
                )
                return PermittedWorkloads(
                    workloads: found.items.compactMap { Workload($0, of: resource) },
                    unreadable: found.unreadable,
                    refusal: found.refusal
                )
            }
        }.map { try $0.get() }
    }

    /// Lists what the caller may list; otherwise returns nothing and notes the reason.
    private func permitted<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource,
        in places: [String?],
        otherwise: String
    ) async throws -> Permitted<Object> {
        var permitted = Permitted<Object>(items: [])
        for namespace in places {
            do {
                let list = try await client.listReadable(type, of: resource, in: namespace)
                permitted.items += list.items
                permitted.unreadable += list.unreadable
            } catch let error as APIError where error.reason == .forbidden {
                permitted.refusal = Obstacle(
                    namespace: namespace,
                    resource: resource.plural,
                    message: "may not be listed, so \(otherwise): \(error.message)"
                )
            }
        }
        return permitted
    }
}

private struct Permitted<Object: KubernetesObject>: Sendable {
    var items: [Object]
    var unreadable: [Unreadable] = []
    var refusal: Obstacle?
}
