import FoundationEssentials
import Kubernetes

/// A copy of a source volume that a pass reads instead of the volume itself.
struct SourceCopy: Sendable, Equatable {
    /// Of the source class, with the copy as its volume.
    var claim: PersistentVolumeClaim
    /// What was written after this moment is not in it, or not whole, in seconds since 1970.
    ///
    /// The copy holds what was on the disk: a file's time may be newer there than its content, as what is written gets
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

/// One mover that has ended, well or not.
struct MoverAttempt: Sendable {
    var outcome: MoverOutcome
    /// From its creation to its removal; not what it takes to make a copy for it.
    var duration: Duration
}

extension Migrator {
    /// Decides what the passes over a claim read.
    ///
    /// - Throws: `Refusal` where a snapshot is asked for and none can be taken.
    func passSource(of state: ClaimState) async throws -> PassSource {
        switch options.copySource {
        case .volume: return .volume
        case .clone: return .clone
        case .snapshot: return .snapshot(try await snapshotClass(of: state))
        case .auto:
            guard state.isExclusive, state.source?.spec.csi != nil, await may(.snapshots) else { return .volume }
            do { return .snapshot(try await snapshotClass(of: state)) } catch is Refusal { return .volume }
        }
    }

    /// The class that snapshots of a claim's volume are taken with.
    private func snapshotClass(of state: ClaimState) async throws -> VolumeSnapshotClass {
        guard let driver = state.source?.spec.csi?.driver else {
            throw Refusal(
                "its volume \(state.source?.metadata.name ?? "?") is not of a CSI driver, which takes snapshots"
            )
        }
        return try VolumeSnapshotClass.chosen(of: try await snapshotClasses(), for: driver)
    }

    /// All there are; none where the cluster knows no snapshots.
    func snapshotClasses() async throws -> [VolumeSnapshotClass] {
        do {
            return try await client.list(VolumeSnapshotClass.self)
        } catch let error as APIError where error.reason == .notFound {
            return []
        }
    }

    /// Runs one mover as `runMover`, over a copy of the source where it is not to read the volume. The copy goes afterwards.
    func runMover(
        for state: ClaimState,
        _ content: any MoverContent,
        task: MoverPod.Task,
        reading source: PassSource
    ) async throws -> MoverAttempt {
        guard source != .volume else { return try await attempt(for: state, content, task) }
        try await removeEarlierCopy(of: state)
        let attempted: MoverAttempt
        do {
            attempted = try await attempt(for: try await copy(sourceOf: state, source), content, task)
        } catch let error as CancellationError {
            // Whoever cancelled removes the copy: requests of this task would be cancelled too.
            throw error
        } catch {
            await orWarn(state.title) { try await removeCopy(of: state) }
            throw error
        }
        try await removeCopy(of: state)
        return attempted
    }

    private func attempt(
        for state: ClaimState,
        _ content: any MoverContent,
        _ task: MoverPod.Task
    ) async throws -> MoverAttempt {
        let began = time.now()
        let outcome = try await runMover(for: state, content, task: task)
        return MoverAttempt(outcome: outcome, duration: time.now() - began)
    }

    // MARK: Making a copy

