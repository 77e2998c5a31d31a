import FoundationEssentials
import Kubernetes

/// The result of a cleanup for a volume that was kept for a rollback.
public struct Cleaned: Sendable {
    public enum Result: Sendable, Equatable {
        /// The storage is freed, or would be.
        case freed
        /// The volume object is gone, or would be. Its owner keeps the storage and finds it by this handle.
        case forgotten(handle: String)
        /// The volume is kept, for a reason.
        case kept(String)
        case failed(String)
    }

    public var kept: KeptVolume
    public var result: Result
}

extension KeptVolume {
    /// The fate of the volume once it is no longer kept.
    var fate: Cleaned.Result {
        reclaimPolicy == .delete ? .freed : .forgotten(handle: volume.handle)
    }

    /// Returns the reason to keep the volume; nil where it may be removed, as far as no pods are involved.
    func reasonToStay(
        olderThan age: Duration,
        at now: Date,
        claims: [ObjectName: PersistentVolumeClaim]
    ) -> String? {
        guard let since else { return "since when it is kept can't be read (annotation \(Marks.kept))" }
        // An age of zero keeps nothing, so a clock that was ahead does not matter.
        guard age == .zero || now.timeIntervalSince(since) >= Double(age.components.seconds) else {
            return "not old enough"
        }
        if let why = volume.holdOfRecords { return why }
        if volume.metadata.annotation(Marks.manifest) != nil { return "a rollback to it is under way" }
        if let why = use(by: claims) { return why }
        // The UID decides, because another claim of the name may hold nothing.
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

    /// Returns the use of the volume by the claim of its claimRef; nil where there is none. A failed rollback leaves it
    /// with the name of its staging claim.
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
