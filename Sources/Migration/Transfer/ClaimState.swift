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
    /// The way of the claim to its destination volume, also where an earlier run has begun another one.
    public var method: Transfer.Method {
        guard seal != nil, let destination else { return transfer.method }
        if isHandedOver { return .handOver }
        return isRetyped ? .retype : destination.isKept ? .kept : .copy
    }
    /// The name of the source claim, and in place that of its successor too.
    public var name: ObjectName { transfer.source }

    // Short names for the parts that are read most.
    public var claim: PersistentVolumeClaim? {
        get { observation.claim }
        set { observation.claim = newValue }
    }
    /// The claim that has the destination's name now; in place the one that has the source claim's.
    public var target: PersistentVolumeClaim? {
        get { transfer.isInPlace ? observation.claim : observation.target }
        set { if transfer.isInPlace { observation.claim = newValue } else { observation.target = newValue } }
    }
    public var source: PersistentVolume? {
        get { observation.source }
        set {
            // The volume of a hand-over is both.
            if let newValue, newValue.metadata.uid == observation.destination?.metadata.uid {
                observation.destination = newValue
            }
            observation.source = newValue
        }
    }
    public var staging: PersistentVolumeClaim? {
        get { observation.staging }
        set { observation.staging = newValue }
    }
    public var destination: PersistentVolume? {
        get { observation.destination }
        set {
            if let newValue, newValue.metadata.uid == observation.source?.metadata.uid { observation.source = newValue }
            observation.destination = newValue
        }
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

    /// The destination volume where it exists already: a source volume that was kept for a rollback, or a sealed
    /// volume.
    var givenDestination: PersistentVolume? {
        guard let destination, seal != nil || destination.isKept else { return nil }
        return destination
    }

    /// The source claim, where it still exists.
    public var sourceClaim: PersistentVolumeClaim? {
        guard let claim else { return nil }
        if let seal { return claim.metadata.uid == seal.uid ? claim : nil }
        return claim
    }

    /// The size that the destination must have.
    public var size: Quantity? { transfer.sizeWanted ?? sourceSize }

    /// The size that the source has: the larger of its volume's capacity and the claim's request.
    public var sourceSize: Quantity? {
        let sizes = [source?.spec.capacity?["storage"], claim?.spec.resources?.requests?["storage"]]
        return sizes.compactMap(\.self).max()
    }

    /// Returns the access modes of the claim after the migration.
    ///
    /// - Throws: `Refusal` where the owner's annotation names a mode that does not exist.
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

    /// The VolumeAttributesClass that the claim keeps: that of the driver which it stays with.
    var attributesClass: String? {
        switch transfer.method {
        case .retype, .handOver, .tree: claim?.spec.volumeAttributesClassName
        case .kept: givenDestination?.spec.volumeAttributesClassName
        case .copy:
            source?.spec.csi.map { $0.driver == transfer.provisioner } == true
                ? claim?.spec.volumeAttributesClassName : nil
        }
    }

    /// The reclaim policy that the source volume had before it was protected.
    public var originalPolicy: ReclaimPolicy {
        guard let source else { return seal?.reclaimPolicy ?? .retain }
        // The mark holds the UID of the protected claim. A claim that was deleted and made anew has another UID.
        if source.reclaimPolicy == .retain, source.metadata.annotation(Marks.sourceUID) != nil,
            let policy = source.markedPolicy
        {
            return policy
        }
        if let seal { return seal.reclaimPolicy }
        // The Go tool keeps the policy on its destination volume.
        if source.reclaimPolicy == .retain, let destination,
            destination.metadata.annotation(Marks.sourceClaim) == name.name,
            destination.metadata.annotation(Marks.sourceNamespace) == name.namespace,
            let policy = destination.markedPolicy
        {
            return policy
        }
        return source.reclaimPolicy
    }

    /// The reclaim policy of the destination volume after its release. A volume that was made for the migration gets
    /// the source volume's policy; a volume that existed before keeps its own.
    var destinationPolicy: ReclaimPolicy {
        if let kept = destination.flatMap({ KeptVolume($0) }) { return kept.reclaimPolicy }
        if transfer.method == .handOver { return originalPolicy }
        if let seal { return seal.reclaimPolicy }
        if transfer.method == .retype { return retypedPolicy }
        guard let destination, let staging, !destination.isProvisioned(for: staging) else { return originalPolicy }
        return destination.reclaimPolicy
    }

    /// True when nothing reclaims the source volume and a mark holds its original policy.
    public var isProtected: Bool {
        guard let source, let uid = sourceClaim?.metadata.uid ?? seal?.uid else { return false }
        return source.reclaimPolicy == .retain && source.metadata.annotation(Marks.sourceUID) == uid
            && source.markedPolicy != nil
    }
}

extension PersistentVolumeClaim {
    /// The access mode that the owner's annotation asks for. It may be one that does not exist.
    var wantedAccessMode: AccessMode? { metadata.annotation(Marks.accessMode).map(AccessMode.init(rawValue:)) }
}