    /// Makes a copy of a claim's volume.
    ///
    /// - Returns: the state as the mover of a pass is to see it, with the copy in the volume's place.
    private func copy(sourceOf state: ClaimState, _ source: PassSource) async throws -> ClaimState {
        guard let claim = state.claim, let original = state.source, let namespace = state.name.namespace else {
            throw Refusal("the claim is gone")
        }
        let name = ObjectName(Marks.newCopyName(of: state.name.name), in: namespace)
        findings.note { $0.copies[state.name] = name }
        var size = [state.sourceSize, claim.status?.capacity?["storage"]].compactMap(\.self).max()
        var origin: JSON = ["kind": "PersistentVolumeClaim", "name": .string(state.name.name)]
        var taken: String?
        if case .snapshot(let snapshotClass) = source {
            let snapshot = try await takeSnapshot(of: state, claim, name, snapshotClass)
            size = [size, snapshot.restoreSize].compactMap(\.self).max()
            origin = [
                "apiGroup": .string(VolumeSnapshot.resource.group), "kind": "VolumeSnapshot",
                "name": .string(snapshot.metadata.name),
            ]
            taken = snapshot.metadata.creationTimestamp
        }
        let manifest: JSON = [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": state.copyMetadata(name, of: claim),
            "spec": [
                "accessModes": .array((claim.spec.accessModes ?? []).map { JSON($0) }), "dataSource": origin,
                "resources": ["requests": ["storage": .string(size?.text ?? "0")]],
                "storageClassName": .string(options.sourceClass), "volumeMode": JSON(claim.volumeMode),
            ],
        ]
        var made = try await client.create(PersistentVolumeClaim.self, in: namespace, manifest)
        _ = try await client.annotate(original, [Marks.copyUID: .string(made.metadata.uid)])
        findings.note { $0.copies[state.name] = nil }
        let storageClass = try await client.list(StorageClass.self).first { $0.metadata.name == options.sourceClass }
        var copied = state
        copied.ownerOfPods = state.owner
        copied.source = nil
        if storageClass?.waitsForFirstConsumer != true {
            made = try await awaitBound(made)
            copied.source = try await volume(ofCopy: made)
        }
        copied.copy = try SourceCopy(claim: made, taken: taken ?? made.metadata.creationTimestamp)
        return copied
    }

    private func takeSnapshot(
        of state: ClaimState,
        _ claim: PersistentVolumeClaim,
        _ name: ObjectName,
        _ snapshotClass: VolumeSnapshotClass
    ) async throws -> VolumeSnapshot {
        let began = time.now()
        let made = try await client.create(
            VolumeSnapshot.self,
            in: state.name.namespace,
            [
                "apiVersion": .string(VolumeSnapshot.resource.apiVersion), "kind": "VolumeSnapshot",
                "metadata": state.copyMetadata(name, of: claim),
                "spec": [
                    "volumeSnapshotClassName": .string(snapshotClass.metadata.name),
                    "source": ["persistentVolumeClaimName": .string(state.name.name)],
                ],
            ]
        )
        if let volume = state.source {
            _ = try await client.annotate(volume, [Marks.snapshotUID: .string(made.metadata.uid)])
        }
        var last = made
        do {
            let ready = try await wait(for: made, toBe: "ready") { now in
                last = now
                return now.status?.readyToUse == true
            }
            journal.info(state.title, "snapshot \(made.metadata.name) taken (\((time.now() - began).inWords))")
            return ready
        } catch let timeout as WaitTimeout {
            // The controller repeats what failed, so that only time tells that it won't come.
            let why = last.status?.error?.message.map { ": \($0)" } ?? ""
            throw Failure(
                place: state.title,
                reason: "\(timeout)\(why)\n  advice: --copy-from volume needs no snapshot"
            )
        }
    }

    private func awaitBound(_ claim: PersistentVolumeClaim) async throws -> PersistentVolumeClaim {
        do {
            return try await wait(for: claim, toBe: "Bound") { $0.phase == .bound }
        } catch let timeout as WaitTimeout {
            let why = await client.lastWarning(about: "PersistentVolumeClaim", claim.name)
            throw Failure(place: claim.title, reason: "\(timeout)\(why.map { ": \($0)" } ?? "")")
        }
    }

    /// Waits until what was made for a copy is as it has to be; its storage may take as long as any.
    private func wait<Object: KubernetesObject>(
        for made: Object,
        toBe what: String,
        _ isSo: (Object) -> Bool
    ) async throws -> Object {
        try await client.wait(
            for: Object.self,
            in: made.metadata.namespace,
            named: made.metadata.name,
            limit: limits.provisioning,
            what: "\(made.title) to be \(what)"
        ) { snapshot in
            guard let now = snapshot.objects[made.metadata.uid] else {
                throw Refusal("\(made.title) was deleted by somebody")
            }
            return isSo(now) ? now : nil
        }
    }

