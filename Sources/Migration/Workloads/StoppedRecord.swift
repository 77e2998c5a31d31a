import FoundationEssentials
import Kubernetes

/// What is kept of a workload that can't bear the mark of being stopped: of a custom resource, whose scale is changed
/// elsewhere, and of what is deleted and created again.
///
/// A volume bears it as an annotation, written before the workload is stopped and removed when it was started again. Who
/// may write in a namespace can't write volumes, so nobody has a run create or change what he could not himself.
struct StoppedRecord: Codable, Sendable, Equatable {
    var apiVersion: String
    var kind: String
    var namespace: String
    var name: String
    var uid: String
    var claims: [String]
    /// The scale that the workload had.
    var scale: Int
    var patch: JSON?
    var inverse: JSON?
    var manifest: JSON?

    /// What to keep of a workload before it is stopped.
    init(of workload: Workload) {
        apiVersion = workload.resource.apiVersion
        kind = workload.kind
        namespace = workload.metadata.namespace ?? ""
        name = workload.metadata.name
        uid = workload.metadata.uid
        claims = workload.claimNames.sorted()
        scale = workload.replicas
        switch workload.brake {
        case .pause(let patch, let inverse): (self.patch, self.inverse) = (patch, inverse)
        case .removal(let manifest): self.manifest = manifest
        case .replicas, .nodeSelector, .suspension, .scale: break
        }
    }

    /// Reads what a volume bears of a workload; nil where that is nothing, or no record of this UID.
    init?(of uid: String, on volume: PersistentVolume) {
        guard let text = volume.metadata.annotation(Marks.stopped + uid) else { return nil }
        do { self = try JSONDecoder().decode(Self.self, from: Data(text.utf8)) } catch { return nil }
        // As a scale is an int32 to the API.
        guard self.uid == uid, (0...Int(Int32.max)).contains(scale) else { return nil }
    }

    /// The annotation's value.
    ///
    /// - Throws: `EncodingError`.
    func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// The kind, where it is one of Kubernetes' own that is deleted and created again.
    var removable: APIResource? {
        [.pods, .statefulSets].first { $0.kind == kind && $0.apiVersion == apiVersion }
    }

    /// How the workload was stopped.
    ///
    /// - Throws: `Refusal` where no run stops what is served so.
    func brake(of served: ServedResource) throws(Refusal) -> Workload.Brake {
        switch (manifest, patch, inverse) {
        case (let manifest?, nil, nil):
            guard removable == served.resource else { throw Refusal("no run deletes a \(kind) and creates it again") }
            guard manifest["apiVersion"]?.string == apiVersion, manifest["kind"]?.string == kind,
                manifest[path: ["metadata", "name"]]?.string == name,
                manifest[path: ["metadata", "namespace"]]?.string == namespace
            else { throw Refusal("its manifest is of another object than the \(kind) \(namespace)/\(name)") }
            return .removal(manifest: manifest)
        case (nil, let patch?, let inverse?)
        where served.resource.isCustom && patch.object != nil && inverse.object != nil:
            return .pause(patch: patch, inverse: inverse)
        case (nil, nil, nil) where served.resource.isCustom && served.hasScale: return .scale
        default: throw Refusal("no run stops a \(kind) as it says")
        }
    }
}

extension PersistentVolume {
    /// The UIDs of the workloads of which it bears something.
    var recordedUIDs: [String] {
        (metadata.annotations ?? [:]).keys.filter { $0.hasPrefix(Marks.stopped) }
            .map { String($0.dropFirst(Marks.stopped.count)) }.sorted()
    }

    /// The namespaces of the claim that it is bound to or reserved for, and of the one that it belongs to in a migration.
    var namespacesOfClaim: Set<String> {
        Set([spec.claimRef?.namespace, metadata.annotation(Marks.sourceNamespace)].compactMap(\.self))
    }

    func note(ofRecord uid: String, _ why: String) -> Obstacle {
        Obstacle(
            namespace: claim?.namespace,
            resource: title,
            message:
                "bears what is kept of a stopped workload (annotation \(Marks.stopped)\(uid)), and is left "
                + "alone: \(why). Where that can't be mended, start the workload yourself, and then: kubectl annotate pv "
                + "\(metadata.name) \(Marks.stopped)\(uid)-"
        )
    }

    /// Why its storage must not be freed yet; nil where nothing is kept on it of a stopped workload.
    var holdOfRecords: String? {
        guard let uid = recordedUIDs.first else { return nil }
        return "the volume \(metadata.name) is kept, since it bears what is kept of a stopped workload (annotation "
            + "\(Marks.stopped)\(uid)): run again to start that, or start it yourself and remove the annotation"
    }
}
