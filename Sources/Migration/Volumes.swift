import Kubernetes

/// Changes the volumes of one end.
struct Volumes: Sendable {
    private let client: Client
    private let journal: Journal
    private let limits: Limits

    /// - Parameter client: The client of the end.
    init(_ context: Context, _ client: Client) {
        (self.client, journal, limits) = (client, context.journal, context.limits)
    }

    /// Writes marks on a volume that are right for every version of it.
    func annotate(_ volume: PersistentVolume, _ marks: [String: JSON]) async throws -> PersistentVolume {
        try await client.patch(
            PersistentVolume.self,
            volume.name,
            .merge(["metadata": ["uid": .string(volume.metadata.uid), "annotations": .object(marks)]])
        )
    }

    /// Restores a volume's reclaim policy and removes our marks, in one patch.
    ///
    /// - Parameters:
    ///   - kept: The marks that stay.
    ///   - claimUID: The new UID of its claimRef.
    func giveBack(
        _ volume: PersistentVolume,
        policy: ReclaimPolicy,
        keeping kept: Set<String> = [],
        claimUID: String? = nil
    ) async throws -> PersistentVolume {
        let dropped = Marks.onVolumes.filter { !kept.contains($0) && volume.metadata.annotation($0) != nil }
        let marks: JSON = .object(Dictionary(uniqueKeysWithValues: dropped.map { ($0, JSON.null) }))
        var change: JSON = ["metadata": ["annotations": marks]]
        if volume.reclaimPolicy != policy { change[path: ["spec", "persistentVolumeReclaimPolicy"]] = JSON(policy) }
        if let claimUID { change[path: ["spec", "claimRef", "uid"]] = .string(claimUID) }
        return try await client.patch(PersistentVolume.self, volume.name, .merge(onto: volume.metadata, change))
    }

    /// Reserves a volume for a claim: a claimRef without a UID keeps it for that name only. The claimRef is never
    /// cleared, because then any waiting claim of the class could take the volume.
    func reserve(
        _ volume: PersistentVolume,
        for claim: ObjectName,
        accessModes: [AccessMode]? = nil
    ) async throws -> PersistentVolume {
        let reference: JSON = [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": claim.namespace.map(JSON.string) ?? .null, "name": .string(claim.name),
            "uid": .null, "resourceVersion": .null,
        ]
        var spec: JSON = ["claimRef": reference]
        spec["accessModes"] = accessModes.map { .array($0.map { JSON($0) }) }
        return try await client.patch(PersistentVolume.self, volume.name, .merge(onto: volume.metadata, ["spec": spec]))
    }

    /// Makes a volume disappear with a claim that a run made, whatever policy the class has. It holds only a copy that
    /// nobody wants. A volume that existed before the claim is left as it is.
    ///
    /// - Parameter claim: A claim that is proven to be ours.
    func makeDisposable(_ volume: PersistentVolume, of claim: PersistentVolumeClaim) async throws -> PersistentVolume {
        guard volume.reclaimPolicy != .delete else { return volume }
        guard volume.isProvisioned(for: claim) else {
            journal.info(
                volume.title,
                "was not made for \(claim.title), and keeps its policy \(volume.reclaimPolicy); it is Released now"
            )
            return volume
        }
        return try await client.patch(
            PersistentVolume.self,
            volume.name,
            .merge(
                onto: volume.metadata,
                [
                    "metadata": ["annotations": .object([Marks.reclaimPolicy: JSON(volume.reclaimPolicy)])],
                    "spec": ["persistentVolumeReclaimPolicy": JSON(ReclaimPolicy.delete)],
                ]
            )
        )
    }

    /// Waits until a claim's reserved destination volume is Available, or bound to a claim that somebody made meanwhile.
    ///
    /// - Throws: `Refusal` where the volume is gone, `WaitTimeout`, `APIError`.
    func awaitAvailable(_ start: ClaimState, _ reader: StateReader) async throws -> ClaimState {
        guard let name = start.destination?.metadata.name else { return start }
        let volume = try await client.wait(
            for: PersistentVolume.self,
            in: nil,
            named: name,
            limit: limits.rebinding,
            what: "PersistentVolume \(name) to be Available"
        ) { snapshot in
            guard let volume = snapshot.object(named: name) else { throw Refusal("the volume \(name) is gone") }
            return volume.phase == .available || !(volume.spec.claimRef?.uid ?? "").isEmpty ? volume : nil
        }
        guard volume.phase == .available else { return try await reader.read(start) }
        var state = start
        state.destination = volume
        return state
    }

    /// Waits until a volume that is to be reclaimed is gone.
    func awaitFreed(_ volume: PersistentVolume) async throws {
        try await client.awaitDeletion(of: volume, limit: limits.rebinding)
    }
}
