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
    var withoutRoom: Set<ObjectName> = []
    /// How many claims of the class each filter leaves out, by its phrase.
    var leftOut: [String: Int] = [:]
    /// Things that a person should know and that stop nothing, such as volumes without a claim.
    public internal(set) var notes: [Obstacle] = []
    public internal(set) var classes: [StorageClass] = []
    /// How the data of claims gets across whose source volume not every node can mount.
    var routes: [ObjectName: Route] = [:]
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
        var states: [ClaimState] = []
        var lost: [ClaimState] = []
        var obstacles: [ObjectName: [Obstacle]] = [:]

        for volume in inventory.volumes.values.sorted(by: { $0.metadata.name < $1.metadata.name }) {
            if let seal = inventory.seal(of: volume) {
                if isOurs(seal, on: volume), inventory.includes(seal, on: volume, options.selection) {
                    states.append(
                        inventory.state(of: seal.name, seal: seal, destination: volume, class: options.destinationClass)
                    )
                } else if volume.spec.storageClassName == options.sourceClass, seal.sourceClass != options.sourceClass,
                    inventory.includes(seal, on: volume, options.selection)
                {
                    discovery.notes.append(
                        Obstacle(
                            namespace: seal.name.namespace,
                            resource: volume.title,
                            message:
                                "is in the middle of another migration, from the class \(seal.sourceClass); left alone"
                        )
                    )
                }
            } else if let kept = KeptVolume(volume) {
                guard options.rollsBack, volume.spec.storageClassName == options.destinationClass,
                    inventory.includes(kept.claim, options.selection)
                else { continue }
                if let why = inventory.hindrance(to: kept, from: options.sourceClass) {
                    discovery.notes.append(why)
                } else {
                    states.append(
                        inventory.state(of: kept.claim, seal: nil, destination: volume, class: options.destinationClass)
                    )
                }
            } else if options.rollsBack {
                continue
            } else if let marks = GoMarks(volume), volume.spec.storageClassName == options.destinationClass,
                options.selection.whatLeavesOut(marks.claim) == nil
            {
                switch marks.progress(in: inventory, from: options.sourceClass) {
                case .finished: break
                case .unclear(let note): discovery.notes.append(note)
                case .halfDone(let seal, let note):
                    discovery.notes.append(note)
                    states.append(
                        inventory.state(
                            of: marks.claim,
                            seal: seal,
                            destination: volume,
                            class: options.destinationClass
                        )
                    )
                }
            } else if volume.spec.storageClassName == options.sourceClass {
                switch claim(of: volume, in: inventory) {
                case .found(let claim):
                    // A staging claim of another migration, or what passes of one read; each goes with that.
                    if inventory.madeByRuns.contains(claim.metadata.uid) { continue }
                    if let why = claim.bondToOther {
                        discovery.notes.append(
                            Obstacle(
                                namespace: claim.metadata.namespace,
                                resource: claim.title,
                                message: "\(why) and goes with it; left alone"
                            )
                        )
                        continue
                    }
                    // One that is protected is under way, whatever somebody writes on it.
                    if claim.isMarked, volume.metadata.annotation(Marks.sourceUID) != claim.metadata.uid {
                        discovery.notes.append(claim.noteOfUnproven)
                        discovery.passedOver.append(claim.noteOfUnproven)
                        continue
                    }
                    let state = inventory.state(
                        of: claim.name,
                        seal: nil,
                        destination: nil,
                        class: options.destinationClass
                    )
                    states.append(state)
                    if let other = inventory.sealElsewhere(of: state) {
                        obstacles[state.name, default: []].append(other)
                    } else if case .blocked(let why) = state.next(stagingBindsAtOnce: true) {
                        obstacles[state.name, default: []].append(
                            Obstacle(
                                namespace: claim.metadata.namespace,
                                resource: claim.title,
                                message: why.description
                            )
                        )
                    }
                case .elsewhere: break
                case .none(let note):
                    if let state = inventory.lostClaim(of: volume, class: options.destinationClass) {
                        lost.append(state)
                    } else {
                        discovery.notes.append(note)
                    }
                }
            }
        }
        // A sealed claim whose source claim still lives is met twice: once by its seal, once by its source volume.
        let sealed = Set(states.filter { $0.seal != nil }.map(\.name))
        let sealedElsewhere = Set(inventory.volumes.values.compactMap { inventory.seal(of: $0)?.uid })
        states.removeAll { $0.seal == nil && sealed.contains($0.name) }
        // Between the deletion of a sealed claim and its rebinding the source volume has no claim either.
        for state in lost
        where !sealed.contains(state.name) && !sealedElsewhere.contains(state.source?.spec.claimRef?.uid ?? "") {
            let why = Obstacle(namespace: state.name.namespace, resource: state.title, message: state.wayBack)
            if state.claim == nil {
                states.append(state)
                obstacles[state.name, default: []].append(why)
            } else {
                discovery.notes.append(why)
            }
        }

        let busy = Set(states.map(\.name))
        for claim in inventory.claims.values where claim.storageClassName == options.sourceClass {
            guard !options.rollsBack, inventory.includes(claim.name, options.selection), !busy.contains(claim.name),
                !inventory.madeByRuns.contains(claim.metadata.uid)
            else { continue }
            guard claim.phase != "Bound" || claim.spec.volumeName == nil || claim.metadata.isTerminating else {
                continue
            }
            if claim.isMarked {
                discovery.notes.append(claim.noteOfUnproven)
                continue
            }
            let problem = Obstacle(
                namespace: claim.metadata.namespace,
                resource: claim.title,
                message: claim.metadata.isTerminating
                    ? "is being deleted (since \(claim.metadata.deletionTimestamp ?? "")); wait until it is gone"
                    : "is \(claim.phase): bind or delete it first"
            )
            states.append(
                inventory.state(of: claim.name, seal: nil, destination: nil, class: options.destinationClass)
            )
            obstacles[claim.name, default: []].append(problem)
        }

        let unread = inventory.consequencesOfUnreadable(for: states)
        obstacles.merge(unread.obstacles) { $0 + $1 }
        discovery.notes += unread.notes
        for (name, problem) in try await writeSizes(into: &states) { obstacles[name, default: []].append(problem) }
        for (name, problem) in try await oversized(states) { obstacles[name, default: []].append(problem) }
        for (name, problems) in inventory.sharedStorage(of: &states) { obstacles[name, default: []] += problems }
        let names = Set(states.map(\.name))
        let others = inventory.candidates(options).subtracting(names)
        // What is bound to its new volume already only waits for its workload to be ready: nothing is stopped for it.
        let rebound = Set(states.filter(\.isRebound).map(\.name))
        let usage = try await usage(of: names, rebound: rebound, besides: others, in: inventory, scalers: scalers)
        for (name, problems) in usage.obstacles { obstacles[name, default: []] += problems }
        discovery.notes += usage.cuts
        let plan = try await quotaPlan(for: Self.units(of: states, usage: usage, obstacles: obstacles))
        discovery.oneByOne = plan.namespaces
        (discovery.units, discovery.withoutRoom, discovery.shortages) = (plan.units, plan.later, plan.shortages)
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
        discovery.notes += inventory.unproven(besides: states, options)
        let defaultClass = classes.first(where: \.isDefault)?.metadata.name
        discovery.notes += discovery.units.flatMap(\.workloads).compactMap {
            $0.noteOfTemplates(options, defaultClass: defaultClass)
        }
        let stopped = Set(discovery.units.flatMap(\.workloads).map(\.metadata.uid))
        discovery.forgotten =
            inventory.workloads.filter { workload in
                workload.isMarked && !stopped.contains(workload.metadata.uid) && inventory.isFinished(workload)
            } + inventory.unfinished
        discovery.tell(of: states, in: inventory, options)
        return discovery
    }

    /// A seal of this migration: from the source class to the volume's class.
    private func isOurs(_ seal: Seal, on volume: PersistentVolume) -> Bool {
        seal.sourceClass == options.sourceClass && volume.spec.storageClassName == options.destinationClass
    }

    private enum VolumeClaim {
        case found(PersistentVolumeClaim)
        /// It is not chosen.
        case elsewhere
        /// There is none, which a person should know.
        case none(Obstacle)
    }

    private func claim(of volume: PersistentVolume, in inventory: Inventory) -> VolumeClaim {
        guard let name = volume.claim else {
            return .none(
                Obstacle(
                    namespace: nil,
                    resource: volume.title,
                    message: "is \(volume.phase) and has no claim; left alone"
                )
            )
        }
        guard inventory.includes(name, options.selection) else { return .elsewhere }
        // It is named by itself.
        if inventory.unreadable(.claims, name) != nil { return .elsewhere }
        guard let claim = inventory.claims[name] else {
            return .none(
                Obstacle(
                    namespace: name.namespace,
                    resource: volume.title,
                    message: "is \(volume.phase); its claim \(name) does not exist; left alone"
                )
            )
        }
        // A claim of this name that has another UID is not the claim of this volume.
        guard claim.metadata.uid == volume.spec.claimRef?.uid else {
            return .none(
                Obstacle(
                    namespace: name.namespace,
                    resource: volume.title,
                    message:
                        "is \(volume.phase); the claim \(name) that exists now is not the one it was bound to; left alone"
                )
            )
        }
        return .found(claim)
    }

    // MARK: Units

    /// Which workloads use which claims, and the pods that nobody here can stop.
    private struct Usage {
        var workloads: [(workload: Workload, claims: Set<ObjectName>)] = []
        var obstacles: [ObjectName: [Obstacle]] = [:]
        /// The workloads that mount other claims of the class, too, which are not chosen.
        var cuts: [Obstacle] = []
    }

    private func usage(
        of names: Set<ObjectName>,
        rebound: Set<ObjectName>,
        besides others: Set<ObjectName>,
        in inventory: Inventory,
        scalers: Scalers
    ) async throws -> Usage {
        var usage = Usage()
        var claimsByWorkload: [String: Set<ObjectName>] = [:]
        var workloads = inventory.workloads
        for workload in workloads { claimsByWorkload[workload.metadata.uid] = Set(workload.mountedClaims) }
        var search = OwnerSearch(self, inventory)
        for pod in inventory.pods where !inventory.isMover(pod) && !pod.neverRuns {
            let mounted = Set(pod.claimNames.map { ObjectName($0, in: pod.metadata.namespace) })
            let claims = mounted.intersection(names)
            guard !claims.isEmpty else { continue }
            if pod.isFinished {
                guard pod.metadata.controller == nil, !options.recreatesPods else { continue }
                for claim in claims.subtracting(rebound) { usage.obstacles[claim, default: []].append(.ended(pod)) }
                continue
            }
            switch try await search.stop(for: pod) {
            case .workloads(let found):
                for workload in found {
                    claimsByWorkload[workload.metadata.uid, default: []].formUnion(mounted)
                    if !workloads.contains(where: { $0.metadata.uid == workload.metadata.uid }) {
                        workloads.append(workload)
                    }
                }
            case .impossible(let why):
                for claim in claims.subtracting(rebound) {
                    usage.obstacles[claim, default: []].append(
                        Obstacle(namespace: pod.metadata.namespace, resource: pod.title, message: why)
                    )
                }
            }
        }
        for workload in workloads {
            guard let claims = claimsByWorkload[workload.metadata.uid], !claims.isDisjoint(with: names) else {
                continue
            }
            for above in scalers.pausable(above: workload) where claimsByWorkload[above.metadata.uid] == nil {
                claimsByWorkload[above.metadata.uid] = claims.intersection(names)
                workloads.append(above)
            }
        }
        for var workload in workloads.sorted(by: Workload.stopsBefore) {
            let mounted = claimsByWorkload[workload.metadata.uid] ?? []
            let claims = mounted.intersection(names)
            guard !claims.isEmpty else { continue }
            workload.claimNames.formUnion(claims.map(\.name))
            usage.workloads.append((workload, claims))
            let left = mounted.intersection(others)
            if !left.isEmpty { usage.cuts.append(workload.cut(between: claims, and: left)) }
            for state in inventory.limbo(among: mounted.subtracting(names)) {
                for claim in claims.prefix(1) {
                    usage.obstacles[claim, default: []].append(workload.waits(for: state))
                }
            }
            // A mark that can't be read: the workload could be stopped, but not started again.
            do {
                _ = try workload.markedScale()
            } catch {
                for claim in claims.prefix(1) {
                    usage.obstacles[claim, default: []].append(
                        Obstacle(
                            namespace: workload.name.namespace,
                            resource: workload.title,
                            message: "\(error); correct or remove it"
                        )
                    )
                }
            }
        }
        return usage
    }

    /// The connected components of claims and workloads.
    private static func units(
        of states: [ClaimState],
        usage: Usage,
        obstacles: [ObjectName: [Obstacle]]
    ) -> [Unit] {
        var unassigned = Dictionary(states.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var units: [Unit] = []
        for first in unassigned.keys.sorted() {
            guard unassigned[first] != nil else { continue }
            var names: Set<ObjectName> = [first]
            var workloads: Set<String> = []
            var grown = true
            while grown {
                let connected = usage.workloads.filter { !$0.claims.isDisjoint(with: names) }
                let all = connected.reduce(names) { $0.union($1.claims) }
                grown = all.count > names.count
                names = all
                workloads = Set(connected.map(\.workload.metadata.uid))
            }
            units.append(
                Unit(
                    claims: names.sorted().compactMap { unassigned.removeValue(forKey: $0) },
                    workloads: usage.workloads.map(\.workload).filter { workloads.contains($0.metadata.uid) },
                    obstacles: names.sorted().flatMap { obstacles[$0] ?? [] }
                )
            )
        }
        return units
    }
}

