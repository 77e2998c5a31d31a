import FoundationEssentials
import Kubernetes

/// A stand-in: the claim of a snapshot or clone that a pass reads instead of the source claim.
struct StandIn: Sendable, Equatable {
    /// The claim, which is of the source class.
    var claim: PersistentVolumeClaim
    /// The moment since which writes may be missing or incomplete in it, in seconds since 1970.
    ///
    /// It holds the content of the disk. A file's time may be newer there than its content, because writes reach the
    /// disk up to 35 s later, and minutes later where the disk is slower than its writers. The rest allows for
    /// differing clocks.
    var since: Int

    init(claim: PersistentVolumeClaim, taken: String?) throws(Refusal) {
        guard let taken = taken.flatMap({ Date(api: $0) }) else {
            throw Refusal("when its copy was asked for can't be read: \(taken ?? "nothing")")
        }
        self.claim = claim
        since = Int(taken.timeIntervalSince1970) - 600
    }
}

/// The object that the passes over a claim read.
enum PassSource: Sendable, Equatable {
    case volume
    case snapshot(VolumeSnapshotClass)
    case clone
}

extension ClaimState {
    /// True where no second pod can mount the source claim.
    var isExclusive: Bool {
        ((claim?.spec.accessModes ?? []) + (source?.spec.accessModes ?? [])).contains(.readWriteOncePod)
    }

    /// Returns the metadata that identify a stand-in. It belongs to the source claim, so it is always deleted with it.
    func metadata(ofStandIn standIn: ObjectName, for claim: PersistentVolumeClaim) -> JSON {
        [
            "name": .string(standIn.name), "namespace": standIn.namespace.map(JSON.string) ?? .null,
            "annotations": .object([
                Marks.claim: .string(name.name), Marks.kind: .string(Marks.Kind.copy),
                Marks.sourceUID: .string(claim.metadata.uid),
            ]),
            "ownerReferences": [
                [
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": .string(name.name),
                    "uid": .string(claim.metadata.uid),
                ]
            ],
        ]
    }
}
