import Kubernetes

/// Checks that the pods of units find a node with their new volumes.
struct NodeCheck: Sendable {
    private let options: Options
    private let findings: Findings
    private let nodes: Nodes

    init(_ context: Context) {
        (options, findings) = (context.options, context.findings)
        nodes = Nodes(context)
    }

    /// Adds an obstacle to each unit with a pod that could run nowhere with new volumes, as far as that is known before
    /// they are made. Volumes of an earlier run do not count: one at the wrong place is removed in the unit's turn.
    func nameMisplacements(of discovery: inout Discovery, in inventory: Inventory) async throws {
        guard !options.pipeline.retypes, options.hasClasses else { return }
        let storageClass = discovery.classOfNewVolumes(options)
        func destination(of state: ClaimState) -> DestinationSites.Destination {
            guard let volume = state.destination else { return state.staging == nil ? .new : .any }
            return volume.isKept ? .volume(volume) : .any
        }
        let bound = discovery.units.indices.filter {
            let unit = discovery.units[$0]
            return !unit.claims.contains(where: \.isPastReturn) && unit.isBound(to: storageClass, destination)
        }
        guard !bound.isEmpty else { return }
        // Where there are routes, the nodes were read just now.
        guard let sites = discovery.routes.isEmpty ? try await nodes.readSites() : try await nodes.sites() else {
            return
        }
        let place = DestinationSites(
            sites: sites,
            storageClass: storageClass,
            volumes: inventory.volumes.values.filter(options.destinations.admits)
        )
        for index in bound {
            guard let found = discovery.units[index].misplacement(in: place, destination) else { continue }
            discovery.units[index].obstacles.append(
                Obstacle(
                    namespace: discovery.units[index].claims.first?.name.namespace,
                    resource: found.pod.title,
                    message: found.inWords(storageClass)
                )
            )
        }
    }

    /// Checks that each pod of a unit finds a node with its new volumes, as far as they are made. Where one does not,
    /// the staging claims whose volumes are at the wrong place are not kept for the next run.
    ///
    /// - Parameter isStopped: True where the workload waits meanwhile. Nodes are not listed anew then.
    func check(_ progress: inout Progress, isStopped: Bool) async throws {
        // The storage of a retype stays where it is, and other pods use that of a transfer.
        guard !options.pipeline.retypes, options.hasClasses else { return }
        let unit = progress.unit
        let storageClass = findings.all.destinationClass
        func destination(of state: ClaimState) -> DestinationSites.Destination {
            state.destination.map { .volume($0) } ?? .new
        }
        guard !unit.claims.contains(where: \.isPastReturn) else { return }
        let isBound = unit.isBound(to: storageClass, destination)
        // Volumes that are made after the stop may be bound to nodes too.
        guard isBound || unit.claims.contains(where: { $0.destination == nil }) else { return }
        let known = isBound && !isStopped ? try await nodes.readSites() : try await nodes.sites()
        guard let known else { return }
        let place = DestinationSites(sites: known, storageClass: storageClass)
        guard let found = unit.misplacement(in: place, destination) else { return }
        progress.misplaced = found.claims ?? []
        throw Failure(place: found.pod.title, reason: found.inWords(storageClass))
    }
}

/// Runs the check before passes of hours. Pipelines without passes run it before the workloads stop.
///
/// - Before: the staging claims exist.
/// - After: nothing.
/// - Safe to repeat because: it only reads.
/// - Undone by: nothing.
struct PlacementCheck: UnitAction {
    private let nodes: NodeCheck

    init(_ context: Context) { nodes = NodeCheck(context) }

    func perform(_ progress: inout Progress) async throws {
        try await nodes.check(&progress, isStopped: !progress.unit.isRunning)
    }
}

extension Unit {
    /// Returns true where some volume of its pods cannot be mounted on every node.
    fileprivate func isBound(
        to storageClass: StorageClass?,
        _ destination: (ClaimState) -> DestinationSites.Destination
    ) -> Bool {
        guard !pods.isEmpty else { return false }
        let isLimited =
            storageClass?.allowedTopologies?.isEmpty == false
            || storageClass?.provisioner == StorageClass.noProvisioner
        return pods.contains { $0.others.values.contains { $0.spec.nodeAffinity != nil } }
            || claims.contains { state in
                switch destination(state) {
                case .volume(let volume): volume.spec.nodeAffinity != nil
                case .new: isLimited
                case .any: false
                }
            }
    }
}
