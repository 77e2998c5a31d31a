import FoundationEssentials
import Kubernetes

extension Migrator {
    /// Gives the destination volumes their reclaim policy, and disposes of the source volumes of which a ready workload
    /// was seen on what took their place; those of others are kept for a rollback.
    ///
    /// The source volume goes first: as long as the destination volume bears the seal, a run that was cut off here
    /// knows what is left to do.
    func release(_ progress: inout Progress) async throws {
        let readiness = progress.readiness
        try await advanceAll(&progress) { state, action in
            switch action {
            case .dropWake: return try await dropWake(state)
            case .disposeOfSource:
                // What was not bound when the workloads were looked at is left to a rerun.
                guard let readiness = readiness[state.name] else { return nil }
                return try await disposeOfSource(state, readiness)
            case .dropMarks: return try await dropMarks(state)
            case .blocked(let why): throw why
            default: return nil
            }
        }
    }

    private func dropWake(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        if let claim = state.claim { state.claim = try await wake(claim, mark: false) }
        return state
    }

    /// Where the policy was Delete it is given back, and the controller frees the storage of the Released volume.
    /// Else the storage stays its owner's: only the volume object goes, and its handle is said.
    private func disposeOfSource(_ state: ClaimState, _ readiness: Sighting) async throws -> ClaimState {
        var state = state
        guard let source = state.source else { return state }
        if let why = source.holdOfRecords { throw Refusal(why) }
        if case .unseen(let why) = readiness {
            journal.warn(state.title, "no workload was seen ready on its new volume: \(why)")
        }
        if state.sharesSource {
            journal.warn(
                state.title,
                "another volume object is the storage of \(source.metadata.name), too; it is not freed"
            )
        }
        let isFlushed = source.metadata.annotation(Marks.unflushed) == nil
        if !isFlushed, !options.keepSource {
            journal.warn(
                state.title,
                "what was copied was not flushed, as the image has no shell: a node that fails now could lose it, so "
                    + "\(source.metadata.name) is not freed; `pvmigrate cleanup` frees it later"
            )
        }
        if options.keepSource || readiness != .seen || state.sharesSource || !isFlushed {
            state.source = try await keep(source, of: state, for: readiness == .seen ? nil : .unready)
        } else if state.originalPolicy == .delete {
            state.source = try await client.giveBack(source, policy: .delete)
        } else {
            try await client.delete(.volumes, source.name, uid: source.metadata.uid)
            journal.info(
                state.title,
                "the source volume \(source.metadata.name) had the policy \(state.originalPolicy): "
                    + "its storage is kept, as \(source.handle)"
            )
            state.source = nil
        }
        return state
    }

    /// Leaves a source volume as it is, Released and Retain, and marks it with what it belongs to.
    private func keep(
        _ source: PersistentVolume,
        of state: ClaimState,
        for reason: KeptVolume.Reason?
    ) async throws -> PersistentVolume {
        var marks = keepMarks(of: state, for: reason)
        marks[Marks.successor] = state.claim.map { .string($0.metadata.uid) }
        journal.info(state.title, "the source volume \(source.metadata.name) is kept for a rollback")
        return try await client.patch(
            PersistentVolume.self,
            source.name,
            .merge(onto: source.metadata, ["metadata": ["annotations": .object(marks)]])
        )
    }

    /// The marks of a source volume that is kept, as far as they are known before its claim has a successor.
    func keepMarks(of state: ClaimState, for reason: KeptVolume.Reason?) -> [String: JSON] {
        var marks: [String: JSON] = [:]
        marks[Marks.keptFor] = reason.map { .string($0.rawValue) }
        marks[Marks.kept] = .string(time.timeOfDay.formatted(.iso8601))
        marks[Marks.sourceNamespace] = state.name.namespace.map(JSON.string)
        marks[Marks.sourceClaim] = .string(state.name.name)
        // Back on it, the claim is to ask for what it asked for before.
        if let seal = state.seal, seal.size != nil {
            marks[Marks.size] = seal.manifest[path: ["spec", "resources", "requests", "storage"]]
        }
        // It says that the source volume is yet to be disposed of.
        marks[Marks.sourceUID] = .null
        for mark in [Marks.owner, Marks.stagingUID, Marks.copyUID, Marks.snapshotUID, Marks.unflushed]
        where state.source?.metadata.annotation(mark) != nil {
            marks[mark] = .null
        }
        return marks
    }

    private func dropMarks(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard let destination = state.destination, let seal = state.seal else { return state }
        state.destination = try await client.giveBack(destination, policy: seal.reclaimPolicy)
        state.isReleased = true
        return state
    }

    /// Waits until the storage of the source volumes is freed; one that takes longer is a warning.
    func awaitFreedStorage(_ progress: Progress) async throws {
        for state in progress.unit.claims {
            guard let source = state.source, source.reclaimPolicy == .delete, state.isReleased else { continue }
            do {
                try await awaitFreed(source)
            } catch let timeout as WaitTimeout {
                let why = await client.lastWarning(about: "PersistentVolume", source.name)
                journal.warn(
                    state.title,
                    "the old storage is not freed yet: \(timeout)\(why.map { ": \($0)" } ?? "")"
                )
            }
        }
    }

    /// Waits until a volume that is to be reclaimed is gone.
    func awaitFreed(_ volume: PersistentVolume) async throws {
        try await client.wait(
            for: PersistentVolume.self,
            in: nil,
            named: volume.metadata.name,
            limit: limits.rebinding,
            what: "\(volume.title) to be deleted"
        ) { $0.objects[volume.metadata.uid] == nil ? () : nil }
    }
}
