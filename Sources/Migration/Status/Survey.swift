import FoundationEssentials
import Kubernetes

/// The objects that a status is derived from.
struct Survey: Sendable {
    var inventory: Inventory
    var leases: [Lease] = []
    /// The names of the StorageClasses; nil where they could not be listed.
    var classes: [String]?
    var unseen: [Obstacle] = []
    /// The records of stopped workloads that are left alone.
    var unbelieved: [Obstacle] = []
    /// The time of day by this machine's clock.
    var now: Date
}

extension MigrationStatus {
    /// Derives a status from the listed objects.
    init(_ survey: Survey, scope: Scope) {
        let states = survey.states(scope)
        let begun = states.map { ClaimInWords(state: $0, mover: survey.mover(of: $0)).claimInStatus }
        let cutOff = survey.cutOff(besides: states, scope)
        let copied = survey.copiedToOrFromComputers(scope)
        claims = (begun + cutOff + copied).filter(scope.includes).sorted { $0.name < $1.name }
        workloads = survey.stopped(begun: begun, cutOff: cutOff + copied, scope)
        kept = survey.kept(besides: states, scope)
        let allLocks = survey.locks(scope)
        locks = allLocks.filter { $0.seemsAlive || isOpen }
        leftovers =
            Leftovers(in: survey, besides: states, cutOff, scope).found + survey.unbelieved
            + allLocks.filter { !$0.seemsAlive && !isOpen }.map(\.leftover)
        notes = survey.notes(besides: states, scope)
        unseen = survey.unseen
        let names = Set((begun + cutOff).map(\.name))
        toMigrate = scope.sourceClass.map { survey.migratable(of: $0, scope).count { !names.contains($0.name) } }
        onDestination = scope.destinationClass.map { survey.migratable(of: $0, scope).count { $0.phase == .bound } }
        commands = survey.commands(finishing: self, scope)
    }
}

extension MigrationStatus.Scope {
    fileprivate func includes(_ claim: MigrationStatus.Claim) -> Bool {
        includes(source: claim.sourceClass, destination: claim.destinationClass)
    }

    /// Returns true where the classes may be in the scope. An unknown class may be the one that is meant.
    func includes(source: String?, destination: String?) -> Bool {
        (source == nil || ClassChoice(name: sourceClass).admits(source))
            && (destination == nil || ClassChoice(name: destinationClass).admits(destination))
    }
}

// MARK: Claims

extension Survey {
    var volumes: [PersistentVolume] {
        inventory.volumes.values.sorted { $0.metadata.name < $1.metadata.name }
    }

    /// Returns true where a claim is in the scope. A claim that does not exist has no labels that could exclude it.
    func includes(_ claim: ObjectName?, _ scope: MigrationStatus.Scope) -> Bool {
        guard let claim else { return scope.selection == Selection() }
        guard inventory.claims[claim] != nil else { return scope.selection.whatLeavesOut(claim) == nil }
        return inventory.includes(claim, scope.selection)
    }

    var claims: [PersistentVolumeClaim] { inventory.claims.values.sorted { $0.name < $1.name } }

    /// Returns the claims whose migration has begun, by the seals, the staging claims, and the marks of volumes.
    fileprivate func states(_ scope: MigrationStatus.Scope) -> [ClaimState] {
        var states: [ClaimState] = volumes.compactMap { volume in
            guard let seal = inventory.seal(of: volume) ?? goToolsSeal(of: volume, scope) else { return nil }
            guard includes(seal.name, scope) else { return nil }
            return inventory.state(of: seal.name, seal: seal, destination: volume, nil)
        }
        let sealed = Set(states.map(\.name))
        for claim in claims where !inventory.madeByRuns.contains(claim.metadata.uid) && !sealed.contains(claim.name) {
            guard includes(claim.name, scope) else { continue }
            var state = inventory.state(of: claim.name, seal: nil, destination: nil, nil)
            let isMarked = state.source?.metadata.annotation(Marks.sourceUID) == claim.metadata.uid
            guard state.hasStaging || isMarked else { continue }
            if state.destination == nil { state.destination = volumeToRollBack(to: state) }
            states.append(state)
        }
        return states
    }

    /// Returns a substitute for a seal, where the Go tool was cut off between a claim's deletion and the creation of
    /// its successor.
    private func goToolsSeal(of volume: PersistentVolume, _ scope: MigrationStatus.Scope) -> Seal? {
        guard let marks = GoMarks(volume), includes(marks.claim, scope) else { return nil }
        guard case .halfDone(let seal, _) = state(of: marks, scope) else { return nil }
        return seal
    }

    private func state(of marks: GoMarks, _ scope: MigrationStatus.Scope) -> GoMarks.State {
        // The source volume tells the source class as long as it bears the claim's name.
        let released = volumes.filter {
            $0.claim == marks.claim && $0.phase == .released && $0.metadata.uid != marks.volume.metadata.uid
        }
        let classes = Set(released.compactMap(\.spec.storageClassName))
        return marks.state(
            in: inventory,
            from: ClassChoice(name: (classes.count == 1 ? classes.first : scope.sourceClass) ?? "")
        )
    }