extension Obstacle {
    /// A pod without an owner that has ended.
    fileprivate static func ended(_ pod: Pod) -> Obstacle {
        Obstacle(
            namespace: pod.metadata.namespace,
            resource: pod.title,
            message: "has ended (\(pod.phase)), but holds its claim as long as it exists; delete it first, or give "
                + "--recreate-pods to have it deleted (it is not created again)"
        )
    }
}

/// Everything that discovery listed, found by name.
struct Inventory: Sendable {
    var volumes: [String: PersistentVolume]
    var claims: [ObjectName: PersistentVolumeClaim]
    private var claimsByUID: [String: PersistentVolumeClaim]
    /// The UIDs of the claims that runs have made, as volumes bear them.
    private(set) var madeByRuns: Set<String>
    var pods: [Pod]
    /// What nothing else owns, and what a migration has stopped.
    var workloads: [Workload]
    /// StatefulSets of which an earlier run has kept a record and no more: it is only to be removed.
    var unfinished: [Workload]
    /// All workloads of Kubernetes' own kinds, by UID.
    var owners: [String: Workload]
    /// The claims that have the labels asked for; nil where no labels are.
    var labelled: Set<ObjectName>?
    /// What was listed and can't be read.
    var unreadable: [ObjectName: [Unreadable]]

