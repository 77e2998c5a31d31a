import Kubernetes

/// Recognises migrations in the listed volumes and claims. It is pure, so that each case is tested without a cluster.
struct Recognition {
    /// The claims that take part.
    private(set) var states: [ClaimState] = []
    /// The obstacles of claims.
    private(set) var obstacles: [Transfer.ID: [Obstacle]] = [:]
    /// The notes for a person.
    private(set) var notes: [Obstacle] = []
    /// Claims of the source class with our marks and without proof.
    private(set) var passedOver: [Obstacle] = []
    /// The number of claims that a transfer has copied before.
    private(set) var copiedBefore = 0
    /// The claims that somebody deleted in the middle of their migration.
    private var lost: [ClaimState] = []

    private let inventory: Inventory
    private let options: Options

    init(_ inventory: Inventory, _ options: Options) {
        self.inventory = inventory
        self.options = options
        for volume in inventory.volumes.values.sorted(by: { $0.metadata.name < $1.metadata.name }) { add(volume) }
        mergeLost()
        if !options.pipeline.goesToKept { addUnbound() }
    }

    /// Reads a volume by its part in a migration: sealed, kept, the Go tool's, or an ordinary source volume.
    private mutating func add(_ volume: PersistentVolume) {
        if let seal = inventory.seal(of: volume) {
            addSealed(volume, seal)
        } else if let kept = KeptVolume(volume) {
            if options.pipeline.goesToKept { addKept(kept) }
        } else if options.pipeline.goesToKept {
            return
        } else if options.hasClasses, let marks = GoMarks(volume), options.destinations.admits(volume),
            options.selection.whatLeavesOut(marks.claim) == nil, addGoTools(marks)
        {
            return
        } else if options.sources.admits(volume) {
            addSource(volume)
        }
    }

    private func state(of name: ObjectName, seal: Seal? = nil, destination: PersistentVolume? = nil) -> ClaimState {
        inventory.state(of: name, seal: seal, destination: destination, options)
    }

    private mutating func addSealed(_ volume: PersistentVolume, _ seal: Seal) {
        guard inventory.includes(seal, on: volume, options.selection) else { return }
        if !options.asks(for: seal) {
            guard options.sources.admits(seal) || options.sources.admits(volume) else { return }
            notes.append(
                Obstacle(
                    namespace: seal.name.namespace,
                    resource: volume.title,
                    message: "is in the middle of another migration of \(seal.name). \(seal.wayOut(of: volume))"
                )
            )
        } else if options.sources.admits(seal), options.destinations.admits(volume) {
            var state = state(of: seal.name, seal: seal, destination: volume)
            // It counts because another copy of the same moment does.
            state.copied = seal.ending == .copy && !seal.isDeleting && state.sourceClaim != nil
            states.append(state)
        } else if options.sources.admits(volume), !options.sources.admits(seal) {
            notes.append(
                Obstacle(
                    namespace: seal.name.namespace,
                    resource: volume.title,
                    message: "is in the middle of another migration, from the class \(seal.sourceClass); left alone"
                )
            )
        }
    }

    private mutating func addKept(_ kept: KeptVolume) {
        guard options.destinations.admits(kept.volume),
            inventory.includes(kept.claim, options.selection)
        else { return }
        if let why = inventory.hindrance(to: kept, from: options.sources) {
            notes.append(why)
        } else {
            states.append(state(of: kept.claim, destination: kept.volume))
        }
    }

    /// - Returns: False where the marks leave nothing to do. The volume is then an ordinary one.
    private mutating func addGoTools(_ marks: GoMarks) -> Bool {
        switch marks.state(in: inventory, from: options.sources) {
        case .finished: return false
        case .unclear(let note): notes.append(note)
        case .halfDone(let seal, let note):
            notes.append(note)
            states.append(state(of: marks.claim, seal: seal, destination: marks.volume))
        }
        return true
    }

    private mutating func addSource(_ volume: PersistentVolume) {
        switch claim(of: volume) {
        case .found(let claim): addSource(claim, volume)
        case .elsewhere: break
        case .none(let note):
            if let state = inventory.lostClaim(of: volume, options) {
                lost.append(state)
            } else if options.hasClasses {
                notes.append(note)
            }
        }
    }

