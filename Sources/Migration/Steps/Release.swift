import FoundationEssentials
import Kubernetes

/// Gives the destination volumes their reclaim policy, and disposes of the source volumes whose workloads were seen
/// ready on the destination volumes. The other source volumes are kept for a rollback.
///
/// - Before: the claims are bound to the destination volumes, and the readiness of their workloads was checked.
/// - After: only kept volumes bear marks.
///   The old volume object of a retype is gone before the new one gets its policy.
/// - Safe to repeat because: the source volume goes first. While the destination volume bears the seal, a resumed run
///   knows what is left to do.
/// - Undone by: `pvmigrate rollback`, where the source volume is kept.
struct Release: UnitAction {
    private let source: Client
    private let destination: Client
    private let journal: Journal
    private let keepsAll: Bool
    private let advance: Advance
    private let reader: StateReader
    private let kept: KeptSources
    private let sourceVolumes: Volumes
    private let volumes: Volumes

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (journal, keepsAll) = (context.journal, context.options.keepSource)
        advance = Advance(context)
        reader = StateReader(context)
        kept = KeptSources(context)
        sourceVolumes = Volumes(context, context.source)
        volumes = Volumes(context, context.destination)
    }

    func perform(_ progress: inout Progress) async throws {
        let readiness = progress.readiness
        try await advance.all(&progress) { state, action in
            switch action {
            case .release(let release): return try await perform(release, of: state, readiness[state.id])
            case .blocked(let why): throw why
            case .protect, .stage, .copy, .detach, .seal, .rebind, .done: return nil
            }
        }
    }

    /// - Parameter readiness: Nil for a claim that was not bound when readiness was checked. A rerun finishes it.
    private func perform(
        _ action: Action.Release,
        of state: ClaimState,
        _ readiness: Sighting?
    ) async throws -> ClaimState? {
        switch action {
        case .dropWake: return try await dropWake(state)
        case .disposeOfSource:
            guard let readiness else { return nil }
            return try await disposeOfSource(state, readiness)
        case .giveBackSource:
            guard let volume = state.source else { return state }
            var state = state
            state.source = try await sourceVolumes.giveBack(volume, policy: state.originalPolicy)
            return state
        case .deleteOld:
            guard let old = state.oldVolume else { return state }
            if let why = old.holdOfRecords { throw Refusal(why) }
            try await sourceVolumes.deleteObject(old)
            return try await reader.read(state, [.source])
        case .awaitOldDeletion:
            guard let old = state.oldVolume else { return state }
            try await sourceVolumes.awaitObjectDeletion(old, state)
            return try await reader.read(state, [.source])
        case .dropMarks: return try await dropMarks(state)
        }
    }

    private func dropWake(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        if let claim = state.target {
            state.target = try await destination.patch(PersistentVolumeClaim.self, claim.name, claim.touch(false))
        }
        return state
    }

    /// Disposes of a source volume. Where its policy was Delete, the policy is restored, and the controller frees the
    /// storage of the Released volume. Else the storage stays its owner's: only the volume object is deleted, and its
    /// handle is reported.
    private func disposeOfSource(_ state: ClaimState, _ readiness: Sighting) async throws -> ClaimState {
        var state = state
        guard let volume = state.source else { return state }
        if let why = volume.holdOfRecords { throw Refusal(why) }
        switch state.disposal(of: volume, readiness, keepsAll: keepsAll) {
        case .keep(let reasons):
            for reason in reasons { journal.warn(state.title, reason.inWords(volume)) }
            state.source = try await kept.keep(volume, of: state, for: readiness == .seen ? nil : .unready)
        case .free: state.source = try await sourceVolumes.giveBack(volume, policy: .delete)
        case .forget:
            try await source.delete(.volumes, volume.name, uid: volume.metadata.uid)
            journal.info(
                state.title,
                "the source volume \(volume.metadata.name) had the policy \(state.originalPolicy): "
                    + "its storage is kept, as \(volume.handle)"
            )
            state.source = nil
        }
        return state
    }

    private func dropMarks(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard let volume = state.destination, let seal = state.seal else { return state }
        var policy = seal.reclaimPolicy
        // What was known at discovery may be old.
        if state.isRetyped, policy == .delete,
            try await !volume.sharedWith(sourceVolumes.all()).isEmpty || state.transfer.sharesSource
        {
            policy = .retain
            journal.warn(
                state.title,
                "another volume object is the storage of \(volume.metadata.name), too; that keeps the policy Retain"
            )
        }
        state.destination = try await volumes.giveBack(volume, policy: policy)
        state.isReleased = true
        return state
    }

    /// Waits until the storage of the source volumes is freed. A late one is a warning.
    func awaitFreedStorage(_ progress: Progress) async throws {
        for state in progress.unit.claims where state.transfer.isInPlace && state.transfer.method != .tree {
            guard let volume = state.source, volume.reclaimPolicy == .delete, state.isReleased else { continue }
            do {
                try await sourceVolumes.awaitFreed(volume)
            } catch let timeout as WaitTimeout {
                let why = await Complaints(source).lastWarning(about: "PersistentVolume", volume.name)
                journal.warn(
                    state.title,
                    "the old storage is not freed yet: \(timeout)\(why.map { ": \($0)" } ?? "")"
                )
            }
        }
    }
}
