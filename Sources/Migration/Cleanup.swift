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

/// Removes the volumes that are kept for a rollback longer than some days.
struct Cleanup: Sendable {
    private let source: Client
    private let selection: Selection
    private let journal: Journal
    private let volumes: Volumes
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        (source, selection, journal) = (context.source, context.options.selection, context.journal)
        volumes = Volumes(context, context.source)
    }

    func cleanup(olderThan age: Duration, dryRun: Bool) async throws -> [Cleaned] {
        let lists = SelectedObjects(source, selection)
        async let volumes = source.list(PersistentVolume.self)
        // The volume of a claim that can't be read is kept.
        async let claims = lists.listReadable(PersistentVolumeClaim.self)
        async let labelled = lists.labelled()
        let byName = Dictionary(try await claims.items.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        let chosen = try await labelled
        let known = try await volumes
        let all = known.compactMap { KeptVolume($0) }.filter {
            selection.whatLeavesOut($0.claim) == nil && chosen?.contains($0.claim) != false
        }
        var cleaned: [Cleaned] = []
        for kept in all.sorted(by: { ($0.claim, $0.volume.metadata.name) < ($1.claim, $1.volume.metadata.name) }) {
            if let other = kept.volume.sharedWith(known).first {
                cleaned.append(
                    Cleaned(kept: kept, result: .kept("its storage is that of the volume \(other.metadata.name), too"))
                )
            } else if let reason = kept.reasonToStay(olderThan: age, at: time.timeOfDay, claims: byName) {
                cleaned.append(Cleaned(kept: kept, result: .kept(reason)))
            } else if kept.reason == .unready, try await !isUsedByReadyPod(kept.claim) {
                let reason = "no workload was seen ready on what took its place, and no ready pod uses that now"
                cleaned.append(Cleaned(kept: kept, result: .kept(reason)))
            } else if dryRun {
                cleaned.append(Cleaned(kept: kept, result: kept.fate))
            } else {
                cleaned.append(Cleaned(kept: kept, result: await remove(kept)))
            }
        }
        return cleaned
    }

    private func isUsedByReadyPod(_ claim: ObjectName) async throws -> Bool {
        try await source.list(Pod.self, in: claim.namespace).contains {
            $0.mounts([claim.name]) && $0.isReady && !$0.metadata.isTerminating
        }
    }

    private func remove(_ kept: KeptVolume) async -> Cleaned.Result {
        let volume = kept.volume
        do {
            if kept.fate == .freed {
                // With the version that was looked at: a rollback that has begun meanwhile has changed it.
                // One that a rollback has reserved is Available: with a UID that no claim has, the controller takes it for
                // Released, and frees it.
                let uid = volume.phase == .available ? volume.metadata.uid : nil
                _ = try await volumes.giveBack(volume, policy: .delete, claimUID: uid)
            } else {
                try await source.delete(
                    .volumes,
                    volume.name,
                    uid: volume.metadata.uid,
                    resourceVersion: volume.metadata.resourceVersion
                )
            }
            await journal.orWarn(volume.title) { try await volumes.awaitFreed(volume) }
            return kept.fate
        } catch {
            journal.error(volume.title, "\(error)")
            return .failed("\(error)")
        }
    }
}

extension KeptVolume {
    /// What becomes of it when it is no longer kept.
    fileprivate var fate: Cleaned.Result {
        reclaimPolicy == .delete ? .freed : .forgotten(handle: volume.handle)
    }

    /// Why it is not to be removed; nil where it may be, as far as no pods need be looked at.
    fileprivate func reasonToStay(
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
