import Kubernetes

/// The objects that discovery listed, by name.
struct Inventory: Sendable {
    var volumes: [String: PersistentVolume]
    var claims: [ObjectName: PersistentVolumeClaim]
    /// The claims that are in the namespace of a transfer's destinations.
    var targets: [ObjectName: PersistentVolumeClaim] = [:]
    private var claimsByUID: [String: PersistentVolumeClaim]
    /// The seals of volumes, by the volumes' names.
    private let seals: [String: Seal]
    /// The sealed volumes, by the UID of the sealed claim.
    private let sealed: [String: [PersistentVolume]]
    /// The UIDs of claims that runs made, as volumes record them.
    private(set) var madeByRuns: Set<String>
    var pods: [Pod]
    /// The pods that use claims: all except those that copy or serve one.
    let users: [Pod]
    /// The workloads that nothing else owns, and those that a migration stopped.
    var workloads: [Workload]
    /// StatefulSets of which an earlier run left only a record. The record is only to be removed.
    var unfinished: [Workload]
    /// All workloads of Kubernetes' own kinds, by UID.
    var owners: [String: Workload]
    /// The claims that match the label selector; nil without a selector.
    var labelled: Set<ObjectName>?
    /// The classes, as far as they were listed.
    private let classes: [StorageClass]
    /// The listed objects that cannot be read.
    var unreadable: [ObjectName: [Unreadable]]

