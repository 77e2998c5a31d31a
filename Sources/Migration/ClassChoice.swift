import Kubernetes

/// A StorageClass that is asked for, and the only place that compares an object's class with it.
///
/// A class selects: which claims are migrated, and whether a destination is of the class asked for. What an object is in a
/// migration only UIDs and seals tell, so that both classes of a run may be one.
struct ClassChoice: Sendable, Equatable {
    /// Nil for any.
    var name: String?

    func admits(_ storageClass: String?) -> Bool { name == nil || storageClass == name }
    func admits(_ claim: PersistentVolumeClaim) -> Bool { admits(claim.storageClassName) }
    func admits(_ volume: PersistentVolume) -> Bool { admits(volume.spec.storageClassName) }
    /// True of a seal whose source claim is of the class.
    func admits(_ seal: Seal) -> Bool { admits(seal.sourceClass) }
}

extension Options {
    /// Selects the sources.
    var sources: ClassChoice { ClassChoice(name: sourceClass) }
    /// Checks the destinations.
    var destinations: ClassChoice { ClassChoice(name: destinationClass) }
}
