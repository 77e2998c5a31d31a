import FoundationEssentials
public import Kubernetes

/// Everything that a status is told from.
struct Survey: Sendable {
    var inventory: Inventory
    var leases: [Lease] = []
    /// The names of the StorageClasses; nil where they could not be listed.
    var classes: [String]?
    var unseen: [Obstacle] = []
    /// By this machine's clock.
    var now: Date
}

extension Client {
    /// Tells what migrations have left in the cluster; it only reads.
    ///
    /// What the caller may not list is said in the status, except for volumes and claims.
    ///
    /// - Throws: `APIError`.
    public func status(_ scope: MigrationStatus.Scope) async throws -> MigrationStatus {
        let namespace = scope.namespace
        async let volumes = list(PersistentVolume.self)
        async let claims = list(PersistentVolumeClaim.self, in: namespace)
        async let pods = permitted(Pod.self, in: namespace, otherwise: "movers are not told of")
        async let sets = permitted(StatefulSet.self, in: namespace, otherwise: "stopped ones are not told of")
        async let deployments = permitted(Deployment.self, in: namespace, otherwise: "stopped ones are not told of")
        async let leases = permitted(Lease.self, in: Migrator.lockNamespace, otherwise: "locks are not told of")
        async let classes = permitted(StorageClass.self, in: nil, otherwise: "that a class is gone is not told")
        let inventory = Inventory(
            volumes: try await volumes,
            claims: try await claims,
            pods: try await pods.items,
            workloads: try await sets.items.map(Workload.init) + (try await deployments.items.map(Workload.init))
        )
        let refusals = [
            try await pods.refusal, try await sets.refusal, try await deployments.refusal, try await leases.refusal,
            try await classes.refusal,
        ]
        let survey = Survey(
            inventory: inventory,
            leases: try await leases.items,
            classes: try await classes.refusal == nil ? try await classes.items.map(\.metadata.name) : nil,
            unseen: refusals.compactMap(\.self),
            now: time.timeOfDay
        )
        return MigrationStatus(survey, scope: scope)
    }

    /// Lists what the caller may list; else nothing, and why.
    private func permitted<Object: KubernetesObject>(
        _ type: Object.Type,
        in namespace: String?,
        otherwise: String
    ) async throws -> Permitted<Object> {
        do {
            return Permitted(items: try await list(type, in: namespace))
        } catch let error as APIError where error.reason == .forbidden {
            let refusal = Obstacle(
                namespace: namespace,
                resource: Object.resource.plural,
                message: "may not be listed, so \(otherwise): \(error.message)"
            )
            return Permitted(items: [], refusal: refusal)
        }
    }
}

private struct Permitted<Object: KubernetesObject>: Sendable {
    var items: [Object]
    var refusal: Obstacle?
}

extension MigrationStatus {
    /// Tells a status from what was listed.
    init(_ survey: Survey, scope: Scope) {
        let states = survey.states(in: scope.namespace)
        let cutOff = survey.cutOff(besides: states, in: scope.namespace)
        let begun = states.map { $0.claim(mover: survey.mover(of: $0)) }
        claims = (begun + cutOff).filter(scope.includes).sorted { $0.name < $1.name }
        workloads = survey.stopped(begun: begun, cutOff: cutOff, scope)
        kept = survey.kept(scope)
        let allLocks = survey.locks(scope)
        locks = allLocks.filter { $0.seemsAlive || isOpen }
        leftovers =
            survey.leftovers(besides: states, cutOff, scope)
            + allLocks.filter { !$0.seemsAlive && !isOpen }.map(\.leftover)
        notes = survey.notes(besides: states, scope)
        unseen = survey.unseen
        let names = Set((begun + cutOff).map(\.name))
        toMigrate = scope.sourceClass.map { survey.migratable(of: $0).count { !names.contains($0.name) } }
        onDestination = scope.destinationClass.map { survey.migratable(of: $0).count { $0.phase == "Bound" } }
        commands = survey.commands(finishing: self, begun: states, scope)
    }
}

extension MigrationStatus.Scope {
    fileprivate func includes(_ claim: MigrationStatus.Claim) -> Bool {
        includes(source: claim.sourceClass, destination: claim.destinationClass)
    }

    /// A class that is not known may be the one that is meant.
    fileprivate func includes(source: String?, destination: String?) -> Bool {
        (sourceClass == nil || source == nil || source == sourceClass)
            && (destinationClass == nil || destination == nil || destination == destinationClass)
    }

