import FoundationEssentials
import Kubernetes

/// What is kept of a workload that can't bear the mark of being stopped: that of a custom resource, whose scale is
/// changed elsewhere, and that of a pod, which is deleted. A ConfigMap beside it, written before it is stopped and
/// deleted when it was started again.
struct StoppedRecord: KubernetesObject, Equatable {
    static let resource = APIResource.configMaps
    /// By which records are listed.
    static let label = "\(Marks.kind)=\(Marks.Kind.stopped)"
    private static let key = "workload"

    /// What the record says, as JSON text under one key.
    private struct Content: Codable {
        var apiVersion: String
        var kind: String
        var plural: String
        var name: String
        var uid: String
        var claims: [String]
        var scale: Int
        var patch: JSON?
        var inverse: JSON?
        var manifest: JSON?
    }

    var metadata: ObjectMeta
    var data: [String: String]?

    static func == (left: StoppedRecord, right: StoppedRecord) -> Bool {
        left.metadata.uid == right.metadata.uid && left.data == right.data
    }

    private var content: Content? {
        guard metadata.labels?[Marks.kind] == Marks.Kind.stopped, let text = data?[Self.key] else { return nil }
        do {
            return try JSONDecoder().decode(Content.self, from: Data(text.utf8))
        } catch {
            return nil
        }
    }

    /// The scale that the workload had.
    var scale: Int { content?.scale ?? 0 }

    /// The workload that the record is of, as it was; nil where it can't be read.
    var workload: Workload? {
        guard let content else { return nil }
        let parts = content.apiVersion.split(separator: "/").map(String.init)
        let brake: Workload.Brake =
            if let manifest = content.manifest {
                .removal(manifest: manifest)
            } else if let patch = content.patch, let inverse = content.inverse {
                .pause(patch: patch, inverse: inverse)
            } else {
                .scale
            }
        return Workload(
            resource: APIResource(
                group: parts.count > 1 ? parts[0] : "",
                version: parts.last ?? "",
                kind: content.kind,
                plural: content.plural
            ),
            metadata: ObjectMeta(
                name: content.name,
                namespace: metadata.namespace,
                uid: content.uid,
                resourceVersion: metadata.resourceVersion
            ),
            brake: brake,
            replicas: 0,
            claimNames: Set(content.claims),
            record: self
        )
    }

    /// What to keep of a workload before it is stopped.
    static func manifest(of workload: Workload) throws -> JSON {
        var content = Content(
            apiVersion: workload.resource.apiVersion,
            kind: workload.kind,
            plural: workload.resource.plural,
            name: workload.metadata.name,
            uid: workload.metadata.uid,
            claims: workload.claimNames.sorted(),
            scale: workload.replicas
        )
        switch workload.brake {
        case .pause(let patch, let inverse): (content.patch, content.inverse) = (patch, inverse)
        case .removal(let manifest): content.manifest = manifest
        default: break
        }
        let text = String(decoding: try JSONEncoder().encode(content), as: UTF8.self)
        return [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": [
                "name": .string(Marks.recordName(of: workload.metadata.uid)),
                "namespace": workload.metadata.namespace.map(JSON.string) ?? .null,
                "labels": .object([Marks.kind: .string(Marks.Kind.stopped)]),
            ],
            "data": [key: .string(text)],
        ]
    }
}

extension Client {
    /// The workloads of which something is kept, as they are now.
    ///
    /// Where records may not be listed there are none: whoever writes them may list them.
    func recorded(in selection: Selection) async throws -> [Workload] {
        let records: [StoppedRecord]
        do {
            records = try await list(StoppedRecord.self, in: selection, labels: StoppedRecord.label)
        } catch let error as APIError where error.reason == .forbidden {
            return []
        }
        var workloads: [Workload] = []
        for workload in records.compactMap(\.workload) {
            // Of what is gone the record is to be removed.
            workloads.append(try await currentOfRecorded(workload) ?? workload)
        }
        return workloads
    }