    init(
        volumes: [PersistentVolume],
        claims: [PersistentVolumeClaim],
        pods: [Pod],
        workloads: [Workload],
        unreadable: [Unreadable] = []
    ) {
        self.unreadable = Dictionary(grouping: unreadable, by: \.name)
        self.volumes = Dictionary(volumes.map { ($0.metadata.name, $0) }, uniquingKeysWith: { $1 })
        self.claims = Dictionary(claims.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        claimsByUID = Dictionary(claims.map { ($0.metadata.uid, $0) }, uniquingKeysWith: { $1 })
        madeByRuns = Set(volumes.flatMap(\.madeClaims))
        self.pods = pods
        // A StatefulSet that was to be recreated, and still is what it was, is that and nothing to be deleted.
        let recreated = workloads.filter { $0.record != nil && $0.resource == .statefulSets && $0.replicas > 0 }
        let uids = Set(recreated.map(\.metadata.uid))
        unfinished = recreated
        let workloads = workloads.filter { $0.record == nil || !uids.contains($0.metadata.uid) }
            .naming(Set(claims.map(\.name) + unreadable.map(\.name) + volumes.flatMap(\.namedClaims)))
        // What has an owner is reached through its pods: that owner decides.
        self.workloads = workloads.filter { $0.metadata.controller == nil || $0.isMarked }
            .sorted(by: Workload.stopsBefore)
        owners = Dictionary(
            workloads.filter { $0.record == nil }.map { ($0.metadata.uid, $0) },
            uniquingKeysWith: { $1 }
        )
    }

    /// The state of a claim's migration, from the lists.
    ///
    /// - Parameters:
    ///   - destination: where it is known without the staging claim.
    ///   - storageClass: the destination class that is asked for; nil for any.
    func state(
        of name: ObjectName,
        seal: Seal?,
        destination: PersistentVolume?,
        class storageClass: String?
    ) -> ClaimState {
        var state = ClaimState(name: name, claim: claims[name], seal: seal, destinationClass: storageClass)
        state.ownerOfPods = DataOwner(of: name, in: pods.filter { !isMover($0) })
        state.source = (seal?.sourceVolume ?? state.claim?.spec.volumeName).flatMap { volumes[$0] }
        state.destination = destination
        findStaging(of: &state)
        return state
    }

    /// The seal of a volume, where it counts.
    func seal(of volume: PersistentVolume) -> Seal? {
        guard let seal = Seal(of: volume) else { return nil }
        // Of a claim that can't be read nobody can say that it is gone.
        guard unreadable(.claims, seal.name) == nil else { return seal }
        let source = seal.sourceVolume.flatMap { volumes[$0] }
        return seal.counts(claim: claims[seal.name], source: source, isCopied: false) ? seal : nil
    }

    /// Finds the staging claim by its UID, which a volume bears; else the first name that is free for it.
    func findStaging(of state: inout ClaimState) {
        let namespace = state.name.namespace
        let uids = [state.source?.metadata.annotation(Marks.stagingUID), state.destination?.spec.claimRef?.uid]
        var found = uids.lazy.compactMap { uid in uid.flatMap { claimsByUID[$0] } }
            .first { $0.metadata.namespace == namespace && state.isRecorded($0) && $0.name != state.name }
        if found == nil, let named = claims[state.stagingName], let volume = named.spec.volumeName {
            // What the Go tool has made bears no UID anywhere, but in the end its volume bears the claim's name.
            var state = state
            state.destination = state.destination ?? volumes[volume]
            if state.isRecorded(named) { found = named }
        }
        if let found {
            (state.staging, state.stagingName) = (found, found.name)
            state.destination = state.destination ?? found.spec.volumeName.flatMap { volumes[$0] }
        } else {
            state.stagingName = state.firstStagingName { claims[$0] == nil }
        }
    }

    /// Why a claim can't be migrated that is sealed on a volume of another class than the one asked for; else nil.
    func sealElsewhere(of state: ClaimState) -> Obstacle? {
        guard state.seal == nil, let claim = state.claim else { return nil }
        let volume = volumes.values.filter { Seal(of: $0)?.uid == claim.metadata.uid }
            .min { $0.metadata.name < $1.metadata.name }
        guard let volume else { return nil }
        var sealed = state
        (sealed.destination, sealed.seal) = (volume, Seal(of: volume))
        return sealed.otherMigration.map {
            Obstacle(namespace: state.name.namespace, resource: claim.title, message: $0.description)
        }
    }

    /// The claims of the destination class that call themselves staging claims of a unit's, and are not.
    func unproven(besides states: [ClaimState], _ options: Options) -> [Obstacle] {
        let names = Set(states.map(\.name))
        return claims.values.sorted { $0.name < $1.name }.filter { claim in
            claim.metadata.annotation(Marks.kind) == Marks.Kind.staging
                && claim.storageClassName != options.sourceClass && !madeByRuns.contains(claim.metadata.uid)
                && !states.contains { $0.staging?.metadata.uid == claim.metadata.uid }
                && names.contains(
                    ObjectName(claim.metadata.annotation(Marks.claim) ?? "", in: claim.metadata.namespace)
                )
        }.map(\.noteOfUnproven)
    }

    /// Why a claim can't be swapped back to a volume that was kept for it; nil where it can.
    func hindrance(to kept: KeptVolume, from sourceClass: String) -> Obstacle? {
        let why: String
        if let claim = claims[kept.claim] {
            if claim.metadata.uid == kept.successor, claim.storageClassName == sourceClass { return nil }
            why =
                claim.metadata.uid == kept.successor
                ? "is of the class \(claim.storageClassName ?? "?") now" : "is not the one that took its place"
        } else {
            why = "does not exist any more"
        }
        return Obstacle(
            namespace: kept.claim.namespace,
            resource: kept.volume.title,
            message: "is kept for the claim \(kept.claim), which \(why); left alone"
        )
    }

    /// The claim of a protected volume that somebody has deleted; else nil. Another one may have its name.
    ///
    /// - Parameter storageClass: the destination class that is asked for; nil for any.
    func lostClaim(of volume: PersistentVolume, class storageClass: String?) -> ClaimState? {
        guard let name = volume.claim else { return nil }
        var state = ClaimState(name: name, claim: claims[name], destinationClass: storageClass)
        state.source = volume
        guard state.isLost else { return nil }
        findStaging(of: &state)
        return state
    }

    /// True when no claim of a stopped workload takes part in a migration any more, of whichever class.
    func isFinished(_ workload: Workload) -> Bool {
        let sealed = Set(volumes.values.compactMap { seal(of: $0)?.name })
        let lost = Set(volumes.values.compactMap { lostClaim(of: $0, class: nil)?.name })
        return workload.claimNames.allSatisfy { name in
            let name = ObjectName(name, in: workload.name.namespace)
            if sealed.contains(name) || lost.contains(name) { return false }
            let state = state(of: name, seal: nil, destination: nil, class: nil)
            // Nothing is started for what is unproven, and that may well be a staging claim of the Go tool.
            return state.claim == nil || state.staging == nil && !state.isProtected && seemingStaging(of: state) == nil
        }
    }

    /// The claim that calls itself a claim's staging claim, and is of another class than that.
    func seemingStaging(of state: ClaimState) -> PersistentVolumeClaim? {
        let named = claims[ObjectName(Marks.stagingName(of: state.name.name), in: state.name.namespace)]
        guard let named, named.metadata.annotation(Marks.kind) == Marks.Kind.staging,
            named.metadata.annotation(Marks.claim) == state.name.name
        else { return nil }
        return named.storageClassName == state.claim?.storageClassName ? nil : named
    }
}

extension ClaimState {
    /// The objects that take part in a claim's migration.
    enum Part: CaseIterable { case claim, staging, source, destination }
}

extension Client {
    /// Reads anew what the cluster says of a claim's migration.
    ///
    /// - Parameter parts: those that are read; the others stay as they were read before.
    /// - Throws: `APIError`.
    func observe(
        _ state: ClaimState,
        _ parts: Set<ClaimState.Part> = Set(ClaimState.Part.allCases)
    ) async throws -> ClaimState {
        var new = state
        async let claim =
            parts.contains(.claim) ? try find(PersistentVolumeClaim.self, state.name) : state.claim
        async let staging =
            parts.contains(.staging) ? try find(PersistentVolumeClaim.self, state.stagingName) : state.staging
        (new.claim, new.staging) = (try await claim, try await staging)
        let sourceName = state.seal?.sourceVolume ?? state.source?.metadata.name ?? new.claim?.spec.volumeName
        let destinationName = state.destination?.metadata.name ?? new.staging?.spec.volumeName
        async let source = parts.contains(.source) ? try volume(sourceName) : state.source
        async let destination = parts.contains(.destination) ? try volume(destinationName) : state.destination
        (new.source, new.destination) = (try await source, try await destination)
        if let destination = new.destination { new.seal = Seal(of: destination) ?? new.seal }
        if new.seal?.counts(claim: new.claim, source: new.source, isCopied: new.copied) == false { new.seal = nil }
        if let staging = new.staging, !new.isOwn(staging) { try await passOver(staging, in: &new) }
        return new
    }

    /// Leaves a claim alone that has the staging claim's name and is not ours, and takes the next name that is free.
    private func passOver(_ stranger: PersistentVolumeClaim, in state: inout ClaimState) async throws {
        if state.seal == nil, state.destination?.isKept != true { state.destination = nil }
        state.staging = nil
        var taken: Set<ObjectName> = [stranger.name]
        while taken.contains(state.stagingName) {
            state.stagingName = state.firstStagingName { !taken.contains($0) }
            if try await find(PersistentVolumeClaim.self, state.stagingName) != nil { taken.insert(state.stagingName) }
        }
    }

    private func volume(_ name: String?) async throws -> PersistentVolume? {
        guard let name else { return nil }
        return try await find(PersistentVolume.self, ObjectName(name, in: nil))
    }
}
