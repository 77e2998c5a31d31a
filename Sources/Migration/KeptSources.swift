import FoundationEssentials
import Kubernetes

/// Keeps source volumes, so that a rollback can swap their claims back to them.
struct KeptSources: Sendable {
    private let source: Client
    private let journal: Journal
    private let volumes: Volumes

    init(_ context: Context) {
        (source, journal) = (context.source, context.journal)
        volumes = Volumes(context, context.source)
    }

    /// Leaves a source volume Released with Retain, and marks it with the claim that it belongs to.
    func keep(
        _ volume: PersistentVolume,
        of state: ClaimState,
        for reason: KeptVolume.Reason?
    ) async throws -> PersistentVolume {
        var marks = marks(of: state, for: reason)
        marks[Marks.successor] = state.claim.map { .string($0.metadata.uid) }
        journal.info(state.title, "the source volume \(volume.metadata.name) is kept for a rollback")
        return try await source.patch(
            PersistentVolume.self,
            volume.name,
            .merge(onto: volume.metadata, ["metadata": ["annotations": .object(marks)]])
        )
    }

    /// Returns the marks of a kept source volume, as far as they are known before its claim has a successor.
    private func marks(of state: ClaimState, for reason: KeptVolume.Reason?) -> [String: JSON] {
        var marks: [String: JSON] = [:]
        marks[Marks.keptFor] = reason.map { .string($0.rawValue) }
        marks[Marks.kept] = .string(source.time.timeOfDay.formatted(.iso8601))
        marks[Marks.sourceNamespace] = state.name.namespace.map(JSON.string)
        marks[Marks.sourceClaim] = .string(state.name.name)
        // After a rollback the claim requests its former size again.
        if let seal = state.seal, seal.size != nil {
            marks[Marks.size] = seal.manifest[path: ["spec", "resources", "requests", "storage"]]
        }
        // This mark says that the source volume is still to be disposed of.
        marks[Marks.sourceUID] = .null
        for mark in [Marks.owner, Marks.stagingUID, Marks.copyUID, Marks.snapshotUID, Marks.unflushed]
        where state.source?.metadata.annotation(mark) != nil {
            marks[mark] = .null
        }
        return marks
    }

    /// Keeps a source volume that pods may have written to after the copy, so that nothing of it is lost.
    func keepDisturbed(_ state: ClaimState, by intruder: String, _ progress: inout Progress) async throws {
        guard let volume = state.source, volume.metadata.annotation(Marks.sourceUID) != nil else { return }
        // What was written to the volume of a hand-over, or to the old object of a retype, is where it belongs.
        guard !state.isRetyped, !state.isHandedOver else { return }
        progress.disturbed[state.id] = intruder
        journal.warn(
            state.title,
            "\(intruder) was started after the copy; what its pods may have written is on the volume "
                + "\(volume.metadata.name), which is kept"
        )
        // These marks are right for every version of the volume.
        _ = try await volumes.annotate(volume, marks(of: state, for: .disturbed))
    }
}
