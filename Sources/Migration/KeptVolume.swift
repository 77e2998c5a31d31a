public import FoundationEssentials
public import Kubernetes

/// A source volume that a migration kept, so that a rollback can swap its claim back to it.
public struct KeptVolume: Sendable, Equatable {
    public var volume: PersistentVolume
    /// The claim that the volume belongs to. Its successor bears that name now.
    public var claim: ObjectName
    /// The UID of the successor.
    public var successor: String
    /// The time since which the volume is kept; nil where the mark is unreadable.
    public var since: Date?
    /// The reclaim policy that the volume had before.
    public var reclaimPolicy: ReclaimPolicy

    /// The reason why the volume is kept, where nobody asked for it.
    var reason: Reason?

    enum Reason: String {
        /// No workload was seen ready on the destination volume.
        case unready
        /// Pods may have written to the volume after the copy.
        case disturbed
    }

    /// Reads the marks of a volume; nil where it is not kept.
    public init?(_ volume: PersistentVolume) {
        guard let kept = volume.metadata.annotation(Marks.kept),
            let name = volume.metadata.annotation(Marks.sourceClaim)
        else { return nil }
        self.volume = volume
        claim = ObjectName(name, in: volume.metadata.annotation(Marks.sourceNamespace))
        successor = volume.metadata.annotation(Marks.successor) ?? ""
        since = Date(api: kept)
        reason = volume.metadata.annotation(Marks.keptFor).flatMap(Reason.init)
        reclaimPolicy = volume.markedPolicy ?? .retain
    }

    /// The volume's capacity.
    public var size: Quantity? { volume.spec.capacity?["storage"] }
}

extension PersistentVolume {
    /// True where the source volume is kept for a rollback. Only `cleanup` reclaims it.
    var isKept: Bool { metadata.annotation(Marks.kept) != nil }
    /// The reclaim policy that its mark names.
    var markedPolicy: ReclaimPolicy? { metadata.annotation(Marks.reclaimPolicy).map(ReclaimPolicy.init(rawValue:)) }
}