    /// Returns the kept volume with which a claim's rollback began, where there is no staging claim yet: the volume is
    /// reserved, or the rollback's lock exists.
    private func volumeToRollBack(to state: ClaimState) -> PersistentVolume? {
        volumes.first { volume in
            guard let kept = KeptVolume(volume), kept.claim == state.name, kept.successor == state.claim?.metadata.uid
            else { return false }
            return volume.claim == state.stagingName
                || leases.contains { $0.isOfRun(from: volume.spec.storageClassName, to: state.claim?.storageClassName) }
        }
    }

    /// Returns a claim's mover; where several are there, the one that copies, and not the one that stands beside it.
    func mover(of state: ClaimState) -> Pod? {
        let movers = movers(of: state)
        return movers.first { $0.metadata.name.hasPrefix(Marks.Kind.mover) } ?? movers.first
    }

    func movers(of state: ClaimState) -> [Pod] {
        inventory.pods.filter { pod in
            guard pod.metadata.annotation(Marks.kind) == Marks.Kind.mover else { return false }
            guard pod.metadata.namespace == state.name.namespace else { return false }
            // The Go tool's movers name only the claim.
            guard let owner = pod.metadata.annotation(Marks.sourceUID) else {
                return pod.metadata.annotation(Marks.claim) == state.name.name
            }
            return owner == state.claim?.metadata.uid || owner == state.seal?.uid
        }
    }

    /// Returns the claims whose data may be only on a destination volume, and that no rerun can finish.
    fileprivate func cutOff(besides states: [ClaimState], _ scope: MigrationStatus.Scope) -> [MigrationStatus.Claim] {
        let known = Set(states.compactMap { $0.destination?.metadata.uid })
        return volumes.compactMap { volume in
            guard !volume.isKept, !known.contains(volume.metadata.uid), let name = volume.markedClaim,
                includes(name, scope)
            else { return nil }
            let claim = inventory.claims[name]
            let isUnreadable = volume.metadata.annotation(Marks.manifest) != nil && Seal(of: volume) == nil
            guard isUnreadable || volume.isSuperseded(by: claim) else { return nil }
            return MigrationStatus.Claim(cutOffAt: volume, of: name, claim: claim)
        }
    }

    /// Returns the claims that a copy to or from a computer has begun with and not finished.
    fileprivate func copiedToOrFromComputers(_ scope: MigrationStatus.Scope) -> [MigrationStatus.Claim] {
        let directions = Dictionary(
            volumes.compactMap { volume in volume.metadata.annotation(Marks.tree).map { (volume.metadata.name, $0) } },
            uniquingKeysWith: { $1 }
        )
        return claims.filter { includes($0.name, scope) }.compactMap { claim in
            guard let words = claim.filling else {
                let direction = claim.spec.volumeName.flatMap { directions[$0] }.flatMap(LocalTree.Direction.init)
                return direction.map { MigrationStatus.Claim(claim, begunBy: $0) }
            }
            var told = MigrationStatus.Claim(
                name: claim.name,
                stage: .halfFilled,
                state: "it is only half filled: an upload has begun (\(words.shortened(to: 300))), and not finished",
                next: "leaves it alone; run that upload again to finish it, or do without it: "
                    + pasteable("pvmigrate abort upload --as-it-is --pvc \(claim.name)", names: ["\(claim.name)"])
            )
            told.isBlocked = true
            told.sourceClass = claim.storageClassName
            told.sourceVolume = claim.spec.volumeName
            return told
        }
    }

    /// Returns the claims of a class, except those that a migration made and those that are deleted with their pods.
    fileprivate func migratable(
        of storageClass: String,
        _ scope: MigrationStatus.Scope
    ) -> [PersistentVolumeClaim] {
        claims.filter {
            ClassChoice(name: storageClass).admits($0) && $0.metadata.annotation(Marks.kind) == nil
                && $0.bondToOther == nil && includes($0.name, scope)
        }
    }
}

extension PersistentVolume {
    /// The claim that the marks of a destination volume or a kept volume name.
    fileprivate var markedClaim: ObjectName? {
        guard let name = metadata.annotation(Marks.sourceClaim) else { return nil }
        guard let namespace = metadata.annotation(Marks.sourceNamespace) else { return nil }
        return ObjectName(name, in: namespace)
    }

    /// Returns true where the Go tool copied to the volume and never bound the claim to it, and a claim of that name
    /// was made later and is bound to another volume.
    fileprivate func isSuperseded(by claim: PersistentVolumeClaim?) -> Bool {
        guard GoMarks(self) != nil, let claim, let bound = claim.spec.volumeName, bound != metadata.name else {
            return false
        }
        if self.claim == claim.name, !(spec.claimRef?.uid ?? "").isEmpty { return false }
        guard let made = claim.metadata.creationTimestamp, let copied = metadata.creationTimestamp else { return true }
        return made > copied
    }
}

