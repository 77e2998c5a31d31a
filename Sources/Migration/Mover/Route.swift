import Kubernetes

/// How a claim's data gets from its source volume to its destination volume.
struct Route: Equatable {
    /// Where the pod runs that writes to the destination volume.
    var mover: Placement
    /// Where the pod runs that serves it the source volume, where no node can mount both; nil where the mover can.
    var source: Placement?
    /// The nodes that can mount the source volume, and those that can mount the destination volume, as far as that was
    /// looked at.
    var from: Set<String>?
    var to: Set<String>?

    /// Why the mover may not start; nil where nothing is known that keeps it from that.
    var obstacle: String? {
        if to == [] {
            return
                "no node is known that can run its pods and mount a new volume of theirs; unless one is added, the mover "
                + "does not start"
        }
        return from == []
            ? "no node is known that can mount its volume; unless one is added, the mover does not start" : nil
    }

    /// What a person is told of a copy over the network.
    var words: String? { detour.map { "\($0), so it is copied over the network" } }

    /// Why the data goes over the network; nil where it does not.
    var detour: String? {
        guard source != nil else { return nil }
        let (from, to) = ((from ?? []).inWords, (to ?? []).inWords)
        return "no node can mount both volumes (the source \(from), the destination \(to))"
    }
}

/// What decides a route besides the claim itself.
struct RouteSites: Sendable {
    /// The nodes at both ends; nil where they may not be listed: then nothing is known of what excludes what.
    var source: Sites?
    var destination: Sites?
    var destinationClass: StorageClass?
    /// All volumes, where the destination class only takes those that are there.
    var volumes: [PersistentVolume] = []
}

extension ClaimState {
    /// True where not every node can mount the source volume.
    var hasBoundSource: Bool {
        guard let source else { return false }
        return source.spec.nodeAffinity != nil || Placement(of: self).onlyThere
    }

    /// The node of the pods that mount the source volume, where no pod of another node can mount it meanwhile.
    private var nodeInUse: String? { source?.isAttachedToOneNode == true ? transfer.consumer?.nodeName : nil }

    /// Decides how the data gets across.
    ///
    /// - Parameter isInUse: true where the workload runs meanwhile.
    func route(in sites: RouteSites, isInUse: Bool = false) -> Route {
        let nodeInUse = isInUse ? nodeInUse : nil
        let plain = nodeInUse.map { Placement(node: $0, onlyThere: true) } ?? Placement(of: self)
        guard hasBoundSource || nodeInUse != nil, let source, let start = sites.source, let end = sites.destination
        else {
            return Route(mover: plain)
        }
        let from = start.of(source).intersection(plain.onlyThere ? [plain.node ?? ""] : start.all)
        let to = destinationNodes(in: sites, end)
        let both = from.intersection(to)
        // Where one of them can be nowhere, the scheduler says why.
        if both.isEmpty, !from.isEmpty, !to.isEmpty {
            var mover = Placement(consumer: transfer.consumer)
            // A volume that is there already does not move with its workload.
            if let consumer = transfer.consumer, end.of(consumer).isDisjoint(with: to) { mover.consumer = nil }
            if to.count == 1 { mover = Placement(node: to.first, onlyThere: true) }
            let source =
                from.count == 1 ? Placement(node: from.first, onlyThere: true) : Placement(node: plain.node)
            return Route(mover: mover, source: source, from: from, to: to)
        }
        // The only node that there is can't be another's choice: whatever keeps other pods away from it is tolerated.
        if both.count == 1 { return Route(mover: Placement(node: both.first, onlyThere: true), from: from, to: to) }
        // A volume that is there already does not move with its workload.
        let isReachable = transfer.consumer.map { !end.of($0).isDisjoint(with: both) } ?? true
        return Route(mover: isReachable ? plain : Placement(node: plain.node), from: from, to: to)
    }

    /// The nodes that the destination volume can be mounted on, or come to be.
    private func destinationNodes(in route: RouteSites, _ sites: Sites) -> Set<String> {
        if let destination = givenDestination ?? destination { return sites.of(destination) }
        var nodes = route.destinationClass.map(sites.of) ?? sites.all
        if let consumer = transfer.consumer { nodes.formIntersection(sites.of(consumer)) }
        if route.destinationClass?.provisioner == StorageClass.noProvisioner {
            let fitting = route.volumes.filter(canBeDestination)
            nodes.formIntersection(fitting.reduce(into: Set<String>()) { $0.formUnion(sites.of($1)) })
        }
        return nodes
    }

    /// True of a volume made by hand that the staging claim may be bound to.
    func canBeDestination(_ volume: PersistentVolume) -> Bool {
        guard volume.phase == .available, let size, let capacity = volume.spec.capacity?["storage"] else {
            return false
        }
        return capacity >= size && (volume.claim == nil || volume.claim == stagingName)
            && (volume.spec.volumeMode ?? .filesystem) == claim?.volumeMode
    }
}

extension ClaimState {
    /// True where a mover will run for the claim, as far as its own state allows it.
    var isToBeCopied: Bool { next.leadsToCopy }
}

extension StorageClass {
    /// The provisioner of classes whose volumes are made by hand.
    static let noProvisioner = "kubernetes.io/no-provisioner"
}
