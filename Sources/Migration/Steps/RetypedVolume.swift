import Kubernetes

/// The new volume object of a retype.
enum RetypedVolume {
    /// The annotations that belong to the old object itself.
    private static let ofObject: Set<String> = [
        "pv.kubernetes.io/bound-by-controller", "pv.kubernetes.io/migrated-to",
        "kubectl.kubernetes.io/last-applied-configuration",
    ]

    /// Returns the manifest of a new object of a volume's storage: as the old one, except for its name, the class, the
    /// policy Retain, and its claimRef. That has the claim's name with a UID that no claim has, the old object's: nobody can
    /// bind the new object until the old claim is gone, and the claimRef is made a reservation. Finalizers are for
    /// whoever sets them to set again.
    ///
    /// - Parameters:
    ///   - old: The old object as the server has it.
    ///   - volume: The same, read.
    ///   - marks: The marks of the seal.
    /// - Throws: `Refusal` where the source cannot be told.
    static func manifest(
        of old: JSON,
        _ volume: PersistentVolume,
        for claim: ObjectName,
        class storageClass: String,
        provisioner: String?,
        marks: JSON
    ) throws(Refusal) -> JSON {
        var annotations = (old[path: ["metadata", "annotations"]]?.object ?? [:]).filter { key, _ in
            !ofObject.contains(key) && !Marks.onVolumes.contains(key) && !key.hasPrefix(Marks.stopped)
        }
        for (key, value) in marks.object ?? [:] { annotations[key] = value }
        annotations[Marks.retypedFrom] = .string(volume.metadata.uid)
        var spec = old["spec"] ?? [:]
        spec["storageClassName"] = .string(storageClass)
        spec["persistentVolumeReclaimPolicy"] = JSON(ReclaimPolicy.retain)
        spec["claimRef"] = [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace.map(JSON.string) ?? .null,
            "name": .string(claim.name), "uid": .string(volume.metadata.uid),
        ]
        if let translation = try CSITranslation(of: volume), translation.driver == provisioner {
            spec[translation.field] = nil
            spec["csi"] = translation.source
            if annotations[PersistentVolume.provisionedBy] != nil {
                annotations[PersistentVolume.provisionedBy] = .string(translation.driver)
            }
        }
        var metadata: JSON = ["name": .string(volume.nameOfRetyped), "annotations": .object(annotations)]
        metadata["labels"] = old[path: ["metadata", "labels"]]
        return ["apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec]
    }
}