    fileprivate func includes(namespace: String?) -> Bool { self.namespace == nil || namespace == self.namespace }
}

// MARK: Claims

extension Survey {
    private var volumes: [PersistentVolume] {
        inventory.volumes.values.sorted { $0.metadata.name < $1.metadata.name }
    }

    private var claims: [PersistentVolumeClaim] { inventory.claims.values.sorted { $0.name < $1.name } }

    /// The claims whose migration was begun: by the seals, the staging claims, and the marks of the source volumes.
    fileprivate func states(in namespace: String?) -> [ClaimState] {
        var states: [ClaimState] = volumes.compactMap { volume in
            guard let seal = Seal(of: volume) else { return nil }
            guard namespace == nil || seal.name.namespace == namespace else { return nil }
            return inventory.state(of: seal.name, seal: seal, destination: volume)
        }
        let sealed = Set(states.map(\.name))
        for claim in claims where claim.metadata.annotation(Marks.kind) == nil && !sealed.contains(claim.name) {
            let state = inventory.state(of: claim.name, seal: nil, destination: nil)
            if state.hasStaging || state.source?.metadata.annotation(Marks.sourceUID) == claim.metadata.uid {
                states.append(state)
            }
        }
        return states
    }

    fileprivate func mover(of state: ClaimState) -> Pod? {
        inventory.pods.first { pod in
            guard pod.metadata.annotation(Marks.kind) == Marks.Kind.mover else { return false }
            guard pod.metadata.namespace == state.name.namespace else { return false }
            // The Go tool's movers name the claim only.
            guard let owner = pod.metadata.annotation(Marks.sourceUID) else {
                return pod.metadata.annotation(Marks.claim) == state.name.name
            }
            return owner == state.claim?.metadata.uid || owner == state.seal?.uid
        }
    }

    /// The claims that the Go tool was cut off at while it swapped their volumes.
    ///
    /// Its marks stay on the destination volumes for ever, so they alone say nothing: a volume that was ever bound to
    /// the claim that they name was migrated.
    fileprivate func cutOff(besides states: [ClaimState], in namespace: String?) -> [MigrationStatus.Claim] {
        let known = Set(states.compactMap { $0.destination?.metadata.uid })
        return volumes.compactMap { volume in
            guard !volume.isKept, !known.contains(volume.metadata.uid), let name = volume.markedClaim,
                namespace == nil || name.namespace == namespace
            else { return nil }
            // Bound to it, or once bound to it: done.
            if volume.claim == name, !(volume.spec.claimRef?.uid ?? "").isEmpty,
                volume.metadata.annotation(Marks.manifest) == nil
            {
                return nil
            }
            return MigrationStatus.Claim(cutOffAt: volume, of: name, claim: inventory.claims[name])
        }
    }

    /// The claims of a class, but for those that a migration made, and those that go with their pods.
    fileprivate func migratable(of storageClass: String) -> [PersistentVolumeClaim] {
        claims.filter {
            $0.storageClassName == storageClass && $0.metadata.annotation(Marks.kind) == nil
                && $0.metadata.controller?.kind != "Pod"
        }
    }
}

extension PersistentVolume {
    /// The claim that the marks of a destination volume, or of a kept one, name.
    fileprivate var markedClaim: ObjectName? {
        guard let name = metadata.annotation(Marks.sourceClaim) else { return nil }
        guard let namespace = metadata.annotation(Marks.sourceNamespace) else { return nil }
        return ObjectName(name, in: namespace)
    }
}

extension ClaimState {
    /// True while a staging claim belongs to the claim, which has not its class yet.
    fileprivate var hasStaging: Bool {
        guard let staging, strangeness(of: staging) == nil else { return false }
        return seal != nil || claim?.storageClassName != staging.storageClassName
    }
}

// MARK: Everything else

extension Survey {
    fileprivate func stopped(
        begun: [MigrationStatus.Claim],
        cutOff: [MigrationStatus.Claim],
        _ scope: MigrationStatus.Scope
    ) -> [MigrationStatus.Stopped] {
        inventory.workloads.compactMap { workload in
            guard workload.metadata.annotation(Marks.scale) != nil else { return nil }
            let names = Set(workload.claimNames.map { ObjectName($0, in: workload.name.namespace) })
            let own = begun.filter { names.contains($0.name) }
            guard own.isEmpty || own.contains(where: scope.includes) else { return nil }
            return MigrationStatus.Stopped(
                workload,
                begun: !own.isEmpty,
                waitsFor: cutOff.first { names.contains($0.name) }
            )
        }
    }

