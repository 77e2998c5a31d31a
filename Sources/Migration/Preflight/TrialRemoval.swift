import Kubernetes

/// Removes trials.
struct TrialRemoval: Sendable {
    private let client: Client
    private let limits: Limits
    private let deleteVolumeTimeout: Duration
    private let pods: MoverPods
    private let volumes: Volumes
    private let findings: Findings

    init(_ context: Context) {
        (client, limits) = (context.destination, context.limits)
        deleteVolumeTimeout = context.options.deleteVolumeTimeout
        pods = MoverPods(context)
        volumes = Volumes(context, context.destination)
        findings = context.findings
    }

    /// Removes the objects of a trial, as far as it came, and has its volume deleted.
    ///
    /// - Returns: The obstacles of objects that could not be removed.
    func remove(_ trial: Trial) async -> [Obstacle] {
        var obstacles: [Obstacle] = []
        do {
            if let pod = try await client.find(Pod.self, trial.podName) { obstacles += await removeTrial(pod) }
        } catch {
            obstacles.append(Self.leftover(trial.namespace, "Pod \(trial.podName)", error))
        }
        do {
            // Where the answer to its creation was lost, its name identifies it, which nobody knew before.
            var claim = trial.made
            if claim == nil { claim = try await client.find(PersistentVolumeClaim.self, trial.claimName) }
            if let claim { obstacles += await leftovers(of: claim, after: remove(trialClaim:)) }
        } catch {
            obstacles.append(Self.leftover(trial.namespace, "PersistentVolumeClaim \(trial.claimName)", error))
        }
        return obstacles
    }

    private func removeTrial(_ pod: Pod) async -> [Obstacle] {
        do {
            try await pods.remove(pod)
            return []
        } catch {
            return [Self.leftover(pod.metadata.namespace, pod.title, error)]
        }
    }

    /// Does something about a trial's claim.
    ///
    /// - Returns: The obstacle that is left where it failed.
    private func leftovers(
        of claim: PersistentVolumeClaim,
        after work: (PersistentVolumeClaim) async throws -> Void
    ) async -> [Obstacle] {
        do {
            try await work(claim)
            return []
        } catch let failure as Failure {
            return [Self.leftover(claim.metadata.namespace, failure.place, failure.reason)]
        } catch {
            return [Self.leftover(claim.metadata.namespace, claim.title, error)]
        }
    }

    private static func leftover(_ namespace: String?, _ resource: String, _ why: Any) -> Obstacle {
        Obstacle(namespace: namespace, resource: resource, message: "preflight could not clean up: \(why)")
    }

    private func remove(trialClaim made: PersistentVolumeClaim) async throws {
        let uid = made.metadata.uid
        let now = try await client.find(PersistentVolumeClaim.self, made.name)
        let claim = now?.metadata.uid == uid ? now ?? made : made
        var isProvisioned = false
        if let name = claim.spec.volumeName {
            // The policy changes before the claim goes, so that a kill in between retains no volume.
            let volume = try await client.find(PersistentVolume.self, ObjectName(name, in: nil))
            if let volume { try await giveBack(volume, of: claim) }
            isProvisioned = volume?.isProvisioned(for: claim) == true
        }
        try await client.delete(.claims, claim.name, uid: uid)
        try await client.awaitDeletion(of: claim, limit: limits.rebinding, what: "\(claim.title) to be gone")
        // A person's volume is needed by the migration, as it was.
        guard isProvisioned else { return try await awaitEnd(ofVolumeOf: claim) }
        findings.note { $0.trials.append(claim) }
    }

    /// Waits until the volumes of all removed trials are deleted, with their storage.
    ///
    /// - Returns: The obstacles of those that are not.
    func awaitFreedStorage() async -> [Obstacle] {
        var trials: [PersistentVolumeClaim] = []
        findings.note { found in
            trials = found.trials
            found.trials = []
        }
        return await trials.sideBySide { await leftovers(of: $0, after: awaitEnd(ofVolumeOf:)) }.flatMap(\.self)
    }

    private func awaitEnd(ofVolumeOf claim: PersistentVolumeClaim) async throws {
        let uid = claim.metadata.uid
        var last: PersistentVolume?
        do {
            // The wait covers all volumes, because one may have been made while the claim was deleted.
            try await client.wait(
                for: PersistentVolume.self,
                in: nil,
                limit: deleteVolumeTimeout,
                what: "the volume of a trial to be deleted"
            ) { snapshot in
                last = snapshot.objects.values.first { $0.spec.claimRef?.uid == uid }
                guard let last else { return () }
                try await giveBack(last, of: claim)
                return nil
            }
        } catch let timeout as WaitTimeout {
            guard let last else { throw timeout }
            let why = await Complaints(client).lastWarning(about: "PersistentVolume", last.name)
            throw Failure(
                place: last.title,
                reason: "\(timeout); it is \(last.phase)\(why.map { " (\($0))" } ?? ""). Delete it and its storage, "
                    + "\(last.handle), by hand"
            )
        }
    }

    /// Makes a trial's volume go with its claim, even where the class retains. There is nothing on it.
    ///
    /// A person's volume that existed before is not deleted: it is retained and becomes available again as it was.
    private func giveBack(_ volume: PersistentVolume, of claim: PersistentVolumeClaim) async throws {
        guard volume.spec.claimRef?.uid == claim.metadata.uid else { return }
        do {
            if volume.isProvisioned(for: claim) {
                _ = try await volumes.makeDisposable(volume, of: claim)
            } else if volume.reclaimPolicy == .retain, volume.phase == .released {
                try await client.patch(
                    PersistentVolume.self,
                    volume.name,
                    .merge(onto: volume.metadata, ["spec": ["claimRef": .null]])
                )
            }
        } catch let error as APIError where error.reason == .conflict || error.reason == .notFound {
            // The volume has changed meanwhile, and the watch sees it.
        }
    }
}