    /// The volume that was made for a copy, which goes with its claim.
    ///
    /// - Throws: `Refusal` where it was there before, since it holds something else then.
    private func volume(ofCopy claim: PersistentVolumeClaim) async throws -> PersistentVolume {
        let name = ObjectName(claim.spec.volumeName ?? "", in: nil)
        let volume = try await client.get(PersistentVolume.self, name)
        guard volume.isProvisioned(for: claim) else {
            throw Refusal("\(claim.title) was given the volume \(name), which was not made for it and is no copy")
        }
        return try await makeDisposable(volume, of: claim)
    }

    // MARK: Removing it

    /// Removes what an earlier pass has left.
    private func removeEarlierCopy(of state: ClaimState) async throws {
        let marks = [Marks.copyUID, Marks.snapshotUID].compactMap { state.source?.metadata.annotation($0) }
        guard !marks.isEmpty else { return }
        // A mover that an earlier run left behind would hold on to it.
        if let uid = state.sourceClaim?.metadata.uid, let mover = state.moverName {
            try await removeLeftover(mover)
            try await removeLeftover(ObjectName(Marks.serverName(of: state.name.name, uid: uid), in: mover.namespace))
        }
        try await removeCopy(of: state)
    }

    /// Deletes the copy of a claim's source, where its volume bears the UID of one.
    ///
    /// The deletion is not waited for: storage may take its time. What is missed goes with the source claim.
    ///
    /// - Returns: the source volume as it is then; nil where it was not changed.
    @discardableResult
    func removeCopy(of state: ClaimState) async throws -> PersistentVolume? {
        guard let name = state.source?.name, let volume = try await client.find(PersistentVolume.self, name),
            volume.claim == state.name
        else { return nil }
        // By its name one is known that this process has made and not written down: nobody has known that before, but may by
        // now, so that nothing is done to its volume.
        let made = findings.all.copies[state.name]
        let (claimUID, snapshotUID) = (
            volume.metadata.annotation(Marks.copyUID), volume.metadata.annotation(Marks.snapshotUID)
        )
        guard made != nil || claimUID != nil || snapshotUID != nil else { return nil }
        let claims = try await client.list(PersistentVolumeClaim.self, in: state.name.namespace)
        for claim in claims where claim.metadata.uid == claimUID || claim.name == made {
            try await remove(copy: claim, isProven: claim.metadata.uid == claimUID)
        }
        for snapshot in try await snapshots(in: state.name.namespace)
        where snapshot.metadata.uid == snapshotUID || snapshot.name == made {
            guard !snapshot.metadata.isTerminating else { continue }
            try await client.delete(VolumeSnapshot.resource, snapshot.name, uid: snapshot.metadata.uid)
        }
        guard claimUID != nil || snapshotUID != nil else { return nil }
        return try await client.annotate(volume, [Marks.copyUID: .null, Marks.snapshotUID: .null])
    }

    /// None where they may not even be looked at: then none was taken.
    private func snapshots(in namespace: String?) async throws -> [VolumeSnapshot] {
        do {
            return try await client.list(VolumeSnapshot.self, in: namespace)
        } catch let error as APIError where error.reason == .forbidden || error.reason == .notFound {
            return []
        }
    }

    private func remove(copy claim: PersistentVolumeClaim, isProven: Bool) async throws {
        guard !claim.metadata.isTerminating else { return }
        if isProven, let name = claim.spec.volumeName,
            let volume = try await client.find(PersistentVolume.self, ObjectName(name, in: nil))
        {
            _ = try await makeDisposable(volume, of: claim)
        }
        try await client.delete(.claims, claim.name, uid: claim.metadata.uid)
    }
}

extension ClaimState {
    /// True where no second pod can mount the source claim.
    var isExclusive: Bool {
        ((claim?.spec.accessModes ?? []) + (source?.spec.accessModes ?? [])).contains(.readWriteOncePod)
    }

    /// What a copy is known by. It belongs to the source claim: whatever happens, it goes with that.
    fileprivate func copyMetadata(_ copy: ObjectName, of claim: PersistentVolumeClaim) -> JSON {
        [
            "name": .string(copy.name), "namespace": copy.namespace.map(JSON.string) ?? .null,
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
