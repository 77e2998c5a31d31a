import Kubernetes

/// Warns of snapshots of volumes that are to be freed.
struct SnapshotWarning: Sendable {
    private let keepsAll: Bool
    private let journal: Journal
    private let lists: SelectedObjects

    init(_ context: Context) {
        // A retype and a transfer free nothing.
        keepsAll = context.options.keepSource || context.options.pipeline.retypes || !context.options.hasClasses
        journal = context.journal
        lists = SelectedObjects(context.source, context.options.selection)
    }

    /// Warns of the snapshots of volumes that are to be freed. Their driver decides whether they outlive the volumes.
    ///
    /// They are no obstacle. Where snapshots may not be listed, there is no warning.
    func warn(_ discovery: Discovery) async throws {
        let states = discovery.units.flatMap(\.claims).filter { $0.sourceClaim != nil && $0.originalPolicy == .delete }
        guard !keepsAll, !states.isEmpty else { return }
        let claims = Dictionary(states.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let snapshots: [VolumeSnapshot]
        do {
            snapshots = try await lists.list(VolumeSnapshot.self)
        } catch let error as APIError where error.reason == .forbidden || error.reason == .notFound {
            return
        }
        for snapshot in snapshots {
            let claim = snapshot.spec?.source?.persistentVolumeClaimName.map {
                ObjectName($0, in: snapshot.metadata.namespace)
            }
            guard let claim, let driver = claims[claim]?.source?.spec.csi?.driver else { continue }
            journal.warn(
                snapshot.title,
                "was taken of the old volume of \(claim), which is to be freed: whether it outlives that is up to the driver "
                    + "\(driver). --keep-source keeps the volume"
            )
        }
    }
}

extension Inventory {
    /// Returns the dependents of claims that are to be made anew. The garbage collector deletes them with the old
    /// claims.
    func dependents(of states: [ClaimState]) -> [Obstacle] {
        let uids = Dictionary(
            states.filter { $0.transfer.ending != .copy }.compactMap { state in
                state.sourceClaim.map { ($0.metadata.uid, state.name) }
            },
            uniquingKeysWith: { first, _ in first }
        )
        let objects: [(title: String, metadata: ObjectMeta)] =
            claims.values.map { ($0.title, $0.metadata) } + pods.map { ($0.title, $0.metadata) }
            + owners.values.map { ($0.title, $0.metadata) }
        return objects.sorted { $0.title < $1.title }.compactMap { object in
            // A stand-in has to be deleted with its claim.
            guard object.metadata.annotation(Marks.kind) != Marks.Kind.copy,
                let owner = object.metadata.ownerReferences?.first(where: { uids[$0.uid] != nil }),
                let claim = uids[owner.uid]
            else { return nil }
            return Obstacle(
                namespace: object.metadata.namespace,
                resource: object.title,
                message:
                    "belongs to the claim \(claim) (ownerReferences), and is deleted with it when that is made anew; "
                    + "take the reference away where it is to stay"
            )
        }
    }
}
