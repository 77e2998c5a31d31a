import Kubernetes

/// Makes the destination volumes carry all that is needed to finish without the source claims.
///
/// - Before: the claims are copied, and nothing has used them since.
/// - After: each destination volume bears, from one patch: Retain, the source claim's manifest, its name, the source
///   volume's original reclaim policy, and the workloads that were stopped for it.
///   In a retype it is made with all of this, as a new object of the source volume's storage.
/// - Safe to repeat because: another process removes the seal and copies again, as long as the source claim lives.
/// - Undone by: `unseal`.
struct Sealing: UnitAction {
    private let source: Client
    private let destination: Client
    private let reader: StateReader
    private let advance: Advance
    private let nodes: NodeCheck
    private let events: Events
    private let locks: Locks
    private let volumes: Volumes

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        reader = StateReader(context)
        advance = Advance(context)
        nodes = NodeCheck(context)
        events = Events(context)
        locks = Locks(context)
        volumes = Volumes(context, context.destination)
    }

    func perform(_ progress: inout Progress) async throws {
        try await nodes.check(&progress, isStopped: true)
        let unit = progress.unit
        try await advance.all(&progress) { state, action in
            switch action {
            case .seal: break
            case .blocked(let why): throw why
            case .stage(.create), .stage(.awaitBound), .stage(.awaitDeletion):
                throw Refusal("the staging claim \(state.stagingName) was deleted by somebody")
            case .protect, .stage, .copy, .detach, .rebind, .release, .done: return nil
            }
            // The state was last read before the copy.
            let fresh = try await reader.read(state)
            guard fresh.next == .seal else { return fresh }
            return try await seal(fresh, users: unit.users(of: state))
        }
    }

    private func seal(_ state: ClaimState, users: [String]) async throws -> ClaimState {
        for claim in [state.transfer.ending == .copy ? nil : state.sourceClaim, state.staging].compactMap(\.self) {
            if let why = Successor.hold(of: claim.metadata.finalizers) {
                throw Failure(place: claim.title, reason: why)
            }
        }
        if state.transfer.method == .retype, state.destination == nil { return try await create(state, users: users) }
        // Without the source claim this makes a run of the Go tool durable. The staging claim may be gone.
        let isHandOver = state.transfer.method == .handOver
        let holder = isHandOver ? state.sourceClaim : state.staging
        guard let volume = isHandOver ? state.source : state.destination,
            state.sourceClaim == nil || volume.spec.claimRef?.uid == holder?.metadata.uid
        else { throw Refusal("the staging claim \(state.stagingName) has no volume any more") }
        let sealed = try await destination.patch(
            PersistentVolume.self,
            volume.name,
            .merge(
                onto: volume.metadata,
                [
                    "metadata": ["annotations": try state.sealMarks(try await manifest(toSeal: state), users: users)],
                    "spec": ["persistentVolumeReclaimPolicy": JSON(ReclaimPolicy.retain)],
                ]
            )
        )
        var state = state
        state.destination = sealed
        state.seal = Seal(of: sealed)
        events.record(.sealed, of: state)
        return state
    }

    /// Creates the new volume object of a retype. It is sealed from the beginning, so no other object is ever found.
    private func create(_ state: ClaimState, users: [String]) async throws -> ClaimState {
        guard let claim = state.sourceClaim, let storageClass = state.transfer.storageClass else { return state }
        let old = try await source.get(.volumes, ObjectName(claim.spec.volumeName ?? "", in: nil))
        guard let volume = state.source, old[path: ["metadata", "uid"]]?.string == volume.metadata.uid,
            old[path: ["spec", "claimRef", "uid"]]?.string == claim.metadata.uid,
            old[path: ["spec", "persistentVolumeReclaimPolicy"]] == JSON(ReclaimPolicy.retain),
            old[path: ["metadata", "deletionTimestamp"]] == nil
        else { throw Refusal("its volume was changed by somebody while it was stopped; run again") }
        let manifest = try RetypedVolume.manifest(
            of: old,
            volume,
            for: state.transfer.destination,
            class: storageClass,
            provisioner: state.transfer.provisioner,
            marks: try state.sealMarks(try await self.manifest(toSeal: state), users: users)
        )
        try await locks.confirm()
        var state = state
        let sealed = try await destination.create(PersistentVolume.self, in: nil, manifest)
        state.destination = sealed
        state.seal = Seal(of: sealed)
        events.record(.sealed, of: state)
        return state
    }

    private func manifest(toSeal state: ClaimState) async throws -> JSON {
        if let seal = state.seal { return seal.manifest }
        let claim = try await source.get(.claims, state.name)
        guard claim[path: ["metadata", "uid"]]?.string == state.claim?.metadata.uid else {
            throw Refusal("the claim was replaced by another while it was copied")
        }
        return Seal.manifest(of: claim, isHandedOver: state.transfer.method == .handOver)
    }

    /// Removes a seal, and with it the policy Retain, which is right only as long as the source claim lives.
    func unseal(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        let sealed = [state.observation.staleSeal, state.destination].compactMap(\.self).first(where: \.bearsSeal)
        guard let claim = state.sourceClaim, !claim.metadata.isTerminating, let sealed else { return state }
        if sealed.metadata.annotation(Marks.retypedFrom) != nil { return try await unmake(sealed, of: state) }
        var dropped = Marks.ofSeal
        var change: JSON = [:]
        let isHandedOver = sealed.metadata.uid == state.source?.metadata.uid
        if isHandedOver {
            // The volume stays protected.
            dropped += [Marks.sourceNamespace, Marks.sourceClaim]
        } else {
            dropped += [Marks.ending, Marks.targetNamespace, Marks.target]
            // A kept volume still belongs to the claim.
            if !sealed.isKept {
                change["spec"] = ["persistentVolumeReclaimPolicy": JSON(sealed.markedPolicy ?? .retain)]
                dropped += [Marks.sourceNamespace, Marks.sourceClaim, Marks.reclaimPolicy, Marks.size]
            }
        }
        let marks = dropped.filter { sealed.metadata.annotation($0) != nil }.map { ($0, JSON.null) }
        change["metadata"] = ["annotations": .object(Dictionary(uniqueKeysWithValues: marks))]
        let unsealed = try await destination.patch(
            PersistentVolume.self,
            sealed.name,
            .merge(onto: sealed.metadata, change)
        )
        if sealed.metadata.uid == state.destination?.metadata.uid { state.destination = unsealed }
        if isHandedOver { (state.source, state.destination) = (unsealed, nil) }
        state.observation.staleSeal = nil
        state.seal = nil
        return state.destination?.metadata.annotation(Marks.manifest) == nil ? state : try await unseal(state)
    }
}

