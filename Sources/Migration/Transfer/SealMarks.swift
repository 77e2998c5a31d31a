public import Kubernetes

/// What a destination volume carries so that the migration can be finished without the source claim.
public struct Seal: Sendable, Equatable {
    /// The source claim as it was, less what the server sets anew.
    public var manifest: JSON
    /// The reclaim policy that the destination volume is to have at last.
    public var reclaimPolicy: ReclaimPolicy
    /// What the successor is to ask for, where that is another size than the source claim's.
    public var size: Quantity?
    /// True once a run has set about deleting the source claim.
    var isDeleting = false
    /// The workloads that were stopped for the claim, as messages name them: one has to be seen ready on the destination
    /// volume before the source volume may go.
    var users: [String] = []

    public var uid: String { manifest[path: ["metadata", "uid"]]?.string ?? "" }
    /// Nil where it can't be told any more.
    public var sourceVolume: String? { manifest[path: ["spec", "volumeName"]]?.string }
    public var sourceClass: String {
        let annotation = ["metadata", "annotations", PersistentVolumeClaim.betaClassAnnotation]
        return (manifest[path: ["spec", "storageClassName"]] ?? manifest[path: annotation])?.string ?? ""
    }
    var accessModes: [AccessMode] {
        (manifest[path: ["spec", "accessModes"]]?.array ?? []).compactMap(\.string).map(AccessMode.init(rawValue:))
    }
    /// Those that the claim has afterwards: its own, or the one that its owner asks for.
    var laterAccessModes: [AccessMode] {
        manifest[path: ["metadata", "annotations", Marks.accessMode]]?.string.map { [AccessMode(rawValue: $0)] }
            ?? accessModes
    }
    public var name: ObjectName {
        ObjectName(
            manifest[path: ["metadata", "name"]]?.string ?? "",
            in: manifest[path: ["metadata", "namespace"]]?.string
        )
    }
}

extension Seal {
    /// The most that a manifest may hold: annotations have 256 KiB together (API validation), and others' need room.
    static let limit = 192 << 10

    /// Reads the seal of a destination volume; nil where it bears none, or none that can be read.
    init?(of volume: PersistentVolume) {
        guard let text = volume.metadata.annotation(Marks.manifest) else { return nil }
        guard let manifest = JSON(parsingLeniently: text), manifest[path: ["metadata", "uid"]]?.string != nil else {
            return nil
        }
        self.manifest = manifest
        reclaimPolicy = volume.markedPolicy ?? .retain
        size = volume.metadata.annotation(Marks.size).flatMap { Quantity($0) }
        isDeleting = volume.metadata.annotation(Marks.deleting) == uid
        users = volume.metadata.annotation(Marks.users)?.split(separator: ",").map(String.init) ?? []
    }

    /// True where a volume takes the source volume's place: once a run has set about deleting the source claim, or nothing
    /// protects the source volume any more.
    ///
    /// As long as the claim lives its pods may have run since the copy, of which only the process knows that has copied; and
    /// where somebody else has deleted it, only the source volume is known to have all its data. Nor does it count beside
    /// another claim of the name that has a volume of its own.
    func counts(
        on volume: PersistentVolume,
        claim: PersistentVolumeClaim?,
        source: PersistentVolume?,
        isCopied: Bool
    ) -> Bool {
        if isCopied { return true }
        if let claim, claim.metadata.uid == uid, !claim.metadata.isTerminating { return false }
        if isDeleting { return true }
        if let claim, claim.metadata.uid != uid, claim.phase == .bound, claim.spec.volumeName != volume.metadata.name {
            return false
        }
        guard let source, !source.metadata.isTerminating else { return true }
        return source.metadata.annotation(Marks.sourceUID) != uid
    }

    /// What a claim bears as long as a snapshot or a clone of it is made: nobody would take it off its successor.
    static let passingFinalizers = [
        "snapshot.storage.kubernetes.io/pvc-as-source-protection",
        "provisioner.storage.kubernetes.io/cloning-protection",
    ]

    /// The manifest of a claim, less what the server and its controllers set anew.
    static func manifest(of claim: JSON) -> JSON {
        var manifest: JSON = ["apiVersion": "v1", "kind": "PersistentVolumeClaim"]
        manifest["spec"] = claim["spec"]
        for key in ["name", "namespace", "uid", "labels", "annotations", "ownerReferences", "finalizers"] {
            if let value = claim[path: ["metadata", key]] { manifest[path: ["metadata", key]] = value }
        }
        if let finalizers = manifest[path: ["metadata", "finalizers"]]?.array {
            manifest[path: ["metadata", "finalizers"]] = .array(
                finalizers.filter { !passingFinalizers.contains($0.string ?? "") }
            )
        }
        return manifest
    }
}
