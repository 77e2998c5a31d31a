import FoundationEssentials
import Kubernetes

/// The record of a stopped workload that cannot bear a mark: a custom resource, whose scale is changed elsewhere, or a
/// workload that is deleted and created again.
///
/// A volume bears it as an annotation, from before the workload is stopped until it was started again. Tenants cannot
/// write volumes, so nobody can make a run create or change what he could not himself.
struct StoppedRecord: Codable, Sendable, Equatable {
    var apiVersion: String
    var kind: String
    var namespace: String
    var name: String
    var uid: String
    var claims: [String]
    /// The former scale of the workload.
    var scale: Int
    var patch: JSON?
    var inverse: JSON?
    var manifest: JSON?

    /// Makes the record of a workload before it is stopped.
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

    /// Reads a workload's record from a volume; nil where there is none of this UID.
    init?(of uid: String, on volume: PersistentVolume) {
        guard let text = volume.metadata.annotation(Marks.stopped + uid) else { return nil }
        do { self = try JSONDecoder().decode(Self.self, from: Data(text.utf8)) } catch { return nil }
        // The API has a scale as int32.
        guard self.uid == uid, (0...Int(Int32.max)).contains(scale) else { return nil }
    }

    /// Returns the annotation's value.
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

    /// Returns the way in which the workload was stopped.
    ///
    /// - Throws: `Refusal` where no run stops resources that are served like this.
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
    /// The UIDs of the workloads whose records the volume bears.
    var recordedUIDs: [String] {
        (metadata.annotations ?? [:]).keys.filter { $0.hasPrefix(Marks.stopped) }
            .map { String($0.dropFirst(Marks.stopped.count)) }.sorted()
    }

    /// The namespaces of the claim in its claimRef, and of the claim that it belongs to in a migration.
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

    /// The reason why its storage must not be freed yet; nil where it bears no record of a stopped workload.
    var holdOfRecords: String? {
        guard let uid = recordedUIDs.first else { return nil }
        return "the volume \(metadata.name) is kept, since it bears what is kept of a stopped workload (annotation "
            + "\(Marks.stopped)\(uid)): run again to start that, or start it yourself and remove the annotation"
    }
}
