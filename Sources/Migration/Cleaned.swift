import FoundationEssentials
import Kubernetes

/// What became of a volume that was kept for a rollback.
public struct Cleaned: Sendable {
    public enum Result: Sendable, Equatable {
        /// Its storage is freed, or would be.
        case freed
        /// The storage is its owner's: only the volume object is gone, or would be. It is found by this handle.
        case forgotten(handle: String)
        /// It is kept, for a reason.
        case kept(String)
        case failed(String)
    }

    public var kept: KeptVolume
    public var result: Result
}

extension KeptVolume {
    /// What becomes of it when it is no longer kept.
    var fate: Cleaned.Result {
        reclaimPolicy == .delete ? .freed : .forgotten(handle: volume.handle)
    }

    /// Why it is not to be removed; nil where it may be, as far as no pods need be looked at.
    func reasonToStay(
        olderThan age: Duration,
        at now: Date,
        claims: [ObjectName: PersistentVolumeClaim]
    ) -> String? {
        guard let since else { return "since when it is kept can't be read (annotation \(Marks.kept))" }
        // Where nothing is to be kept, it doesn't matter whose clock was ahead.
        guard age == .zero || now.timeIntervalSince(since) >= Double(age.components.seconds) else {
            return "not old enough"
        }
        if let why = volume.holdOfRecords { return why }
        if volume.metadata.annotation(Marks.manifest) != nil { return "a rollback to it is under way" }
        if let why = use(by: claims) { return why }
        // By its UID: another claim of the name may hold nothing.
        let claim = claims[self.claim]
        guard reason != .disturbed else {
            return
                "pods may have written to it after it was copied, and what they wrote is nowhere else. Look at it; where "
                + "nobody needs that: kubectl delete pv \(volume.metadata.name), and free \(volume.handle)"
        }
        if claim?.metadata.isTerminating == true { return "the claim that took its place is being deleted" }
        guard let claim, claim.metadata.uid == successor, claim.phase == .bound,
            claim.spec.volumeName != volume.metadata.name
        else {
            return "the claim that took its place is gone"
                + (claim == nil ? "" : ", and the one that has its name is another one")
                + ": it may hold the only copy. Where nobody needs it: "
                + "kubectl delete pv \(volume.metadata.name), and free \(volume.handle)"
        }
        return nil
    }

    /// What uses it, or may: the claim that it names. A rollback that has failed leaves it with its staging claim's name.
    private func use(by claims: [ObjectName: PersistentVolumeClaim]) -> String? {
        guard volume.phase == .released || volume.phase == .available, let holder = volume.claim else {
            return "it is in use (\(volume.phase))"
        }
        let names = [claim.name] + (1...9).map { Marks.stagingName(of: claim.name, number: $0) }
        let uid = volume.spec.claimRef?.uid ?? ""
        let isThere = claims[holder].map { uid.isEmpty || uid == $0.metadata.uid } ?? false
        guard !isThere, holder.namespace == claim.namespace, names.contains(holder.name) else {
            return "it is in use (\(volume.phase), for the claim \(holder))"
        }
        return nil
    }
}