extension ClaimState {
    /// True where the claim has a staging claim of its own.
    var hasStaging: Bool { ownStaging != nil }
}

extension Survey {
    fileprivate func stopped(
        begun: [MigrationStatus.Claim],
        cutOff: [MigrationStatus.Claim],
        _ scope: MigrationStatus.Scope
    ) -> [MigrationStatus.Stopped] {
        inventory.workloads.compactMap { workload in
            guard workload.isMarked else { return nil }
            let names = Set(workload.mountedClaims)
            guard names.contains(where: { includes($0, scope) }) else { return nil }
            let own = begun.filter { names.contains($0.name) }
            guard own.isEmpty || own.contains(where: scope.includes) else { return nil }
            return MigrationStatus.Stopped(
                workload,
                begun: !own.isEmpty,
                waitsFor: cutOff.first { names.contains($0.name) }
            )
        }
    }

    fileprivate func kept(besides states: [ClaimState], _ scope: MigrationStatus.Scope) -> [MigrationStatus.Kept] {
        // The volume of a rollback that is under way is reported with its claim.
        let used = Set(states.compactMap { $0.destination?.metadata.uid })
        return volumes.compactMap { volume in
            guard let kept = KeptVolume(volume), !used.contains(volume.metadata.uid) else { return nil }
            let successor = inventory.claims[kept.claim].flatMap { $0.metadata.uid == kept.successor ? $0 : nil }
            guard includes(kept.claim, scope),
                scope.includes(source: volume.spec.storageClassName, destination: successor?.storageClassName)
            else { return nil }
            return MigrationStatus.Kept(kept: kept, hasSuccessor: successor != nil)
        }
    }

    /// Returns notes on volumes of the source class without a claim, and on volumes of the Go tool that only a person
    /// can judge.
    fileprivate func notes(besides states: [ClaimState], _ scope: MigrationStatus.Scope) -> [Obstacle] {
        let known = Set(states.flatMap { [$0.source, $0.destination] }.compactMap { $0?.metadata.uid })
        return volumes.compactMap { volume in
            guard !volume.isKept, !volume.metadata.isTerminating, !known.contains(volume.metadata.uid),
                volume.metadata.annotation(Marks.sourceUID) == nil
            else { return nil }
            if let marks = GoMarks(volume), includes(marks.claim, scope),
                scope.includes(source: nil, destination: volume.spec.storageClassName),
                case .unclear(let note) = state(of: marks, scope)
            {
                return note
            }
            guard let storageClass = scope.sourceClass, ClassChoice(name: storageClass).admits(volume),
                includes(volume.claim, scope), volume.isAbandoned
            else { return nil }
            return Obstacle(
                namespace: volume.claim?.namespace,
                resource: volume.title,
                message: "is \(volume.phase) with the policy \(volume.reclaimPolicy), and has no claim"
                    + (volume.claim.map { "; it had \($0)" } ?? "")
            )
        }
    }
}

extension PersistentVolume {
    /// True where nothing uses the volume and nothing will delete it.
    fileprivate var isAbandoned: Bool {
        switch phase {
        case .available, .failed: true
        case .released: reclaimPolicy != .delete
        default: false
        }
    }
}

extension MigrationStatus.Stopped {
    fileprivate init(_ workload: Workload, begun: Bool, waitsFor cutOff: MigrationStatus.Claim?) {
        kind = workload.kind
        name = workload.name
        replicas = workload.replicas
        do {
            scale = try workload.markedScale()
        } catch {
            scale = nil
            state = "\(error); correct or remove it"
            isBlocked = true
            return
        }
        state =
            switch (workload.replicas > 0, begun) {
            case (true, true): "somebody has started it again; a rerun stops it for the copy"
            case (true, false): "somebody has started it again; a rerun takes the mark off"
            case (false, _): "stopped; a rerun starts it again"
            }
        if let cutOff, workload.replicas == 0 {
            state = "stopped; see to its claim \(cutOff.name.name) first"
            isBlocked = true
        }
        if workload.metadata.annotation(Marks.whenScaled) != nil { state += ", and lets it delete its claims again" }
    }
}

extension MigrationStatus.Claim {
    /// A claim that a copy to or from a computer has begun with, and not written to.
    fileprivate init(_ claim: PersistentVolumeClaim, begunBy direction: LocalTree.Direction) {
        let command = "pvmigrate abort \(direction.rawValue) --pvc \(claim.name)"
        self.init(
            name: claim.name,
            stage: .treeBegun,
            state: "\(direction == .upload ? "an" : "a") \(direction.rawValue) has begun with it, and not ended",
            next: "leaves it alone; run that \(direction.rawValue) again to finish it, or take it back: "
                + pasteable(command, names: ["\(claim.name)"])
        )
        isBlocked = true
        (sourceClass, sourceVolume) = (claim.storageClassName, claim.spec.volumeName)
    }
}