    fileprivate func kept(_ scope: MigrationStatus.Scope) -> [MigrationStatus.Kept] {
        volumes.compactMap { volume in
            guard let since = volume.metadata.annotation(Marks.kept) else { return nil }
            let claim = volume.markedClaim ?? volume.claim ?? ObjectName("?", in: nil)
            let successor = inventory.claims[claim].flatMap {
                $0.metadata.uid == volume.metadata.annotation(Marks.successor) ? $0 : nil
            }
            guard scope.includes(namespace: claim.namespace),
                scope.includes(source: volume.spec.storageClassName, destination: successor?.storageClassName)
            else { return nil }
            return MigrationStatus.Kept(
                volume: volume.metadata.name,
                claim: claim,
                storageClass: volume.spec.storageClassName,
                size: volume.spec.capacity?["storage"],
                since: since,
                policy: volume.metadata.annotation(Marks.reclaimPolicy) ?? volume.reclaimPolicy,
                hasSuccessor: successor != nil
            )
        }
    }

    fileprivate func locks(_ scope: MigrationStatus.Scope) -> [MigrationStatus.Lock] {
        leases.sorted { $0.name < $1.name }.compactMap { lease in
            guard lease.metadata.name.hasPrefix(Migrator.lockPrefix) else { return nil }
            let lock = MigrationStatus.Lock(lease, now: now)
            return scope.includes(source: lock.sourceClass, destination: nil) ? lock : nil
        }
    }

    /// What bears our marks and belongs to nothing that is under way.
    fileprivate func leftovers(
        besides states: [ClaimState],
        _ cutOff: [MigrationStatus.Claim],
        _ scope: MigrationStatus.Scope
    ) -> [Obstacle] {
        let stagingClaims = Set(states.compactMap { $0.hasStaging ? $0.staging?.metadata.uid : nil })
        let swapped = Set(cutOff.compactMap(\.destinationVolume))
        let volumesInUse = Set(states.compactMap { $0.source?.metadata.uid })
        let awake = Set(states.compactMap { $0.claim?.metadata.uid })
        let movers = Set(states.compactMap { mover(of: $0)?.metadata.uid })
        var found: [Obstacle] = []
        func add(_ object: some KubernetesObject, _ message: String) {
            found.append(Obstacle(namespace: object.metadata.namespace, resource: object.title, message: message))
        }
        for claim in claims {
            switch claim.metadata.annotation(Marks.kind) {
            case Marks.Kind.preflight: add(claim, claim.metadata.leftByPreflight)
            case Marks.Kind.staging where !stagingClaims.contains(claim.metadata.uid):
                guard scope.includes(source: nil, destination: claim.storageClassName) else { continue }
                guard claim.spec.volumeName.map(swapped.contains) != true else { continue }
                add(claim, whyUseless(claim))
            default:
                guard claim.metadata.annotation(Marks.wake) != nil, !awake.contains(claim.metadata.uid) else {
                    continue
                }
                add(claim, "bears the mark \(Marks.wake), which means nothing any more; remove it")
            }
        }
        for pod in inventory.pods {
            switch pod.metadata.annotation(Marks.kind) {
            case Marks.Kind.preflight: add(pod, pod.metadata.leftByPreflight)
            case Marks.Kind.mover where !movers.contains(pod.metadata.uid):
                let claim = ObjectName(pod.metadata.annotation(Marks.claim) ?? "?", in: pod.metadata.namespace)
                add(pod, "is a mover of \(claim), whose migration is not under way (\(pod.phase)); delete it")
            default: break
            }
        }
        for workload in inventory.workloads
        where workload.metadata.annotation(Marks.whenScaled) != nil && workload.metadata.annotation(Marks.scale) == nil
        {
            found.append(
                Obstacle(
                    namespace: workload.name.namespace,
                    resource: workload.title,
                    message: "bears the mark \(Marks.whenScaled) without a scale: set its whenScaled to Delete again, "
                        + "and remove the mark"
                )
            )
        }
        for volume in volumes where volume.metadata.annotation(Marks.sourceUID) != nil && !volume.isKept {
            guard !volumesInUse.contains(volume.metadata.uid), scope.includes(namespace: volume.claim?.namespace),
                scope.includes(source: volume.spec.storageClassName, destination: nil)
            else { continue }
            add(
                volume,
                "is protected, with the data of the claim \(volume.claim.map { "\($0)" } ?? "?"), which was deleted "
                    + "before it was migrated; its policy was "
                    + "\(volume.metadata.annotation(Marks.reclaimPolicy) ?? volume.reclaimPolicy)"
            )
        }
        return found
    }

