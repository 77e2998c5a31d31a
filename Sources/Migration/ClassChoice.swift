import Kubernetes

/// A requested StorageClass, and the only place that compares an object's class with it.
///
/// A class only selects: the claims to migrate, and the destinations of the requested class. UIDs and seals alone tell
/// the part of an object in a migration, so both classes of a run may be the same.
struct ClassChoice: Sendable, Equatable {
    /// The class; nil for any.
    var name: String?

    func admits(_ storageClass: String?) -> Bool { name == nil || storageClass == name }
    func admits(_ claim: PersistentVolumeClaim) -> Bool { admits(claim.storageClassName) }
    func admits(_ volume: PersistentVolume) -> Bool { admits(volume.spec.storageClassName) }
    /// Returns true where the seal's source claim is of the class.
    func admits(_ seal: Seal) -> Bool { admits(seal.sourceClass) }
}

extension Options {
    /// Selects the sources.
    var sources: ClassChoice { ClassChoice(name: hasClasses ? sourceClass : nil) }
    /// Checks the destinations.
    var destinations: ClassChoice { ClassChoice(name: hasClasses ? destinationClass : nil) }
}
