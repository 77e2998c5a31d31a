import FoundationEssentials
import Kubernetes

/// Makes and removes stand-ins, which passes read instead of the source claim.
struct StandIns: Sendable {
    private let source: Client
    private let options: Options
    private let limits: Limits
    private let journal: Journal
    private let findings: Findings
    private let pods: MoverPods
    private let reviews: AccessReviews
    private let volumes: Volumes
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        (source, options, limits) = (context.source, context.options, context.limits)
        (journal, findings) = (context.journal, context.findings)
        pods = MoverPods(context)
        reviews = AccessReviews(context)
        volumes = Volumes(context, context.source)
    }

    /// Decides which object the passes over a claim read.
    ///
    /// - Throws: `Refusal` where a snapshot is requested and none can be taken.
    func passSource(of state: ClaimState) async throws -> PassSource {
        switch options.copyFrom {
        case .volume: return .volume
        case .clone: return .clone
        case .snapshot: return .snapshot(try await snapshotClass(of: state))
        case .auto:
            guard state.isExclusive, state.source?.spec.csi != nil, await reviews.may(.snapshots) else {
                return .volume
            }
            do { return .snapshot(try await snapshotClass(of: state)) } catch is Refusal { return .volume }
        }
    }

    /// Returns the class for snapshots of a claim's volume.
    private func snapshotClass(of state: ClaimState) async throws -> VolumeSnapshotClass {
        guard let driver = state.source?.spec.csi?.driver else {
            throw Refusal(
                "its volume \(state.source?.metadata.name ?? "?") is not of a CSI driver, which takes snapshots"
            )
        }
        return try VolumeSnapshotClass.chosen(of: try await snapshotClasses(), for: driver)
    }

    /// Returns all classes; none where the cluster knows no snapshots.
    func snapshotClasses() async throws -> [VolumeSnapshotClass] {
        do {
            return try await source.list(VolumeSnapshotClass.self)
        } catch let error as APIError where error.reason == .notFound {
            return []
        }
    }

    /// Runs work with a stand-in, where one is to be read, and removes it afterwards.
    ///
    /// - Parameter work: The work. It gets the state as the mover of a pass sees it.
    func with<Value>(
        _ what: PassSource,
        for state: ClaimState,
        _ work: (ClaimState) async throws -> Value
    ) async throws -> Value {
        guard what != .volume else { return try await work(state) }
        try await removeEarlier(of: state)
        let value: Value
        do {
            value = try await work(try await make(what, for: state))
        } catch let error as CancellationError {
            // Whoever cancelled removes the stand-in. Requests of this task would be cancelled too.
            throw error
        } catch {
            await journal.orWarn(state.title) { try await remove(of: state) }
            throw error
        }
        try await remove(of: state)
        return value
    }

    // MARK: Making one

    /// - Returns: The state as the mover of a pass sees it, with the stand-in instead of the volume.
    private func make(_ what: PassSource, for state: ClaimState) async throws -> ClaimState {
        guard let claim = state.claim, let original = state.source, let namespace = state.name.namespace else {
            throw Refusal("the claim is gone")
        }
        let name = ObjectName(Marks.newCopyName(of: state.name.name), in: namespace)
        findings.note { $0.standIns[state.id] = name }
        var size = [state.sourceSize, claim.status?.capacity?["storage"]].compactMap(\.self).max()
        var origin: JSON = ["kind": "PersistentVolumeClaim", "name": .string(state.name.name)]
        var taken: String?
        if case .snapshot(let snapshotClass) = what {
            let snapshot = try await takeSnapshot(of: state, claim, name, snapshotClass)
            size = [size, snapshot.restoreSize].compactMap(\.self).max()
            origin = [
                "apiGroup": .string(VolumeSnapshot.resource.group), "kind": "VolumeSnapshot",
                "name": .string(snapshot.metadata.name),
            ]
            taken = snapshot.metadata.creationTimestamp
        }
        let manifest: JSON = [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": state.metadata(ofStandIn: name, for: claim),
            "spec": [
                "accessModes": .array((claim.spec.accessModes ?? []).map { JSON($0) }), "dataSource": origin,
                "resources": ["requests": ["storage": .string(size?.text ?? "0")]],
                "storageClassName": .string(claim.storageClassName ?? ""), "volumeMode": JSON(claim.volumeMode),
            ],
        ]
        var made = try await source.create(PersistentVolumeClaim.self, in: namespace, manifest)
        _ = try await volumes.annotate(original, [Marks.copyUID: .string(made.metadata.uid)])
        findings.note { $0.standIns[state.id] = nil }
        let className = claim.storageClassName
        let storageClass = try await source.list(StorageClass.self).first { $0.metadata.name == className }
        var passed = state
        passed.transfer.ownerOfPods = state.owner
        passed.source = nil
        if storageClass?.waitsForFirstConsumer != true {
            made = try await awaitBound(made)
            passed.source = try await volume(of: made)
        }
        passed.memory.standIn = try StandIn(claim: made, taken: taken ?? made.metadata.creationTimestamp)
        return passed
    }

    private func takeSnapshot(
        of state: ClaimState,
        _ claim: PersistentVolumeClaim,
        _ name: ObjectName,
        _ snapshotClass: VolumeSnapshotClass
    ) async throws -> VolumeSnapshot {
        let began = time.now()
        let made = try await source.create(
            VolumeSnapshot.self,
            in: state.name.namespace,
            [
                "apiVersion": .string(VolumeSnapshot.resource.apiVersion), "kind": "VolumeSnapshot",
                "metadata": state.metadata(ofStandIn: name, for: claim),
                "spec": [
                    "volumeSnapshotClassName": .string(snapshotClass.metadata.name),
                    "source": ["persistentVolumeClaimName": .string(state.name.name)],
                ],
            ]
        )
        if let volume = state.source {
            _ = try await volumes.annotate(volume, [Marks.snapshotUID: .string(made.metadata.uid)])
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
            // The controller repeats failed attempts, so only the time limit tells that the snapshot will not come.
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
            let why = await Complaints(source).lastWarning(about: "PersistentVolumeClaim", claim.name)
            throw Failure(place: claim.title, reason: "\(timeout)\(why.map { ": \($0)" } ?? "")")
        }
    }

    /// Waits until a new object is as it has to be. Its storage may take as long as any.
    private func wait<Object: KubernetesObject>(
        for made: Object,
        toBe what: String,
        _ isSo: (Object) -> Bool
    ) async throws -> Object {
        try await source.wait(
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

    /// Returns the volume that was made for a stand-in and is deleted with its claim.
    ///
    /// - Throws: `Refusal` where the volume existed before and so holds something else.
    private func volume(of claim: PersistentVolumeClaim) async throws -> PersistentVolume {
        let name = ObjectName(claim.spec.volumeName ?? "", in: nil)
        let volume = try await source.get(PersistentVolume.self, name)
        guard volume.isProvisioned(for: claim) else {
            throw Refusal("\(claim.title) was given the volume \(name), which was not made for it and is no copy")
        }
        return try await volumes.makeDisposable(volume, of: claim)
    }

    // MARK: Removing it

    /// Removes the stand-ins of earlier passes.
    private func removeEarlier(of state: ClaimState) async throws {
        let marks = [Marks.copyUID, Marks.snapshotUID].compactMap { state.source?.metadata.annotation($0) }
        guard !marks.isEmpty else { return }
        // A mover that an earlier run left behind would hold the stand-in.
        try await pods.removeLeftovers(of: state)
        try await remove(of: state)
    }

    /// Deletes the stand-in of a claim, where its volume bears the UID of one.
    ///
    /// Nothing waits for the deletion, because storage may take its time. A missed one is deleted with the source
    /// claim.
    ///
    /// - Returns: The changed source volume; nil where it was not changed.
    @discardableResult
    func remove(of state: ClaimState) async throws -> PersistentVolume? {
        guard let name = state.source?.name, let volume = try await source.find(PersistentVolume.self, name),
            volume.claim == state.name
        else { return nil }
        // A stand-in that this process made and did not record is known by its name. Nobody knew the name before, but
        // somebody may know it by now, so its volume is left alone.
        let made = findings.all.standIns[state.id]
        let (claimUID, snapshotUID) = (
            volume.metadata.annotation(Marks.copyUID), volume.metadata.annotation(Marks.snapshotUID)
        )
        guard made != nil || claimUID != nil || snapshotUID != nil else { return nil }
        let claims = try await source.list(PersistentVolumeClaim.self, in: state.name.namespace)
        for claim in claims where claim.metadata.uid == claimUID || claim.name == made {
            try await remove(claim, isProven: claim.metadata.uid == claimUID)
        }
        for snapshot in try await snapshots(in: state.name.namespace)
        where snapshot.metadata.uid == snapshotUID || snapshot.name == made {
            guard !snapshot.metadata.isTerminating else { continue }
            try await source.delete(VolumeSnapshot.resource, snapshot.name, uid: snapshot.metadata.uid)
        }
        guard claimUID != nil || snapshotUID != nil else { return nil }
        return try await volumes.annotate(volume, [Marks.copyUID: .null, Marks.snapshotUID: .null])
    }

    /// Returns the snapshots of a namespace; none where they may not be listed, because then no run took one.
    private func snapshots(in namespace: String?) async throws -> [VolumeSnapshot] {
        do {
            return try await source.list(VolumeSnapshot.self, in: namespace)
        } catch let error as APIError where error.reason == .forbidden || error.reason == .notFound {
            return []
        }
    }

    private func remove(_ claim: PersistentVolumeClaim, isProven: Bool) async throws {
        guard !claim.metadata.isTerminating else { return }
        if isProven, let name = claim.spec.volumeName,
            let volume = try await source.find(PersistentVolume.self, ObjectName(name, in: nil))
        {
            _ = try await volumes.makeDisposable(volume, of: claim)
        }
        try await source.delete(.claims, claim.name, uid: claim.metadata.uid)
    }
}
