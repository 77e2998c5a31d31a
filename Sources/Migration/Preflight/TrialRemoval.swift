import FoundationEssentials
import Kubernetes

extension Migrator {
    /// Removes what a trial has created, as far as it came, and waits until its volume is gone too.
    ///
    /// - Returns: what could not be removed.
    func remove(_ trial: Trial) async -> [Obstacle] {
        var obstacles: [Obstacle] = []
        do {
            if let pod = try await client.find(Pod.self, trial.podName) { obstacles += await removeTrial(pod) }
        } catch {
            obstacles.append(Self.leftover(trial.namespace, "Pod \(trial.podName)", error))
        }
        do {
            if let claim = try await client.find(PersistentVolumeClaim.self, trial.claimName) {
                obstacles += await removeTrial(claim)
            }
        } catch {
            obstacles.append(Self.leftover(trial.namespace, "PersistentVolumeClaim \(trial.claimName)", error))
        }
        return obstacles
    }

    /// Removes what a preflight left behind that was killed.
    ///
    /// What is younger than ten minutes may be in use by another preflight. The API server's clock counts, and the
    /// newest object tells what it shows at least.
    ///
    /// - Parameter latest: when the latest pod of this preflight was created, as the server wrote it.
    func removeLeftovers(latest: String?) async -> [Obstacle] {
        do {
            let pods = try await client.list(Pod.self, in: options.selection)
            let claims = try await client.list(PersistentVolumeClaim.self, in: options.selection)
            let times = (pods.map(\.metadata) + claims.map(\.metadata)).compactMap(\.creationTimestamp)
            let now = (times + [latest].compactMap(\.self)).compactMap(Date.init(api:)).max()
            func isLeftover(_ metadata: ObjectMeta) -> Bool {
                guard metadata.annotation(Marks.kind) == Marks.Kind.preflight, let now,
                    let created = metadata.creationTimestamp.flatMap(Date.init(api:))
                else { return false }
                return now.timeIntervalSince(created) > 600
            }
            let oldPods = pods.filter { isLeftover($0.metadata) }
            let oldClaims = claims.filter { isLeftover($0.metadata) }
            for title in oldPods.map(\.title) + oldClaims.map(\.title) {
                journal.info(title, "left behind by an earlier preflight; removed")
            }
            let removedPods = await oldPods.sideBySide { await removeTrial($0) }
            let removedClaims = await oldClaims.sideBySide { await removeTrial($0) }
            return (removedPods + removedClaims).flatMap(\.self)
        } catch {
            return [Self.leftover(nil, "preflight", error)]
        }
    }

    private func removeTrial(_ pod: Pod) async -> [Obstacle] {
        do {
            try await remove(pod)
            return []
        } catch {
            return [Self.leftover(pod.metadata.namespace, pod.title, error)]
        }
    }

    private func removeTrial(_ claim: PersistentVolumeClaim) async -> [Obstacle] {
        do {
            try await remove(trialClaim: claim)
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

    private func remove(trialClaim claim: PersistentVolumeClaim) async throws {
        let uid = claim.metadata.uid
        if let name = claim.spec.volumeName {
            // Before the claim goes, so that nothing is retained where this process is killed in between.
            let volume = try await client.find(PersistentVolume.self, ObjectName(name, in: nil))
            if let volume, volume.spec.claimRef?.uid == uid { try await giveBack(volume) }
        }
        try await client.delete(.claims, claim.name, uid: uid)
        try await client.wait(
            for: PersistentVolumeClaim.self,
            in: claim.metadata.namespace,
            named: claim.metadata.name,
            limit: limits.rebinding,
            what: "\(claim.title) to be gone"
        ) { $0.objects[uid] == nil ? () : nil }
        var last: PersistentVolume?
        do {
            // Of all volumes: one may have been made while the claim was deleted.
            try await client.wait(
                for: PersistentVolume.self,
                in: nil,
                limit: options.deleteVolumeTimeout,
                what: "the volume of a trial to be deleted"
            ) { snapshot in
                last = snapshot.objects.values.first { $0.spec.claimRef?.uid == uid }
                guard let last else { return () }
                try await giveBack(last)
                return nil
            }
        } catch let timeout as WaitTimeout {
            guard let last else { throw timeout }
            let why = await client.lastWarning(about: "PersistentVolume", last.name)
            throw Failure(
                place: last.title,
                reason: "\(timeout); it is \(last.phase)\(why.map { " (\($0))" } ?? ""). Delete it and its storage, "
                    + "\(last.handle), by hand"
            )
        }
    }

    /// Has a trial's volume deleted with its claim, even where the class retains: there is nothing on it.
    ///
    /// A volume that was not made for the trial but was there before, made by a person, is not deleted: retained, it
    /// becomes available again as it was.
    private func giveBack(_ volume: PersistentVolume) async throws {
        let change: JSON
        if volume.metadata.annotation("pv.kubernetes.io/provisioned-by") != nil {
            guard volume.reclaimPolicy != "Delete" else { return }
            change = ["spec": ["persistentVolumeReclaimPolicy": "Delete"]]
        } else {
            guard volume.reclaimPolicy == "Retain", volume.phase == "Released" else { return }
            change = ["spec": ["claimRef": .null]]
        }
        do {
            try await client.patch(PersistentVolume.self, volume.name, .merge(onto: volume.metadata, change))
        } catch let error as APIError where error.reason == .conflict || error.reason == .notFound {
            // It has changed meanwhile: the watch says so.
        }
    }
}
