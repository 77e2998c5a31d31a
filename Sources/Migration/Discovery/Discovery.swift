public import Kubernetes

/// The result of the first step. Preflight and all other steps start from it.
public struct Discovery: Sendable {
    public internal(set) var units: [Unit] = []
    /// Workloads that an earlier run stopped and whose claims are all done. They only have to be started again.
    public internal(set) var forgotten: [Workload] = []
    /// Workloads that an earlier run stopped for claims that are not chosen now. They stay stopped.
    public internal(set) var leftStopped: [Workload] = []
    /// Claims of the class with our marks and without proof. They stay on the class.
    public internal(set) var passedOver: [Obstacle] = []
    /// Claims that were named in the options and cannot be migrated, each with the reason.
    public internal(set) var unmatched: [Obstacle] = []
    /// The amounts that the namespaces' quotas lack for units that never fit.
    var shortages: [Obstacle] = []
    /// The claims that fit into the quotas only after other units are done. The units are in such an order.
    var withoutRoom: Set<Transfer.ID> = []
    /// The number of claims of the class that each filter leaves out, by the filter's phrase.
    var leftOut: [String: Int] = [:]
    /// The number of claims that a transfer has copied before, and that are left alone.
    var copiedBefore = 0
    /// Notes for a person that stop nothing, such as volumes without a claim.
    public internal(set) var notes: [Obstacle] = []
    public internal(set) var classes: [StorageClass] = []
    /// The routes of the claims whose source volume only some nodes can mount.
    var routes: [Transfer.ID: Route] = [:]
    /// The namespaces in which units go one by one, because a quota has room for only one at a time.
    var oneByOne: Set<String> = []
    /// The objects besides claims that a transfer takes along.
    public internal(set) var objects: [PlannedObject] = []
    /// True where there is nothing to migrate, nothing to write and nothing to start again.
    public var isEmpty: Bool {
        units.isEmpty && forgotten.isEmpty && passedOver.isEmpty && !objects.contains(where: \.isWritten)
    }

    /// Makes a discovery that found nothing.
    public init() {}

    /// Returns the class of a name.
    public func storageClass(_ name: String) -> StorageClass? { classes.first { $0.metadata.name == name } }

    /// Returns the class of new volumes; nil where it does not exist, or no volumes are made.
    func classOfNewVolumes(_ options: Options) -> StorageClass? {
        options.pipeline.method == .copy ? storageClass(options.destinationClass) : nil
    }
}
