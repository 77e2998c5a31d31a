import Kubernetes

/// Waits until claims of a migration are gone, and names what holds them.
struct ClaimDeletion: Sendable {
    private let source: Client
    private let destination: Client
    private let journal: Journal
    private let limits: Limits
    private let reader: StateReader
    private var time: TimeSource { source.time }

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (journal, limits) = (context.journal, context.limits)
        reader = StateReader(context)
    }

    private func client(of claim: PersistentVolumeClaim, _ state: ClaimState) -> Client {
        claim.metadata.uid == state.staging?.metadata.uid ? destination : source
    }

    /// Waits until claims of a migration are gone.
    func wait(_ state: ClaimState, of claims: [PersistentVolumeClaim]) async throws -> ClaimState {
        let end = time.now() + limits.rebinding
        do {
            for claim in claims {
                try await client(of: claim, state).awaitDeletion(of: claim, limit: end - time.now())
            }
        } catch is WaitTimeout {
            let sorted = claims.sorted { $0.name < $1.name }
            let what = "\(sorted.map(\.metadata.name).joined(separator: " and ")) to be deleted"
            let timeout = WaitTimeout(what: what, limit: limits.rebinding)
            let holders = await sorted.sideBySide { await hold(on: $0, state) }.compactMap(\.self)
            throw Failure(
                place: state.title,
                reason: "\(timeout): \(holders.joined(separator: "; ")). "
                    + "The data is complete on the volume \(state.safeVolume); run again to finish"
            )
        }
        var state = state
        if claims.contains(where: { $0.metadata.uid == state.staging?.metadata.uid }) {
            state.staging = nil
            // The destination volume is deleted or Released with the staging claim.
            state.destination = state.givenDestination
        }
        return try await reader.read(state, [.claim, .destination])
    }

    /// Returns what holds a claim that is being deleted; nil where the claim is gone.
    private func hold(on deleted: PersistentVolumeClaim, _ state: ClaimState) async -> String? {
        let client = client(of: deleted, state)
        let now = await journal.orWarn(deleted.title) {
            try await client.find(PersistentVolumeClaim.self, deleted.name)
        }
        guard let claim = now ?? deleted, claim.metadata.uid == deleted.metadata.uid else { return nil }
        let protection = PersistentVolumeClaim.protection
        var holders: [String] = []
        let foreign = (claim.metadata.finalizers ?? []).filter { $0 != protection }
        if !foreign.isEmpty {
            holders.append(
                "the finalizers \(foreign.joined(separator: ", ")), which are for whoever set them to remove"
            )
        }
        if claim.metadata.finalizers?.contains(protection) == true {
            let namespace = claim.metadata.namespace
            let pods =
                await journal.orWarn(claim.title) { try await client.list(MountingPod.self, in: namespace) } ?? []
            let users = pods.filter { !$0.isFinished && $0.claimNames.contains(claim.metadata.name) }.map(\.title)
            if !users.isEmpty { holders.append("\(users.sorted().joined(separator: ", ")), which use it: stop them") }
        }
        return "\(claim.name) is held by "
            + (holders.isEmpty ? "the finalizer \(protection)" : holders.joined(separator: " and by "))
    }
}
