public import Kubernetes

/// What there is to do: the first step's result, and all that preflight and the other steps start from.
public struct Discovery: Sendable {
    public internal(set) var units: [Unit] = []
    /// Workloads that an earlier run stopped and whose claims are all done: they only have to be started again.
    public internal(set) var forgotten: [Workload] = []
    /// Workloads that an earlier run stopped for claims that are not chosen now: they stay as they are.
    public internal(set) var leftStopped: [Workload] = []
    /// Claims of the class that call themselves ours, which nothing proves: they stay on it.
    public internal(set) var passedOver: [Obstacle] = []
    /// Claims that were asked for by name and can't be migrated, each with why.
    public internal(set) var unmatched: [Obstacle] = []
    /// What the namespaces' quotas lack for units that never fit.
    var shortages: [Obstacle] = []
    /// The claims that the quotas have room for only once other units are done: the units are in such an order.
    var withoutRoom: Set<Transfer.ID> = []
    /// How many claims of the class each filter leaves out, by its phrase.
    var leftOut: [String: Int] = [:]
    /// Things that a person should know and that stop nothing, such as volumes without a claim.
    public internal(set) var notes: [Obstacle] = []
    public internal(set) var classes: [StorageClass] = []
    /// How the data of claims gets across whose source volume not every node can mount.
    var routes: [Transfer.ID: Route] = [:]
    /// The namespaces in which units go one after the other, since a quota leaves no more than so much room at a time.
    var oneByOne: Set<String> = []
    /// True where there is nothing to migrate and nothing to start again.
    public var isEmpty: Bool { units.isEmpty && forgotten.isEmpty && passedOver.isEmpty }

    /// Nothing was found.
    public init() {}

    /// The class of a name.
    public func storageClass(_ name: String) -> StorageClass? { classes.first { $0.metadata.name == name } }

    /// The class that new volumes are made of; nil where there is none, or where volumes that were kept are gone back to.
    func classOfNewVolumes(_ options: Options) -> StorageClass? {
        options.pipeline.goesToKept ? nil : storageClass(options.destinationClass)
    }
}
