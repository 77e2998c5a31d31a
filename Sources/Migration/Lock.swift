import Kubernetes

/// The Lease that keeps a second run from a class that one migrates from or to (coordination.k8s.io/v1).
///
/// A holder renews it every 5 s. A run that finds it held watches it for the duration of a lease. A renewal in that
/// time proves that the holder lives, so no two clocks have to agree.
struct Lease: KubernetesObject {
    static let resource = APIResource.leases

    struct Spec: Decodable {
        var holderIdentity: String?
        var acquireTime: String?
        var renewTime: String?
        var leaseDurationSeconds: Int?
    }
    var metadata: ObjectMeta
    var spec: Spec

    /// The classes of the run that holds or held the lock; nil for an older run, which locked only its source class.
    var classes: (source: String, destination: String)? {
        let parts = (metadata.annotation(Marks.classes) ?? "").split(separator: "/").map(String.init)
        return parts.count == 2 ? (parts[0], parts[1]) : nil
    }
}

/// A lock that this run holds.
struct HeldLock: Sendable {
    var lock: ClassLock
    /// The start of the last renewal that is known to have succeeded.
    var renewed: Duration
}

/// A lock of a class that a run takes.
struct ClassLock: Sendable, Identifiable {
    var cluster: ClusterEnd
    var storageClass: String
    /// The holder's identity, as others see it.
    var identity: String
    /// The run's classes, as the Lease names them.
    var classes: String

    var name: ObjectName {
        ObjectName(String((Marks.lockPrefix + storageClass).prefix(253)), in: Migrator.lockNamespace)
    }
    var title: String { "Lease \(name)" }
    /// The identity of the lock among the run's locks.
    var id: String { "\(cluster.id) \(name)" }
    var client: Client { cluster.client }
}

extension Options {
    /// Returns the locks of a run: one for each of some classes in a cluster. All runs take locks in the same order, so
    /// of two runs one always gets all that both need.
    func locks(of storageClasses: Set<String>, as identity: String, in cluster: ClusterEnd) -> [ClassLock] {
        storageClasses.sorted().map {
            ClassLock(
                cluster: cluster,
                storageClass: $0,
                identity: identity,
                classes: hasClasses ? "\(wayThere.source)/\(wayThere.destination)" : wayInWords
            )
        }
    }
}
