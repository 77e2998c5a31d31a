import Kubernetes

// The two volume objects of a retype are the same storage. Each bears our record of the other, and no tenant can write
// either.

extension PersistentVolume {
    /// The finalizers by which provisioners hold volumes that they will free. They take them off once they see Retain.
    static let provisionerFinalizers = [
        "external-provisioner.volume.kubernetes.io/finalizer", "kubernetes.io/pv-controller",
    ]

    /// The annotation in which the controllers note the provisioner.
    static let provisionedBy = "pv.kubernetes.io/provisioned-by"

    /// The name of the volume object that a retype makes of this one. The UID makes it unique, however often the storage
    /// is retyped.
    var nameOfRetyped: String { "retyped-\(metadata.uid)" }

    /// True while a provisioner may still take the volume for one that it is to free.
    var isHeldByProvisioner: Bool {
        metadata.finalizers?.contains(where: Self.provisionerFinalizers.contains) == true
    }

    /// Returns true where a retype made this volume object of an old one.
    func isRetyped(from old: PersistentVolume) -> Bool {
        metadata.annotation(Marks.retypedFrom) == old.metadata.uid
    }

    /// Returns true where both are the volume objects of one retype, as the records of both say.
    func isPaired(with other: PersistentVolume) -> Bool {
        func isPair(_ old: PersistentVolume, _ new: PersistentVolume) -> Bool {
            new.isRetyped(from: old) && old.metadata.annotation(Marks.retypedTo) == new.metadata.name
        }
        return isPair(self, other) || isPair(other, self)
    }
}

extension ClaimState {
    /// True where the destination volume is a new object of the source volume's storage, whatever is asked for now.
    var isRetyped: Bool { destination?.metadata.annotation(Marks.retypedFrom) != nil }

    /// The old volume object of a retype, while it exists.
    var oldVolume: PersistentVolume? {
        guard let source, destination?.isRetyped(from: source) == true else { return nil }
        return source
    }

    /// The reclaim policy that the new volume object of a retype is to have: Delete where both the volume and the class
    /// say so.
    var retypedPolicy: ReclaimPolicy {
        originalPolicy == .delete && transfer.policyOfClass == .delete ? .delete : .retain
    }
}
