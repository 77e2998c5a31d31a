import Kubernetes

/// Creates the staging claims and waits until they are bound. Where their class waits for the first consumer, a pod
/// that mounts them binds them.
///
/// - Before: the source volumes are protected.
/// - After: the staging claim's UID is on the source volume. Where a run dies between creating and recording a claim,
///   the next run leaves that claim alone and reports it.
/// - Safe to repeat because: a recorded staging claim is taken as it is.
/// - Undone by: `unstage`, when the unit goes back and nothing is kept for the next run.
struct Stage: UnitAction {
    private let source: Client
    private let destination: Client
    private let journal: Journal
    private let limits: Limits
    private let reader: StateReader
    private let advance: Advance
    private let movers: MoverPods
    private let deletion: ClaimDeletion
    private let sourceVolumes: Volumes
    private let volumes: Volumes

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (journal, limits) = (context.journal, context.limits)
        reader = StateReader(context)
        advance = Advance(context)
        movers = MoverPods(context)
        deletion = ClaimDeletion(context)
        sourceVolumes = Volumes(context, context.source)
        volumes = Volumes(context, context.destination)
    }

    func perform(_ progress: inout Progress) async throws {
        if progress.unit.claims.contains(where: { $0.unfitStaging != nil }) {
            // A mover of an earlier run would hold the staging claim.
            try await movers.removeAll(of: progress.unit)
        }
        try await advance.all(&progress) { state, action in
            if case .blocked(let why) = action { throw why }
            if let staging = state.unfitStaging { return try await removeUnfit(staging, of: state) }
            guard case .stage(let staging) = action else { return nil }
            return try await perform(staging, of: state)
        }
    }

    private func perform(_ action: Action.Staging, of start: ClaimState) async throws -> ClaimState? {
        var state = start
        switch action {
        case .reserve:
            guard let volume = state.givenDestination else { return nil }
            state.destination = try await volumes.reserve(volume, for: state.stagingName)
        case .awaitAvailable: return try await volumes.awaitAvailable(state, reader)
        case .create:
            guard let namespace = state.name.namespace else { return nil }
            try Self.checkKept(state)
            let manifest = try Self.stagingManifest(of: state)
            state.staging = try await destination.create(PersistentVolumeClaim.self, in: namespace, manifest)
        case .record: return try await record(stagingOf: state)
        case .awaitBound: return try await awaitBound(staging: state)
        case .awaitDeletion: return try await deletion.wait(state, of: [state.ownStaging].compactMap(\.self))
        }
        return state
    }

    /// Records the staging claim's UID on the source volume.
    private func record(stagingOf state: ClaimState) async throws -> ClaimState {
        guard let volume = state.source, let staging = state.staging else { return state }
        var state = state
        state.source = try await sourceVolumes.annotate(volume, [Marks.stagingUID: .string(staging.metadata.uid)])
        let what = state.givenDestination.map { "on the volume \($0.metadata.name)" }
        journal.info(
            state.title,
            "staging claim \(staging.metadata.name) \(what ?? "of \(state.size?.text ?? "?")") created"
        )
        return state
    }

    /// Removes a staging claim of the wrong size, so that it is made anew.
    private func removeUnfit(_ staging: PersistentVolumeClaim, of state: ClaimState) async throws -> ClaimState {
        journal.info(
            state.title,
            "the staging claim \(state.stagingName.name) of an earlier run is "
                + "\(staging.spec.resources?.requests?["storage"]?.text ?? "?") and is to be \(state.size?.text ?? "?"): "
                + "it is made anew"
        )
        return try await deletion.wait(try await unstage(state), of: [staging])
    }

    /// Returns the staging claim's manifest: of the destination class, as large as the source volume or as requested;
    /// or fitting a given volume.
    ///
    /// - Throws: `Refusal` where the claim's annotation asks for an access mode that does not exist.
    static func stagingManifest(of state: ClaimState) throws(Refusal) -> JSON {
        let given = state.givenDestination
        var modes: [AccessMode]
        if let given {
            modes = given.spec.accessModes ?? []
        } else {
            modes = try state.accessModes()
            // The destination must be writable while it is filled. It does not get both modes, because external
            // attachers refuse volumes that have them (kubernetes-csi/external-attacher#153).
            if modes == [.readOnlyMany] { modes = [.readWriteOnce] }
        }
        let size = given?.spec.capacity?["storage"] ?? state.size
        var annotations: JSON = [:]
        annotations[Marks.claim] = .string(state.name.name)
        annotations[Marks.kind] = .string(Marks.Kind.staging)
        annotations[Marks.nonce] = .string(state.memory.nonce)
        if given == nil { annotations[Marks.size] = state.transfer.sizeWanted.map { .string($0.text) } }
        annotations[Marks.sourceUID] = (state.claim?.metadata.uid ?? state.seal?.uid).map(JSON.string)
        var spec: JSON = [
            "accessModes": .array(modes.map { JSON($0) }),
            "resources": ["requests": ["storage": .string(size?.text ?? "0")]],
            "storageClassName": .string(state.transfer.storageClass ?? ""),
            "volumeMode": JSON(state.claim?.volumeMode ?? .filesystem),
        ]
        spec["volumeName"] = given.map { .string($0.metadata.name) }
        spec["volumeAttributesClassName"] = state.attributesClass.map(JSON.string)
        return [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": [
                "name": .string(state.stagingName.name), "namespace": state.name.namespace.map(JSON.string) ?? .null,
                "annotations": annotations,
            ],
            "spec": spec,
        ]
    }

    /// Checks that a rollback goes to the volume that was kept, and never to a new one, which is empty.
    static func checkKept(_ state: ClaimState) throws(Refusal) {
        guard state.transfer.method != .kept || state.givenDestination?.isKept == true else {
            throw Refusal("the volume that was kept for the claim is gone")
        }
    }

    private func awaitBound(staging state: ClaimState) async throws -> ClaimState {
        var state = state
        let name = state.stagingName
        do {
            let bound: PersistentVolumeClaim = try await destination.wait(
                for: PersistentVolumeClaim.self,
                in: name.namespace,
                named: name.name,
                limit: limits.provisioning,
                what: "PersistentVolumeClaim \(name) to be Bound"
            ) { snapshot in
                guard let claim = snapshot.object(named: name.name), claim.metadata.uid == state.staging?.metadata.uid
                else { throw Refusal("the staging claim \(name) was deleted by somebody") }
                return claim.phase == .bound ? claim : nil
            }
            state.staging = bound
        } catch let timeout as WaitTimeout {
            let why = await Complaints(destination).lastWarning(about: "PersistentVolumeClaim", name)
            throw Failure(place: state.title, reason: "\(timeout)\(why.map { ": \($0)" } ?? "")")
        }
        return try await reader.read(state, [.claim, .destination])
    }

    /// Removes the staging claim of a unit that goes back, and its volume with it. A given volume is kept, because it
    /// existed before.
    func unstage(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard state.seal == nil, let staging = state.ownStaging else { return state }
        if let volume = state.destination, !volume.isKept { _ = try await volumes.makeDisposable(volume, of: staging) }
        try await destination.delete(.claims, state.stagingName, uid: staging.metadata.uid)
        state.staging = nil
        state.destination = nil
        return state
    }
}

extension ClaimState {
    /// The claim's name in messages.
    var title: String { "PersistentVolumeClaim \(name)" }
}
