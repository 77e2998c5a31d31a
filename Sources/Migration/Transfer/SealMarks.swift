public import Kubernetes

/// The marks of a destination volume that suffice to finish the migration without the source claim.
public struct Seal: Sendable, Equatable {
    /// The source claim's manifest, without the fields that the server sets anew.
    public var manifest: JSON
    /// The reclaim policy of the destination volume after its release.
    public var reclaimPolicy: ReclaimPolicy
    /// The successor's size, where it differs from the source claim's.
    public var size: Quantity?
    /// True once a run has begun to delete the source claim.
    var isDeleting = false
    /// The workloads that were stopped for the claim, as messages name them. One of them must be seen ready on the
    /// destination volume before the source volume may be released.
    var users: [String] = []
    /// What becomes of the source claim.
    var ending = Transfer.Ending.replace
    /// The name of the destination; nil for the source claim's.
    var target: ObjectName?

    public var uid: String { manifest[path: ["metadata", "uid"]]?.string ?? "" }
    /// The name of the source volume; nil where the manifest has none.
    public var sourceVolume: String? { manifest[path: ["spec", "volumeName"]]?.string }
    public var sourceClass: String {
        let annotation = ["metadata", "annotations", PersistentVolumeClaim.betaClassAnnotation]
        return (manifest[path: ["spec", "storageClassName"]] ?? manifest[path: annotation])?.string ?? ""
    }
    var accessModes: [AccessMode] {
        (manifest[path: ["spec", "accessModes"]]?.array ?? []).compactMap(\.string).map(AccessMode.init(rawValue:))
    }
    /// The access modes of the successor: the mode that the owner's annotation asks for, or else the source claim's.
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
    /// The name of the claim that is to be bound to the volume.
    var destination: ObjectName { target ?? name }

    var plan: TransferPlan { TransferPlan(destination: destination, ending: ending) }
}

extension PersistentVolume {
    /// True for a volume that a run made a destination volume for good, also where the seal cannot be read.
    var bearsSeal: Bool {
        metadata.annotation(Marks.manifest) != nil || metadata.annotation(Marks.retypedFrom) != nil
    }
}

extension PersistentVolume {
    /// What a transfer to another name has written on its source volume, and with the seal; nil without such a transfer.
    var markedPlan: TransferPlan? {
        guard let ending = metadata.annotation(Marks.ending).flatMap(Transfer.Ending.init),
            let name = metadata.annotation(Marks.target), let namespace = metadata.annotation(Marks.targetNamespace)
        else { return nil }
        return TransferPlan(destination: ObjectName(name, in: namespace), ending: ending)
    }
}

/// Where a claim goes, and what becomes of it.
struct TransferPlan: Equatable {
    var destination: ObjectName
    var ending: Transfer.Ending

    /// The marks that tell it on a volume.
    var marks: [String: JSON] {
        [
            Marks.ending: .string(ending.rawValue), Marks.target: .string(destination.name),
            Marks.targetNamespace: destination.namespace.map(JSON.string) ?? .null,
        ]
    }
}

extension Seal {
    /// The size limit of a manifest. All annotations together have 256 KiB (API validation), and others' need room.
    static let limit = 192 << 10

    /// Reads the seal of a destination volume; nil where it has none, or an unreadable one.
    init?(of volume: PersistentVolume) {
        guard let text = volume.metadata.annotation(Marks.manifest) else { return nil }
        guard let manifest = JSON(parsingLeniently: text), manifest[path: ["metadata", "uid"]]?.string != nil else {
            return nil
        }
        self.manifest = manifest
        if volume.metadata.annotation(Marks.ending) != nil {
            guard let plan = volume.markedPlan else { return nil }
            (ending, target) = (plan.ending, plan.destination)
        }
        reclaimPolicy = volume.markedPolicy ?? .retain
        size = volume.metadata.annotation(Marks.size).flatMap { Quantity($0) }
        isDeleting = volume.metadata.annotation(Marks.deleting) == uid
        users = volume.metadata.annotation(Marks.users)?.split(separator: ",").map(String.init) ?? []
    }

    /// Returns true where a volume takes the source volume's place: once a run has begun to delete the source claim, or
    /// nothing protects the source volume any more.
    ///
    /// While the claim lives, its pods may have run since the copy; only the process that copied knows. Where somebody
    /// else deleted the claim, only the source volume is known to have all data. A seal does not count either beside
    /// another claim of the name that has a volume of its own.
    func counts(
        on volume: PersistentVolume,
        claim: PersistentVolumeClaim?,
        source: PersistentVolume?,
        isCopied: Bool
    ) -> Bool {
        if isCopied { return true }
        // Somebody gave the volume that was to be moved to another claim of the name.
        if ending == .move, let claim, claim.metadata.uid != uid, volume.spec.claimRef?.uid == claim.metadata.uid {
            return false
        }
        // The source of a copy goes on.
        if let claim, claim.metadata.uid == uid, !claim.metadata.isTerminating { return ending == .copy && isDeleting }
        if isDeleting { return true }
        if let claim, claim.metadata.uid != uid, claim.phase == .bound, claim.spec.volumeName != volume.metadata.name {
            return false
        }
        // The storage of a retype is the same on both sides.
        if volume.metadata.annotation(Marks.retypedFrom) != nil { return true }
        guard let source, !source.metadata.isTerminating else { return true }
        return source.metadata.annotation(Marks.sourceUID) != uid
    }

    /// Returns true where another copy was sealed with this one, and given to its claim since: all of a unit are sealed before
    /// that, so the two are of one moment.
    func isOfOneMoment(as other: Seal) -> Bool {
        ending == .copy && other.ending == .copy && !isDeleting && other.isDeleting
            && name.namespace == other.name.namespace && destination.namespace == other.destination.namespace
            && !Set(users).isDisjoint(with: other.users)
    }

    /// The finalizers of a claim while a snapshot or clone of it is made. Nobody would remove them from its successor.
    static let passingFinalizers = [
        "snapshot.storage.kubernetes.io/pvc-as-source-protection",
        "provisioner.storage.kubernetes.io/cloning-protection",
    ]

    /// Returns the manifest of a claim, without the fields that the server and its controllers set anew.
    ///
    /// - Parameter isHandedOver: True where the volume stays as it is, whatever the claim's owner asks for.
    static func manifest(of claim: JSON, isHandedOver: Bool = false) -> JSON {
        var manifest: JSON = ["apiVersion": "v1", "kind": "PersistentVolumeClaim"]
        manifest["spec"] = claim["spec"]
        for key in ["name", "namespace", "uid", "labels", "annotations", "ownerReferences", "finalizers"] {
            if let value = claim[path: ["metadata", key]] { manifest[path: ["metadata", key]] = value }
        }
        if isHandedOver { manifest[path: ["metadata", "annotations", Marks.accessMode]] = nil }
        if let finalizers = manifest[path: ["metadata", "finalizers"]]?.array {
            manifest[path: ["metadata", "finalizers"]] = .array(
                finalizers.filter { !passingFinalizers.contains($0.string ?? "") }
            )
        }
        return manifest
    }
}
