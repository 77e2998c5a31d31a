public import FoundationEssentials
public import Kubernetes

/// A source volume that a migration has kept, so that a rollback can swap its claim back to it.
public struct KeptVolume: Sendable, Equatable {
    public var volume: PersistentVolume
    /// The claim that it belongs to; its successor bears that name now.
    public var claim: ObjectName
    /// The UID of that successor.
    public var successor: String
    /// Since when it is kept; nil where somebody wrote something else there.
    public var since: Date?
    /// The reclaim policy that it had before.
    public var reclaimPolicy: ReclaimPolicy

    /// Why it is kept, where nobody asked for it.
    var reason: Reason?

    enum Reason: String {
        /// No workload was seen ready on what took its place.
        case unready
        /// Pods may have written to it after the copy.
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

    /// What it holds room for.
    public var size: Quantity? { volume.spec.capacity?["storage"] }
}

extension PersistentVolume {
    /// True for a source volume that is kept for a rollback: it is never reclaimed but by `cleanup`.
    var isKept: Bool { metadata.annotation(Marks.kept) != nil }
    /// The reclaim policy that its mark names.
    var markedPolicy: ReclaimPolicy? { metadata.annotation(Marks.reclaimPolicy).map(ReclaimPolicy.init(rawValue:)) }
}
