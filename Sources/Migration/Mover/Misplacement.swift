import Kubernetes

/// The reason why a pod could not run with the volumes that its claims are to be bound to.
struct Misplacement: Equatable {
    /// A volume that the pod mounts and that only some nodes can mount.
    struct Limit: Equatable {
        /// The name of the volume in messages.
        var title: String
        var nodes: Set<String>
    }

    var pod: PodWithClaims
    /// The nodes that take the pod itself.
    var nodes: Set<String>
    var limits: [Limit]
    /// The claims whose new volumes are where the pod cannot run; nil where it could not run with other volumes either.
    var claims: Set<Transfer.ID>?
}

/// The facts that decide where new volumes are.
struct DestinationSites: Sendable {
    var sites: Sites
    /// The class; nil where it is unknown.
    var storageClass: StorageClass?
    /// All volumes, where the class only takes existing ones.
    var volumes: [PersistentVolume] = []

    /// The volume that a claim is to be bound to.
    enum Destination {
        case volume(PersistentVolume)
        /// A volume that the class will make.
        case new
        /// A volume that is not judged now.
        case any
    }

    /// Returns the nodes that can mount a claim's volume once it is made.
    fileprivate func ofNewVolume(for state: ClaimState) -> Set<String> {
        guard let storageClass else { return sites.all }
        guard storageClass.provisioner == StorageClass.noProvisioner, !volumes.isEmpty else {
            return sites.of(storageClass)
        }
        return volumes.filter(state.canBeDestination).reduce(into: []) { $0.formUnion(sites.of($1)) }
    }
}

extension Unit {
    /// Returns the first pod that no node could run with the volumes that its claims are to be bound to.
    func misplacement(
        in place: DestinationSites,
        _ destination: (ClaimState) -> DestinationSites.Destination
    ) -> Misplacement? {
        for pod in pods {
            if let found = pod.misplacement(of: claims, in: place, destination) { return found }
        }
        return nil
    }
}

extension PodWithClaims {
    fileprivate func misplacement(
        of states: [ClaimState],
        in place: DestinationSites,
        _ destination: (ClaimState) -> DestinationSites.Destination
    ) -> Misplacement? {
        var found = Misplacement(pod: self, nodes: place.sites.taking(spec, isNow: runs), limits: [])
        for (name, volume) in others.sorted(by: { $0.key < $1.key }) {
            found.add("the volume \(volume.metadata.name) of \(name)", place.sites.of(volume), place)
        }
        let fixed = found.left
        // A migration does not judge a pod that does not run and could not run now either.
        if fixed.isEmpty { return runs ? found : nil }
        var made: [Transfer.ID: Set<String>] = [:]
        for state in states where claims.contains(state.name) {
            switch destination(state) {
            case .volume(let volume):
                let nodes = place.sites.of(volume)
                found.add("the new volume \(volume.metadata.name) of \(state.name)", nodes, place)
                if volume.spec.nodeAffinity != nil { made[state.id] = nodes }
            case .new: found.add("a new volume of \(state.name)", place.ofNewVolume(for: state), place)
            case .any: break
            }
        }
        guard found.left.isEmpty else { return nil }
        let wrong = made.filter { fixed.isDisjoint(with: $0.value) }
        found.claims = Set((wrong.isEmpty ? made : wrong).keys)
        return found
    }
}

extension Misplacement {
    /// The nodes that meet all limits.
    fileprivate var left: Set<String> { limits.reduce(nodes) { $0.intersection($1.nodes) } }

    fileprivate mutating func add(_ title: String, _ nodes: Set<String>, _ place: DestinationSites) {
        if nodes != place.sites.all { limits.append(Limit(title: title, nodes: nodes)) }
    }
}

extension Misplacement {
    /// Returns the message for a person, with what to do.
    func inWords(_ storageClass: StorageClass?) -> String {
        let mountable = limits.map { "\($0.title) \($0.nodes.isEmpty ? "by none" : "only by \($0.nodes.inWords)")" }
            .joined(separator: ", ")
        if claims == nil {
            return "would not start again once it is stopped: by its node selector, node affinity and tolerations "
                + (nodes.isEmpty
                    ? "no node takes it now" : "it is taken by \(nodes.inWords), but mounted can be \(mountable)")
                + ". Where its node is cordoned, uncordon it; else mend what it asks for, and run again"
        }
        return "could not run with its new volumes: it is taken by \(nodes.inWords), but mounted can be \(mountable). "
            + advice(storageClass)
    }

    private func advice(_ storageClass: StorageClass?) -> String {
        guard let storageClass else { return "Mend what it asks of its nodes, and run again" }
        let name = storageClass.metadata.name
        if storageClass.waitsForFirstConsumer {
            return
                "Give --dest-sc a class like \(name) whose allowedTopologies are where it can be with all its claims, or "
                + "mend what it asks of its nodes, and run again"
        }
        return
            "\(name) makes volumes at once (Immediate), wherever its driver likes: give --dest-sc a class like it with "
            + "volumeBindingMode WaitForFirstConsumer, or with allowedTopologies where the pod can be, and run again"
    }
}
