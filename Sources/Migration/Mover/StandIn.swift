import FoundationEssentials
import Kubernetes

/// A snapshot's or a clone's claim, which a pass reads in the source claim's place.
struct StandIn: Sendable, Equatable {
    /// Of the source class.
    var claim: PersistentVolumeClaim
    /// What was written after this moment is not in it, or not whole, in seconds since 1970.
    ///
    /// It holds what was on the disk: a file's time may be newer there than its content, as what is written gets
    /// to the disk up to 35 s later, and minutes later where the disk is slower than its writers. Clocks may differ by the
    /// rest.
    var since: Int

    init(claim: PersistentVolumeClaim, taken: String?) throws(Refusal) {
        guard let taken = taken.flatMap({ Date(api: $0) }) else {
            throw Refusal("when its copy was asked for can't be read: \(taken ?? "nothing")")
        }
        self.claim = claim
        since = Int(taken.timeIntervalSince1970) - 600
    }
}

/// What the passes over a claim read.
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

    /// What a stand-in is known by. It belongs to the source claim: whatever happens, it goes with that.
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
