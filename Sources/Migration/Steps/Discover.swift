import Kubernetes

/// Lists volumes, claims, pods and workloads, recognises half-done runs, and builds the units. It only reads.
struct Discover: Sendable {
    private let source: Client
    private let destination: Client
    private let options: Options
    private let lists: SelectedObjects
    private let workloads: Workloads
    private let records: StoppedRecords
    private let usage: UsageSearch
    private let sizes: DestinationSizes
    private let manifests: ManifestSizes
    private let quotas: Quotas
    private let nodes: Nodes
    private let nodeCheck: NodeCheck
    private let objects: Objects

    init(_ context: Context) {
        (source, destination, options) = (context.source, context.destination, context.options)
        lists = SelectedObjects(context.source, context.options.selection)
        workloads = Workloads(context)
        records = StoppedRecords(context)
        usage = UsageSearch(context)
        sizes = DestinationSizes(context)
        manifests = ManifestSizes(context)
        quotas = Quotas(context)
        nodes = Nodes(context)
        nodeCheck = NodeCheck(context)
        objects = Objects(context)
    }

    /// - Throws: `APIError`.
    func discover() async throws -> Discovery {
        async let classes = destination.list(StorageClass.self)
        async let volumes = source.list(PersistentVolume.self)
        async let claims = lists.listReadable(PersistentVolumeClaim.self)
        async let labelled = lists.labelled()
        async let pods = lists.listReadable(Pod.self)
        async let workloads = self.workloads.all(lists)
        async let scalers = Scalers.read(from: lists)
        async let targets = targetClaims()
        async let objects = self.objects.plan()
        let recorded = try await records.read(on: try await volumes, in: options.selection)
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
        inventory.targets = try await targets
        var discovery = try await discover(in: inventory, classes: try await classes, scalers: try await scalers)
        discovery.notes += recorded.notes
        discovery.add(try await objects)
        return discovery
    }

    /// Lists the claims that have the names of destinations, or may take them.
    private func targetClaims() async throws -> [ObjectName: PersistentVolumeClaim] {
        guard let namespace = options.handover?.namespace else { return [:] }
        let claims = try await destination.listReadable(PersistentVolumeClaim.self, in: namespace)
        return Dictionary(claims.items.map { ($0.name, $0) }) { $1 }
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
        discovery.copiedBefore = found.copiedBefore
        var (states, obstacles) = (found.states, found.obstacles)

        let unread = inventory.consequencesOfUnreadable(for: states)
        obstacles.merge(unread.obstacles) { $0 + $1 }
        discovery.notes += unread.notes
        for (id, problem) in try await sizes.write(into: &states) { obstacles[id, default: []].append(problem) }
        for (id, problem) in try await manifests.oversized(states) { obstacles[id, default: []].append(problem) }
        for (id, problems) in Targets.obstacles(of: states, options, classes: classes) {
            obstacles[id, default: []] += problems
        }
        for (id, problems) in inventory.sharedStorage(of: &states) { obstacles[id, default: []] += problems }
        let retype = RetypeCheck(options: options, classes: classes)
        for (id, problems) in retype.obstacles(of: states) { obstacles[id, default: []] += problems }
        discovery.notes += retype.notes(of: states) + Targets.notes(of: states, options)
        if options.tree != nil {
            for state in states where obstacles[state.id] == nil {
                guard case .blocked(let why) = state.next else { continue }
                let obstacle = Obstacle(
                    namespace: state.name.namespace,
                    resource: state.title,
                    message: why.description
                )
                obstacles[state.id] = [obstacle]
            }
        }
        let usage = try await usage.find(of: states, in: inventory, scalers)
        obstacles.merge(usage.obstacles) { $0 + $1 }
        discovery.notes += usage.cuts
        let plan = try await quotas.plan(for: Unit.components(of: states, usage: usage, obstacles: obstacles))
        discovery.oneByOne = plan.namespaces
        (discovery.units, discovery.withoutRoom, discovery.shortages) = (plan.units, plan.later, plan.shortages)
        try await complete(&discovery, in: inventory, scalers)
        discovery.notes += inventory.unproven(besides: states, options) + inventory.dependents(of: states)
        discovery.tell(of: states, in: inventory, options)
        return discovery
    }

    /// Adds to the units what their steps need besides, and finds the workloads that only have to be started.
    private func complete(_ discovery: inout Discovery, in inventory: Inventory, _ scalers: Scalers) async throws {
        for index in discovery.units.indices {
            discovery.units[index].nameConsumers(in: inventory)
            discovery.units[index].namePods(in: inventory)
            try discovery.units[index].nameBearers()
            discovery.units[index].name(scalers)
            discovery.units[index].nameLimbo(in: inventory)
            discovery.notes += discovery.units[index].notesOfManagers
            discovery.units[index].obstacles += discovery.units[index].unstoppable(options)
            if options.tree == nil {
                discovery.units[index].obstacles += discovery.units[index].halfFilled(in: inventory)
            }
        }
        try await nodes.nameRoutes(of: &discovery, in: inventory)
        try await nodeCheck.nameMisplacements(of: &discovery, in: inventory)
        discovery.notes += discovery.units.flatMap(\.claims).compactMap {
            $0.claim?.noteOfManifest(options, keepsAttributes: $0.attributesClass != nil)
        }
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