    /// Why a staging claim is of no use any more.
    private func whyUseless(_ staging: PersistentVolumeClaim) -> String {
        let name = ObjectName(staging.metadata.annotation(Marks.claim) ?? "?", in: staging.metadata.namespace)
        if staging.metadata.isTerminating { return "was the staging claim of \(name), and is being deleted" }
        guard let claim = inventory.claims[name] else {
            return "was the staging claim of \(name), which does not exist any more; delete it"
        }
        if claim.storageClassName == staging.storageClassName {
            return "was the staging claim of \(name), which is of the class "
                + "\(staging.storageClassName ?? "?") already; delete it"
        }
        return "is no staging claim of the \(name) that exists now, but has its name, so that a run would refuse "
            + "that claim; delete it"
    }

    /// Volumes of the source class without a claim, and what the Go tool leaves undone when it is cut off.
    fileprivate func notes(besides states: [ClaimState], _ scope: MigrationStatus.Scope) -> [Obstacle] {
        let sources = Set(states.compactMap { $0.source?.metadata.uid })
        return volumes.compactMap { volume in
            guard !volume.isKept, !volume.metadata.isTerminating, !sources.contains(volume.metadata.uid),
                volume.metadata.annotation(Marks.sourceUID) == nil
            else { return nil }
            if let message = volume.leftByGoTool, let claim = volume.markedClaim,
                scope.includes(namespace: claim.namespace),
                scope.includes(source: nil, destination: volume.spec.storageClassName)
            {
                return Obstacle(namespace: claim.namespace, resource: volume.title, message: message)
            }
            guard let storageClass = scope.sourceClass, volume.spec.storageClassName == storageClass,
                scope.includes(namespace: volume.claim?.namespace), volume.isAbandoned
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

extension ObjectMeta {
    fileprivate var leftByPreflight: String {
        "was made by a preflight\(creationTimestamp.map { " at \($0)" } ?? ""), which removes it when it ends; one that "
            + "was killed leaves it to the next one"
    }
}

extension PersistentVolume {
    /// True where nothing uses the volume and nothing will delete it.
    fileprivate var isAbandoned: Bool {
        switch phase {
        case "Available", "Failed": true
        case "Released": reclaimPolicy != "Delete"
        default: false
        }
    }

    /// What is odd about a volume that the Go tool has migrated to; nil where nothing is.
    fileprivate var leftByGoTool: String? {
        guard let name = markedClaim, claim == name, metadata.annotation(Marks.manifest) == nil else { return nil }
        if phase == "Released" { return "is Released: \(name), which was migrated to it, does not exist any more" }
        guard reclaimPolicy == "Retain", let former = metadata.annotation(Marks.reclaimPolicy), former != "Retain"
        else {
            return nil
        }
        return "has the policy Retain; the source volume of \(name) had \(former)"
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

extension MigrationStatus.Lock {
    fileprivate init(_ lease: Lease, now: Date) {
        name = lease.name
        sourceClass = String(lease.metadata.name.dropFirst(Migrator.lockPrefix.count))
        holder = lease.spec.holderIdentity ?? ""
        since = lease.spec.acquireTime
        renewed = lease.spec.renewTime
        let last = lease.spec.renewTime.flatMap(Date.init(api:))
        age = last.map { .seconds(max(0, Int(min(now.timeIntervalSince($0), 1e9)))) }
        // A clock may be off by a little; who is silent for three times as long as a lease lasts is hardly there.
        let patience = Duration.seconds(3 * min(lease.spec.leaseDurationSeconds ?? 15, 3600))
        seemsAlive = !holder.isEmpty && age.map { $0 <= patience } ?? true
    }

    fileprivate var leftover: Obstacle {
        Obstacle(
            namespace: name.namespace,
            resource: "Lease \(name)",
            message:
                "is held by \(holder), not renewed since \(renewed ?? "?"); the next run of the class takes it over"
        )
    }
}
