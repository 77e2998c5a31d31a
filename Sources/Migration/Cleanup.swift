import FoundationEssentials
import Kubernetes

/// Removes the volumes that are kept for a rollback longer than a given age.
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
        // The volume of an unreadable claim is kept.
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
                // The patch names the version that was looked at, because a rollback that has begun meanwhile changes
                // the volume. A volume that a rollback reserved is Available. A claimRef UID that no claim has makes
                // the controller take the volume for Released and free it.
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
