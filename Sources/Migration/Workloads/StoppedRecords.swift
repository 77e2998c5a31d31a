import Kubernetes

/// The workloads whose records volumes bear.
struct RecordedWorkloads: Sendable {
    var workloads: [Workload] = []
    /// The records that are left alone, each with the reason.
    var notes: [Obstacle] = []
}

/// Reads the records of stopped workloads from volumes.
struct StoppedRecords: Sendable {
    private let client: Client
    private let workloads: Workloads

    init(_ context: Context) {
        client = context.source
        workloads = Workloads(context)
    }

    init(_ client: Client) {
        self.client = client
        workloads = Workloads(client)
    }

    /// Finds the recorded workloads as they are now. A record without proof is left alone and named.
    ///
    /// - Throws: `CancellationError`.
    func read(on volumes: [PersistentVolume], in selection: Selection) async throws -> RecordedWorkloads {
        var recorded = RecordedWorkloads()
        var found: Set<String> = []
        for volume in volumes.sorted(by: { $0.metadata.name < $1.metadata.name }) {
            let namespaces = volume.namespacesOfClaim
            guard
                namespaces.isEmpty ? selection.includes(namespace: nil) : namespaces.contains(where: selection.includes)
            else { continue }
            for uid in volume.recordedUIDs {
                do {
                    let workload = try await workload(of: uid, recordedOn: volume)
                    guard found.insert(uid).inserted else { throw Refusal("another volume bears what is kept of it") }
                    // The record of a workload that is gone has to be removed.
                    recorded.workloads.append(try await workloads.current(workload, isRecorded: true) ?? workload)
                } catch let error where error is Refusal || error is APIError {
                    recorded.notes.append(volume.note(ofRecord: uid, "\(error)"))
                }
            }
        }
        return recorded
    }

    /// Returns the workload of a record, as it was, only where a run wrote the record, as far as that can be told.
    private func workload(of uid: String, recordedOn volume: PersistentVolume) async throws -> Workload {
        guard let record = StoppedRecord(of: uid, on: volume) else { throw Refusal("it can't be read") }
        guard volume.namespacesOfClaim.contains(record.namespace) else {
            throw Refusal("it is of the namespace \(record.namespace), and the volume's claim is not")
        }
        let served = try await served(record)
        var workload = Workload(
            resource: served.resource,
            metadata: ObjectMeta(name: record.name, namespace: record.namespace, uid: uid, resourceVersion: ""),
            brake: try record.brake(of: served),
            replicas: 0,
            claimNames: Set(record.claims)
        )
        (workload.bearer, workload.record) = (volume, record)
        return workload
    }

    /// Returns how the API server serves the kind of a recorded workload. The record's text gives no path.
    private func served(_ record: StoppedRecord) async throws -> ServedResource {
        if let removable = record.removable { return ServedResource(resource: removable, hasScale: false) }
        let parts = record.apiVersion.split(separator: "/")
        guard parts.count == 2, APIResource.isCustom(group: String(parts[0])) else {
            throw Refusal("no run keeps anything of a \(record.kind) (\(record.apiVersion))")
        }
        guard let served = try await client.served(record.kind, record.apiVersion), served.resource.namespaced else {
            throw Refusal("the API server has no \(record.kind) (\(record.apiVersion)) in namespaces")
        }
        return served
    }
}