    /// Reads a workload of which something is kept, or is going to be.
    func currentOfRecorded(_ workload: Workload) async throws -> Workload? {
        let name = ObjectName(Marks.recordName(of: workload.metadata.uid), in: workload.name.namespace)
        let found = try await find(StoppedRecord.self, name)
        let record = found?.workload == nil ? nil : found
        var now: Workload? =
            switch workload.brake {
            case .removal: try await currentOfRemoved(workload, isRecorded: record != nil)
            default: try await currentCustomResource(workload)
            }
        now?.record = record
        return now
    }

    /// Writes down what a workload is, and then stops it.
    func stopRecorded(_ workload: Workload) async throws -> Workload {
        var workload = workload
        if workload.record?.scale != workload.replicas {
            let manifest = try StoppedRecord.manifest(of: workload)
            let name = ObjectName(Marks.recordName(of: workload.metadata.uid), in: workload.name.namespace)
            if let record = workload.record {
                // Somebody has given it another scale since.
                workload.record = try await patch(
                    StoppedRecord.self,
                    name,
                    .merge(onto: record.metadata, ["data": manifest["data"] ?? [:]])
                )
            } else {
                try await create(.configMaps, in: name.namespace, manifest)
                workload.record = try await get(StoppedRecord.self, name)
            }
        }
        switch workload.brake {
        case .scale: try await setScale(of: workload, to: 0)
        case .pause(let patch, _):
            try await self.patch(workload.resource, workload.name, .merge(onto: workload.metadata, patch))
        case .removal:
            // A StatefulSet goes without its pods and claims, and finds them again.
            let isSet = workload.resource == .statefulSets
            if isSet { try await freeClaims(of: workload) }
            try await delete(workload.resource, workload.name, uid: workload.metadata.uid, orphaning: isSet)
        case .replicas, .nodeSelector, .suspension: break
        }
        workload.replicas = 0
        return workload
    }

    /// Starts a workload again as its record says, and removes the record.
    func startRecorded(_ workload: Workload, _ record: StoppedRecord) async throws -> Workload {
        var workload = workload
        // Where somebody has started it in the meantime, the scale is theirs.
        if workload.replicas == 0 {
            switch workload.brake {
            case .scale: try await setScale(of: workload, to: record.scale)
            case .pause(_, let inverse):
                try await patch(workload.resource, workload.name, .merge(onto: workload.metadata, inverse))
            case .removal(let manifest): try await createAgain(workload, manifest)
            case .replicas, .nodeSelector, .suspension: break
            }
            workload.replicas = record.scale
        } else if workload.resource == .statefulSets, case .removal(let manifest) = workload.brake {
            try await keepClaims(of: workload, manifest)
        }
        try await delete(.configMaps, record.name, uid: record.metadata.uid)
        workload.record = nil
        return workload
    }

    /// Reads what is deleted and created again; where a record is kept of it, it may be gone.
    private func currentOfRemoved(_ workload: Workload, isRecorded: Bool) async throws -> Workload? {
        var now = workload
        let found = try await find(MetadataObject.self, of: workload.resource, workload.name)
        if let found, found.metadata.uid == workload.metadata.uid {
            now.metadata = found.metadata
            now.replicas = found.metadata.isTerminating ? 0 : max(1, workload.record?.scale ?? 1)
        } else {
            // Another one of its name was created by an earlier run, or by somebody.
            guard isRecorded else { return nil }
            now.replicas = 0
        }
        return now
    }

    /// Creates what was deleted, once that is gone.
    private func createAgain(_ workload: Workload, _ manifest: JSON) async throws {
        try await wait(
            for: MetadataObject.self,
            of: workload.resource,
            in: workload.name.namespace,
            named: workload.name.name,
            limit: Limits().stopping,
            what: "\(workload.title) to be gone"
        ) { $0.objects[workload.metadata.uid] == nil ? () : nil }
        do {
            try await create(workload.resource, in: workload.name.namespace, manifest)
        } catch let error as APIError where error.reason == .alreadyExists {
            // By an earlier run that was cut off, or by somebody.
        }
    }
}
