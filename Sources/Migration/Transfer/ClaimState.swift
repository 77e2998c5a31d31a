public import Kubernetes

/// All that is known of one transfer: its plan, what was observed, and what this process remembers.
public struct ClaimState: Identifiable, Sendable, Equatable {
    public internal(set) var transfer: Transfer
    public var observation: Observation
    public var memory = Memory()

    init(_ transfer: Transfer, claim: PersistentVolumeClaim? = nil, seal: Seal? = nil) {
        self.transfer = transfer
        let name = ObjectName(Marks.stagingName(of: transfer.source.name), in: transfer.source.namespace)
        observation = Observation(claim: claim, seal: seal, stagingName: name)
    }

    public var id: Transfer.ID { transfer.id }
    /// The name of the source claim, which its successor bears too.
    public var name: ObjectName { transfer.source }

    // What is asked for most, by its own name.
    public var claim: PersistentVolumeClaim? {
        get { observation.claim }
        set { observation.claim = newValue }
    }
    public var source: PersistentVolume? {
        get { observation.source }
        set { observation.source = newValue }
    }
    public var staging: PersistentVolumeClaim? {
        get { observation.staging }
        set { observation.staging = newValue }
    }
    public var destination: PersistentVolume? {
        get { observation.destination }
        set { observation.destination = newValue }
    }
    public var seal: Seal? {
        get { observation.seal }
        set { observation.seal = newValue }
    }
    public var stagingName: ObjectName {
        get { observation.stagingName }
        set { observation.stagingName = newValue }
    }
    public var copied: Bool {
        get { memory.copied }
        set { memory.copied = newValue }
    }
    public var isReleased: Bool {
        get { memory.isReleased }
        set { memory.isReleased = newValue }
    }

    /// The destination volume where it is there already and need not be provisioned: a source volume that was kept for a
    /// rollback, or one that is sealed.
    var givenDestination: PersistentVolume? {
        guard let destination, seal != nil || destination.isKept else { return nil }
        return destination
    }

    /// The claim that is to be migrated, where it still exists.
    public var sourceClaim: PersistentVolumeClaim? {
        guard let claim else { return nil }
        if let seal { return claim.metadata.uid == seal.uid ? claim : nil }
        return claim
    }

    /// The size that the destination must have.
    public var size: Quantity? { transfer.sizeWanted ?? sourceSize }

    /// The size that it has now: no smaller than the volume, nor than what the claim asks for.
    public var sourceSize: Quantity? {
        let sizes = [source?.spec.capacity?["storage"], claim?.spec.resources?.requests?["storage"]]
        return sizes.compactMap(\.self).max()
    }

    /// The access modes that the claim shall have afterwards.
    ///
    /// - Throws: `Refusal` where its owner's annotation names none that exists.
    public func accessModes() throws(Refusal) -> [AccessMode] {
        guard let claim else { return seal?.accessModes ?? [] }
        guard let wanted = claim.wantedAccessMode else { return claim.spec.accessModes ?? [] }
        guard Self.knownAccessModes.contains(wanted) else {
            throw Refusal(
                "the annotation \(Marks.accessMode) is \"\(wanted.rawValue.shortened(to: 100))\"; it must be one of "
                    + Self.knownAccessModes.map(\.rawValue).joined(separator: ", ")
            )
        }
        return [wanted]
    }

    static let knownAccessModes: [AccessMode] = [.readWriteOnce, .readWriteMany, .readOnlyMany, .readWriteOncePod]

    /// The reclaim policy that the source volume had before it was protected.
    public var originalPolicy: ReclaimPolicy {
        guard let source else { return seal?.reclaimPolicy ?? .retain }
        // The UID is that of the claim that was protected; one that was deleted and got back has another one.
        if source.reclaimPolicy == .retain, source.metadata.annotation(Marks.sourceUID) != nil,
            let policy = source.markedPolicy
        {
            return policy
        }
        if let seal { return seal.reclaimPolicy }
        // The Go tool keeps it on the volume that it migrates to.
        if source.reclaimPolicy == .retain, let destination,
            destination.metadata.annotation(Marks.sourceClaim) == name.name,
            destination.metadata.annotation(Marks.sourceNamespace) == name.namespace,
            let policy = destination.markedPolicy
        {
            return policy
        }
        return source.reclaimPolicy
    }

    /// The reclaim policy that the destination volume is to have at last: the source volume's, where it was made for the
    /// migration. One that was there before keeps its own.
    var destinationPolicy: ReclaimPolicy {
        if let kept = destination.flatMap({ KeptVolume($0) }) { return kept.reclaimPolicy }
        if let seal { return seal.reclaimPolicy }
        guard let destination, let staging, !destination.isProvisioned(for: staging) else { return originalPolicy }
        return destination.reclaimPolicy
    }

    /// True when nothing will reclaim the source volume, and its former policy is written down.
    public var isProtected: Bool {
        guard let source, let uid = sourceClaim?.metadata.uid ?? seal?.uid else { return false }
        return source.reclaimPolicy == .retain && source.metadata.annotation(Marks.sourceUID) == uid
            && source.markedPolicy != nil
    }
}

extension PersistentVolumeClaim {
    /// The access mode that its owner asks for, be it one that exists or not.
    var wantedAccessMode: AccessMode? { metadata.annotation(Marks.accessMode).map(AccessMode.init(rawValue:)) }
}
