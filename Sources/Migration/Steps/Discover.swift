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
}

extension Migrator {
    /// Lists volumes, claims, pods and workloads, recognises half-done runs, and builds the units.
    ///
    /// It only reads.
    ///
    /// - Throws: `APIError`.
    public func discover() async throws -> Discovery {
        let selection = options.selection
        async let classes = client.list(StorageClass.self)
        async let volumes = client.list(PersistentVolume.self)
        async let claims = client.listReadable(PersistentVolumeClaim.self, in: selection)
        async let labelled = client.labelled(selection)
        async let pods = client.listReadable(Pod.self, in: selection)
        async let workloads = client.workloads(in: selection)
        async let scalers = scalers()
        let recorded = try await client.recorded(on: try await volumes, in: selection)
        var inventory = Inventory(
            volumes: try await volumes,
            claims: try await claims.items,
            pods: try await pods.items,
            workloads: try await workloads.workloads + recorded.workloads,
            classes: try await classes,
            unreadable: try await claims.unreadable + (try await pods.unreadable) + (try await workloads.unreadable)
                + (try await scalers.unreadable)
        )
        inventory.labelled = try await labelled
        var discovery = try await discover(in: inventory, classes: try await classes, scalers: try await scalers)
        discovery.notes += recorded.notes
        return discovery
    }

    private func discover(
        in inventory: Inventory,
        classes: [StorageClass],
        scalers: Scalers
    ) async throws -> Discovery {
        var discovery = Discovery()
        discovery.classes = classes
        let found = Recognition(inventory, options)
        (discovery.notes, discovery.passedOver) = (found.notes, found.passedOver)
        var (states, obstacles) = (found.states, found.obstacles)

        let unread = inventory.consequencesOfUnreadable(for: states)
        obstacles.merge(unread.obstacles) { $0 + $1 }
        discovery.notes += unread.notes
        for (id, problem) in try await writeSizes(into: &states) { obstacles[id, default: []].append(problem) }
        for (id, problem) in try await oversized(states) { obstacles[id, default: []].append(problem) }
        for (id, problems) in inventory.sharedStorage(of: &states) { obstacles[id, default: []] += problems }
        let usage = try await usage(of: states, in: inventory, scalers)
        obstacles.merge(usage.obstacles) { $0 + $1 }
        discovery.notes += usage.cuts
        let plan = try await quotaPlan(for: Unit.components(of: states, usage: usage, obstacles: obstacles))
        discovery.oneByOne = plan.namespaces
        (discovery.units, discovery.withoutRoom, discovery.shortages) = (plan.units, plan.later, plan.shortages)
        try await complete(&discovery, in: inventory, scalers)
        discovery.notes += inventory.unproven(besides: states, options) + inventory.dependents(of: states)
        discovery.tell(of: states, in: inventory, options)
        return discovery
    }

    /// Adds to the units what their steps need to know besides, and finds the workloads that only have to be started.
    private func complete(_ discovery: inout Discovery, in inventory: Inventory, _ scalers: Scalers) async throws {
        for index in discovery.units.indices {
            discovery.units[index].nameConsumers(in: inventory)
            discovery.units[index].namePods(in: inventory)
            try discovery.units[index].nameBearers()
            discovery.units[index].name(scalers)
            discovery.notes += discovery.units[index].notesOfManagers
        }
        try await nameRoutes(of: &discovery, in: inventory)
        try await nameMisplacements(of: &discovery, in: inventory)
        discovery.notes += discovery.units.flatMap(\.claims).compactMap { $0.claim?.noteOfManifest(options) }
        let defaultClass = discovery.classes.first(where: \.isDefault)?.metadata.name
        discovery.notes += discovery.units.flatMap(\.workloads).compactMap {
            $0.noteOfTemplates(options, defaultClass: defaultClass)
        }
        let stopped = Set(discovery.units.flatMap(\.workloads).map(\.metadata.uid))
        discovery.forgotten =
            inventory.workloads.filter { workload in
                workload.isMarked && !stopped.contains(workload.metadata.uid) && inventory.isFinished(workload)
            } + inventory.unfinished
    }
}