    private mutating func addSource(_ claim: PersistentVolumeClaim, _ volume: PersistentVolume) {
        // A staging claim or stand-in of another migration is deleted with that migration.
        if inventory.madeByRuns.contains(claim.metadata.uid) { return }
        if let why = claim.bondToOther {
            notes.append(
                Obstacle(
                    namespace: claim.metadata.namespace,
                    resource: claim.title,
                    message: "\(why) and goes with it; left alone"
                )
            )
            return
        }
        // The migration of a protected claim is under way, whatever marks somebody writes on the claim.
        if claim.isMarked, volume.metadata.annotation(Marks.sourceUID) != claim.metadata.uid {
            notes.append(claim.noteOfUnproven)
            passedOver.append(claim.noteOfUnproven)
            return
        }
        let made = inventory.transferred(claim.name, uid: claim.metadata.uid, options)
        if let made, options.handover?.ending == .copy {
            copiedBefore += 1
            notes.append(
                Obstacle(
                    namespace: claim.metadata.namespace,
                    resource: claim.title,
                    message:
                        "has a copy since \(made.metadata.creationTimestamp ?? "?"), \(made.name): delete that to have "
                        + "it copied again"
                )
            )
            return
        }
        let state = state(of: claim.name)
        states.append(state)
        if case .blocked(let why) = state.next {
            obstacles[state.id, default: []].append(
                Obstacle(namespace: claim.metadata.namespace, resource: claim.title, message: why.description)
            )
        }
    }

    private enum VolumeClaim {
        case found(PersistentVolumeClaim)
        /// The claim is not chosen.
        case elsewhere
        /// There is no claim, and a person should know it.
        case none(Obstacle)
    }

    private func claim(of volume: PersistentVolume) -> VolumeClaim {
        func none(_ namespace: String?, _ message: String) -> VolumeClaim {
            .none(Obstacle(namespace: namespace, resource: volume.title, message: "is \(volume.phase)\(message)"))
        }
        guard let name = volume.claim else { return none(nil, " and has no claim; left alone") }
        guard inventory.includes(name, options.selection) else { return .elsewhere }
        // An unreadable claim is reported by itself.
        if inventory.unreadable(.claims, name) != nil { return .elsewhere }
        guard let claim = inventory.claims[name] else {
            return none(name.namespace, "; its claim \(name) does not exist; left alone")
        }
        // A claim with another UID is not the claim of this volume.
        guard claim.metadata.uid == volume.spec.claimRef?.uid else {
            return none(
                name.namespace,
                "; the claim \(name) that exists now is not the one it was bound to; left alone"
            )
        }
        return .found(claim)
    }

    /// Merges several transfers to one name: the first counts.
    ///
    /// A sealed claim whose source claim still lives is found twice: by its seal and by its source volume. Between the
    /// deletion of a sealed claim and its rebinding the source volume has no claim either.
    private mutating func mergeLost() {
        let sealed = Set(states.filter { $0.seal != nil }.map(\.name))
        let uids = Set(inventory.volumes.values.compactMap { inventory.seal(of: $0)?.uid })
        for state in states where state.seal == nil && sealed.contains(state.name) { obstacles[state.id] = nil }
        states.removeAll { $0.seal == nil && sealed.contains($0.name) }
        for state in lost where !sealed.contains(state.name) && !uids.contains(state.source?.spec.claimRef?.uid ?? "") {
            let why = Obstacle(namespace: state.name.namespace, resource: state.title, message: state.wayBack)
            if state.claim == nil {
                states.append(state)
                obstacles[state.id, default: []].append(why)
            } else {
                notes.append(why)
            }
        }
        // A transfer to a name that is taken twice is refused later.
        guard options.handover == nil else { return }
        var taken: Set<ObjectName> = []
        states.removeAll { !taken.insert($0.transfer.destination).inserted }
    }

    /// Adds claims of the source class that no volume of the class names. They must be bound first.
    private mutating func addUnbound() {
        let busy = Set(states.map(\.name) + states.filter { $0.seal != nil }.map(\.transfer.destination))
        for claim in inventory.claims.values.sorted(by: { $0.name < $1.name })
        where options.sources.admits(claim) {
            guard inventory.includes(claim.name, options.selection), !busy.contains(claim.name),
                !inventory.madeByRuns.contains(claim.metadata.uid),
                claim.phase != .bound || claim.spec.volumeName == nil || claim.metadata.isTerminating
            else { continue }
            if claim.isMarked {
                notes.append(claim.noteOfUnproven)
                continue
            }
            let state = state(of: claim.name)
            states.append(state)
            obstacles[state.id, default: []].append(
                Obstacle(
                    namespace: claim.metadata.namespace,
                    resource: claim.title,
                    message: claim.metadata.isTerminating
                        ? "is being deleted (since \(claim.metadata.deletionTimestamp ?? "")); wait until it is gone"
                        : "is \(claim.phase): bind or delete it first"
                )
            )
        }
    }
}