    init(
        volumes: [PersistentVolume],
        claims: [PersistentVolumeClaim],
        pods: [Pod],
        workloads: [Workload],
        classes: [StorageClass] = [],
        unreadable: [Unreadable] = []
    ) {
        self.classes = classes
        self.unreadable = Dictionary(grouping: unreadable, by: \.name)
        self.volumes = Dictionary(volumes.map { ($0.metadata.name, $0) }, uniquingKeysWith: { $1 })
        let byName = Dictionary(claims.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        self.claims = byName
        claimsByUID = Dictionary(claims.map { ($0.metadata.uid, $0) }, uniquingKeysWith: { $1 })
        madeByRuns = Set(volumes.flatMap(\.madeClaims))
        let seals = self.volumes.compactMapValues { Seal(of: $0) }
        self.seals = seals
        sealed = Dictionary(grouping: self.volumes.values.sorted { $0.metadata.name < $1.metadata.name }) {
            seals[$0.metadata.name]?.uid ?? ""
        }
        self.pods = pods
        users = pods.filter { pod in
            !pod.isGoToolsMover(of: Set(pod.claimNames))
                && !pod.isMover { byName[ObjectName($0, in: pod.metadata.namespace)]?.metadata.uid }
        }
        // A StatefulSet that was to be recreated and is still unchanged needs no removal.
        let recreated = workloads.filter { $0.record != nil && $0.resource == .statefulSets && $0.replicas > 0 }
        let uids = Set(recreated.map(\.metadata.uid))
        unfinished = recreated
        let workloads = workloads.filter { $0.record == nil || !uids.contains($0.metadata.uid) }
            .naming(Set(claims.map(\.name) + unreadable.map(\.name) + volumes.flatMap(\.namedClaims)))
        // A workload with an owner is reached through its pods: the owner decides.
        self.workloads = workloads.filter { $0.metadata.controller == nil || $0.isMarked }
            .sorted(by: Workload.stopsBefore)
        owners = Dictionary(
            workloads.filter { $0.record == nil }.map { ($0.metadata.uid, $0) },
            uniquingKeysWith: { $1 }
        )
    }

    /// Returns the state of a claim's migration, from the lists.
    ///
    /// - Parameters:
    ///   - destination: The destination volume, where it is known without the staging claim.
    ///   - goal: The requested migration; nil for any.
    func state(
        of name: ObjectName,
        seal: Seal?,
        destination: PersistentVolume?,
        _ goal: Options?
    ) -> ClaimState {
        let uid = seal?.uid ?? claims[name]?.metadata.uid
        var state = ClaimState(transfer(of: name, uid: uid, goal, seal), claim: claims[name], seal: seal)
        if !state.transfer.isInPlace {
            state.target = targets[state.transfer.destination] ?? claims[state.transfer.destination]
        }
        state.transfer.ownerOfPods = DataOwner(of: name, in: users)
        state.source = (seal?.sourceVolume ?? state.claim?.spec.volumeName).flatMap { volumes[$0] }
        state.destination = destination
        findStaging(of: &state)
        if seal == nil, let uid = state.claim?.metadata.uid {
            let paired = state.source?.metadata.annotation(Marks.retypedTo).flatMap { volumes[$0] }
            state.observation.staleSeal =
                sealed[uid]?.first { $0.metadata.uid != state.destination?.metadata.uid }
                ?? paired.flatMap { state.source.map($0.isRetyped) == true ? $0 : nil }
        }
        return state
    }

    private func transfer(of name: ObjectName, uid: String?, _ goal: Options?, _ seal: Seal? = nil) -> Transfer {
        let asked = goal.flatMap { $0.storageClass(for: seal?.sourceClass ?? claims[name]?.storageClassName) }
        let storageClass = classes.first { $0.metadata.name == asked }
        let plan =
            seal?.plan ?? goal?.plan(for: name) ?? planWritten(for: uid ?? "", name)
            ?? TransferPlan(destination: name, ending: .replace)
        var transfer = Transfer(
            of: name,
            uid: uid ?? "",
            to: plan.destination,
            ending: plan.ending,
            storageClass: asked,
            bindsAtOnce: storageClass?.waitsForFirstConsumer != true,
            method: goal?.pipeline.method ?? .copy
        )
        transfer.provisioner = storageClass?.provisioner
        transfer.policyOfClass = storageClass.map { $0.reclaimPolicy ?? .delete }
        return transfer
    }

    /// Returns the plan that volumes tell of a transfer to another name; nil where there is none.
    private func planWritten(for uid: String, _ name: ObjectName) -> TransferPlan? {
        if let seal = sealed[uid]?.first.flatMap({ seals[$0.metadata.name] }) { return seal.plan }
        let source = claims[name]?.spec.volumeName.flatMap { volumes[$0] }
        guard let source, source.spec.claimRef?.uid == uid else { return nil }
        let isUnderWay = source.metadata.annotation(Marks.sourceUID) == uid
        return isUnderWay || source.metadata.annotation(Marks.stagingUID) != nil ? source.markedPlan : nil
    }

    /// Returns the seal of a volume, where it counts.
    func seal(of volume: PersistentVolume) -> Seal? {
        guard let seal = seals[volume.metadata.name] else { return nil }
        // A claim that cannot be read cannot be said to be gone.
        guard unreadable(.claims, seal.name) == nil else { return seal }
        if seal.ending == .copy, claims[seal.name]?.metadata.uid == seal.uid,
            seals.values.contains(where: seal.isOfOneMoment)
        {
            return seal
        }
        let source = seal.sourceVolume.flatMap { volumes[$0] }
        return seal.counts(on: volume, claim: claims[seal.name], source: source, isCopied: false) ? seal : nil
    }

    /// Finds the staging claim by the UID that a volume bears, or else the first free name for it.
    func findStaging(of state: inout ClaimState) {
        let namespace = state.name.namespace
        let uids = [state.source?.metadata.annotation(Marks.stagingUID), state.destination?.spec.claimRef?.uid]
        var found = uids.lazy.compactMap { uid in uid.flatMap { claimsByUID[$0] } }
            .first { $0.metadata.namespace == namespace && state.isRecorded($0) && $0.name != state.name }
        if found == nil, let named = claims[state.stagingName], let volume = named.spec.volumeName {
            // No volume bears the UID of the Go tool's staging claim, but in the end its volume bears the source
            // claim's name.
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

    /// Returns notes of claims that bear the marks of a staging claim of these states without proof.
    func unproven(besides states: [ClaimState], _ options: Options) -> [Obstacle] {
        let names = Set(states.map(\.name))
        return claims.values.sorted { $0.name < $1.name }.filter { claim in
            claim.metadata.annotation(Marks.kind) == Marks.Kind.staging
                && !options.sources.admits(claim) && !madeByRuns.contains(claim.metadata.uid)
                && !states.contains { $0.staging?.metadata.uid == claim.metadata.uid }
                && names.contains(
                    ObjectName(claim.metadata.annotation(Marks.claim) ?? "", in: claim.metadata.namespace)
                )
        }.map(\.noteOfUnproven)
    }

    /// Returns the reason why a claim cannot be swapped back to a volume that was kept for it; nil where it can.
    func hindrance(to kept: KeptVolume, from sources: ClassChoice) -> Obstacle? {
        let why: String
        if let claim = claims[kept.claim] {
            if claim.metadata.uid == kept.successor, sources.admits(claim) { return nil }
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

    /// Returns the claim of a protected volume that somebody deleted; else nil. Another claim may have its name.
    ///
    /// - Parameter goal: The requested migration; nil for any.
    func lostClaim(of volume: PersistentVolume, _ goal: Options?) -> ClaimState? {
        guard let name = volume.claim else { return nil }
        var state = ClaimState(transfer(of: name, uid: volume.spec.claimRef?.uid, goal), claim: claims[name])
        state.source = volume
        guard state.isLost else { return nil }
        findStaging(of: &state)
        return state
    }

    /// Returns true when no claim of a stopped workload takes part in a migration of any class.
    func isFinished(_ workload: Workload) -> Bool {
        let sealed = Set(volumes.values.compactMap { seal(of: $0)?.name })
        let lost = Set(volumes.values.compactMap { lostClaim(of: $0, nil)?.name })
        // The Go tool may have deleted a claim, and not created it anew.
        let goTools = Set(volumes.values.compactMap { GoMarks($0)?.claim }.filter { claims[$0] == nil })
        return workload.claimNames.allSatisfy { name in
            let name = ObjectName(name, in: workload.name.namespace)
            if claims[name]?.filling != nil { return false }
            if sealed.contains(name) || lost.contains(name) || goTools.contains(name) { return false }
            let state = state(of: name, seal: nil, destination: nil, nil)
            if state.source?.metadata.annotation(Marks.tree) != nil { return false }
            // Nothing is started without proof, and an unproven claim may be a staging claim of the Go tool.
            return state.claim == nil || state.staging == nil && !state.isProtected && seemingStaging(of: state) == nil
        }
    }

    /// Returns the claim that bears the marks of a claim's staging claim and is of another class than that claim.
    ///
    /// The Go tool records no UID of its staging claim. Only the class tells that the source claim is not migrated yet.
    func seemingStaging(of state: ClaimState) -> PersistentVolumeClaim? {
        let named = claims[ObjectName(Marks.stagingName(of: state.name.name), in: state.name.namespace)]
        guard let named, named.metadata.annotation(Marks.kind) == Marks.Kind.staging,
            named.metadata.annotation(Marks.claim) == state.name.name
        else { return nil }
        return ClassChoice(name: state.claim?.storageClassName).admits(named) ? nil : named
    }
}