extension Sealing {
    /// Deletes the new volume object of a retype, and waits until it is gone: the old one may get its policy back only
    /// then.
    private func unmake(_ new: PersistentVolume, of start: ClaimState) async throws -> ClaimState {
        guard [nil, "", new.metadata.annotation(Marks.retypedFrom)].contains(new.spec.claimRef?.uid) else {
            throw Refusal("the volume \(new.metadata.name) is bound to a claim already")
        }
        if !new.metadata.isTerminating { try await volumes.deleteObject(new) }
        try await volumes.awaitObjectDeletion(new, start)
        var state = start
        if state.destination?.metadata.uid == new.metadata.uid { state.destination = nil }
        (state.observation.staleSeal, state.seal) = (nil, nil)
        return state
    }
}

extension ClaimState {
    /// Returns the marks of the destination volume.
    ///
    /// - Throws: `Refusal` where they are too large.
    fileprivate func sealMarks(_ manifest: JSON, users: [String]) throws(Refusal) -> JSON {
        let text = String(decoding: manifest.text, as: UTF8.self)
        // Discovery checks the size, but somebody may have added to the claim since.
        guard text.utf8.count <= Seal.limit else {
            throw Refusal("the claim's manifest has \(text.utf8.count) bytes, more than an annotation can hold")
        }
        var annotations: JSON = [:]
        annotations[Marks.manifest] = .string(text)
        annotations[Marks.sourceNamespace] = name.namespace.map(JSON.string)
        annotations[Marks.sourceClaim] = .string(name.name)
        annotations[Marks.reclaimPolicy] = JSON(destinationPolicy)
        if !transfer.isInPlace {
            for (mark, value) in transfer.plan.marks { annotations[mark] = value }
            let uid = manifest[path: ["metadata", "uid"]]?.string ?? ""
            annotations[Marks.origin] = .string(Origin(uid: uid, name: name).text)
        }
        if sourceClaim == nil { annotations[Marks.deleting] = manifest[path: ["metadata", "uid"]] ?? "" }
        if !users.isEmpty { annotations[Marks.users] = .string(users.joined(separator: ",")) }
        // The size of a kept volume is right already.
        if let size = ownStaging?.metadata.annotation(Marks.size) { annotations[Marks.size] = .string(size) }
        return annotations
    }
}
