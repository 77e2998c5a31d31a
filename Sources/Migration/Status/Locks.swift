import FoundationEssentials
import Kubernetes

extension Survey {
    /// Returns the Leases of the classes in the scope.
    func locks(_ scope: MigrationStatus.Scope) -> [MigrationStatus.Lock] {
        leases.sorted { $0.name < $1.name }.compactMap { lease in
            guard lease.metadata.name.hasPrefix(Marks.lockPrefix) else { return nil }
            let lock = MigrationStatus.Lock(lease, now: now)
            let asked = [scope.sourceClass, scope.destinationClass].compactMap(\.self)
            return asked.isEmpty || asked.contains(lock.storageClass) ? lock : nil
        }
    }
}

extension Lease {
    /// The class that the Lease locks.
    fileprivate var storageClass: String { String(metadata.name.dropFirst(Marks.lockPrefix.count)) }

    /// Returns true where the lock belongs to a run between two classes. An older run names only its source class.
    func isOfRun(from source: String?, to destination: String?) -> Bool {
        guard metadata.name.hasPrefix(Marks.lockPrefix) else { return false }
        guard let classes else { return storageClass == source }
        return classes.source == source && classes.destination == destination
    }
}

extension MigrationStatus.Lock {
    init(_ lease: Lease, now: Date) {
        name = lease.name
        storageClass = lease.storageClass
        sourceClass = lease.classes?.source
        destinationClass = lease.classes?.destination
        holder = lease.spec.holderIdentity ?? ""
        since = lease.spec.acquireTime
        renewed = lease.spec.renewTime
        let last = lease.spec.renewTime.flatMap(Date.init(api:))
        age = last.map { .seconds(max(0, Int(min(now.timeIntervalSince($0), 1e9)))) }
        // Clocks may differ a little. A holder that is silent for three times the Lease's duration is hardly alive.
        let patience = Duration.seconds(3 * min(lease.spec.leaseDurationSeconds ?? 15, 3600))
        seemsAlive = !holder.isEmpty && age.map { $0 <= patience } ?? true
    }

    var leftover: Obstacle {
        Obstacle(
            namespace: name.namespace,
            resource: "Lease \(name)",
            message:
                "is held by \(holder), not renewed since \(renewed ?? "?"); the next run of the class takes it over"
        )
    }
}
