import Kubernetes

/// The Lease that keeps a second run from a class that one migrates from or to (coordination.k8s.io/v1).
///
/// A holder renews it every 5 s. Whoever finds it held looks on for as long as a lease lasts: if it is renewed in that
/// time, its holder lives. So no two clocks have to agree.
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

    /// The classes of the run that holds it, or held it; nil where an older run did, which locked its source class alone.
    var classes: (source: String, destination: String)? {
        let parts = (metadata.annotation(Marks.classes) ?? "").split(separator: "/").map(String.init)
        return parts.count == 2 ? (parts[0], parts[1]) : nil
    }
}

/// A lock that this run holds.
struct HeldLock: Sendable {
    var lock: ClassLock
    /// When the renewal was asked for that is known to have succeeded.
    var renewed: Duration
}

/// The lock of a class, as a run takes it.
struct ClassLock: Sendable, Identifiable {
    var cluster: ClusterEnd
    var storageClass: String
    /// How others see who holds it.
    var identity: String
    /// What the run's classes are, as its Lease says it.
    var classes: String

    var name: ObjectName {
        ObjectName(String((Marks.lockPrefix + storageClass).prefix(253)), in: Migrator.lockNamespace)
    }
    var title: String { "Lease \(name)" }
    /// What tells it from the run's others.
    var id: String { "\(cluster.id) \(name)" }
    var client: Client { cluster.client }
}

extension Options {
    /// The locks of a run: one for each of its classes in a cluster, and in an order that all runs keep, so that of two runs one
    /// always has all that both need.
    func locks(as identity: String, in cluster: ClusterEnd) -> [ClassLock] {
        Set([sourceClass, destinationClass]).sorted().map {
            ClassLock(
                cluster: cluster,
                storageClass: $0,
                identity: identity,
                classes: "\(wayThere.source)/\(wayThere.destination)"
            )
        }
    }
}
