import Kubernetes

/// The way of a claim's data from its source volume to its destination volume.
struct Route: Equatable {
    /// The placement of the pod that writes to the destination volume.
    var mover: Placement
    /// The placement of the pod that serves it the source volume, where no node can mount both; nil where the mover
    /// mounts both.
    var source: Placement?
    /// The nodes that can mount the source volume, and those that can mount the destination volume, as far as they were
    /// read.
    var from: Set<String>?
    var to: Set<String>?

    /// The reason why the mover may not start; nil where none is known.
    var obstacle: String? {
        if to == [] {
            return
                "no node is known that can run its pods and mount a new volume of theirs; unless one is added, the mover "
                + "does not start"
        }
        return from == []
            ? "no node is known that can mount its volume; unless one is added, the mover does not start" : nil
    }

    /// The message about a copy over the network.
    var words: String? { detour.map { "\($0), so it is copied over the network" } }

    /// The reason why the data goes over the network; nil where it does not.
    var detour: String? {
        guard source != nil else { return nil }
        let (from, to) = ((from ?? []).inWords, (to ?? []).inWords)
        return "no node can mount both volumes (the source \(from), the destination \(to))"
    }
}

/// The facts besides the claim itself that decide a route.
struct RouteSites: Sendable {
    /// The nodes at both ends; nil where they may not be listed, and nothing is known of conflicts.
    var source: Sites?
    var destination: Sites?
    var destinationClass: StorageClass?
    /// All volumes, where the destination class only takes existing ones.
    var volumes: [PersistentVolume] = []
}

extension ClaimState {
    /// True where only some nodes can mount the source volume.
    var hasBoundSource: Bool {
        guard let source else { return false }
        return source.spec.nodeAffinity != nil || Placement(of: self).onlyThere
    }

    /// The node of the pods that mount the source volume, where no pod of another node can mount it meanwhile.
    private var nodeInUse: String? { source?.isAttachedToOneNode == true ? transfer.consumer?.nodeName : nil }

    /// Decides the route of the data.
    ///
    /// - Parameter isInUse: True where the workload runs meanwhile.
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
        // Where one of the volumes can be on no node, the scheduler says why.
        if both.isEmpty, !from.isEmpty, !to.isEmpty {
            var mover = Placement(consumer: transfer.consumer)
            // An existing volume does not move with its workload.
            if let consumer = transfer.consumer, end.of(consumer).isDisjoint(with: to) { mover.consumer = nil }
            if to.count == 1 { mover = Placement(node: to.first, onlyThere: true) }
            let source =
                from.count == 1 ? Placement(node: from.first, onlyThere: true) : Placement(node: plain.node)
            return Route(mover: mover, source: source, from: from, to: to)
        }
        // The only possible node leaves no choice, so whatever keeps other pods away from it is tolerated.
        if both.count == 1 { return Route(mover: Placement(node: both.first, onlyThere: true), from: from, to: to) }
        // An existing volume does not move with its workload.
        let isReachable = transfer.consumer.map { !end.of($0).isDisjoint(with: both) } ?? true
        return Route(mover: isReachable ? plain : Placement(node: plain.node), from: from, to: to)
    }

    /// Returns the nodes where the destination volume can be mounted, or made.
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

    /// Returns true where the staging claim may be bound to this volume, which was made by hand.
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
    var isToBeCopied: Bool { !transfer.method.keepsStorage && next.leadsToCopy }
}

extension StorageClass {
    /// The provisioner of classes whose volumes are made by hand.
    static let noProvisioner = "kubernetes.io/no-provisioner"
}
