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
    ///
    /// Nor may the controller clear it. It does so, where the claim turns to another volume, on what it has bound itself
    /// (`unbindVolume` of the volume controller); of a claimRef that a person made it clears the UID only.
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
        var change: JSON = ["spec": spec]
        if volume.metadata.annotation(PersistentVolume.boundByController) != nil {
            change["metadata"] = ["annotations": .object([PersistentVolume.boundByController: .null])]
        }
        return try await client.patch(PersistentVolume.self, volume.name, .merge(onto: volume.metadata, change))
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

    /// Returns the new object that a retype has made of a volume's storage; nil where there is none.
    func retyped(of volume: PersistentVolume) async throws -> PersistentVolume? {
        guard let name = volume.metadata.annotation(Marks.retypedTo) else { return nil }
        let made = try await client.find(PersistentVolume.self, ObjectName(name, in: nil))
        return made?.isRetyped(from: volume) == true ? made : nil
    }

    /// Lists all volumes as they are now.
    func all() async throws -> [PersistentVolume] { try await client.list(PersistentVolume.self) }

    /// Waits until the provisioner has taken its finalizer from a source volume with Retain.
    func awaitProvisioner(_ state: ClaimState) async throws -> ClaimState {
        guard let volume = state.source, volume.isHeldByProvisioner else { return state }
        var state = state
        do {
            let released: PersistentVolume = try await client.wait(
                for: PersistentVolume.self,
                in: nil,
                named: volume.metadata.name,
                limit: limits.rebinding,
                what: "the provisioner to take its finalizer from \(volume.title)"
            ) { snapshot in
                guard let now = snapshot.object(named: volume.metadata.name), now.metadata.uid == volume.metadata.uid
                else { throw Refusal("the volume \(volume.metadata.name) is gone") }
                return now.isHeldByProvisioner ? nil : now
            }
            state.source = released
        } catch let timeout as WaitTimeout {
            throw Failure(
                place: state.title,
                reason: "\(timeout), though the volume has the policy Retain: see whether the provisioner "
                    + "\(volume.metadata.annotation(PersistentVolume.provisionedBy) ?? "of the volume") runs, and run again"
            )
        }
        return state
    }

    /// Deletes a volume object whose storage another object is. Its policy is Retain, so nothing is freed.
    func deleteObject(_ volume: PersistentVolume) async throws {
        guard volume.reclaimPolicy == .retain else {
            throw Refusal("the volume \(volume.metadata.name) has the policy \(volume.reclaimPolicy), not Retain")
        }
        try await client.delete(
            .volumes,
            volume.name,
            uid: volume.metadata.uid,
            resourceVersion: volume.metadata.resourceVersion
        )
    }

    /// Waits until a volume object that was deleted is gone, and says what holds it.
    func awaitObjectDeletion(_ volume: PersistentVolume, _ state: ClaimState) async throws {
        do {
            try await client.awaitDeletion(of: volume, limit: limits.rebinding)
        } catch let timeout as WaitTimeout {
            let now = try await client.find(PersistentVolume.self, volume.name)
            let holders = (now?.metadata.finalizers ?? []).joined(separator: ", ")
            throw Failure(
                place: state.title,
                reason:
                    "\(timeout); its finalizers are: \(holders.isEmpty ? "none" : holders). It is a second object of "
                    + "storage that stays; when it is gone, run again"
            )
        }
    }

    /// Waits until a volume that is to be reclaimed is gone.
    func awaitFreed(_ volume: PersistentVolume) async throws {
        try await client.awaitDeletion(of: volume, limit: limits.rebinding)
    }
}
