import Kubernetes

extension ClaimState {
    /// The objects that take part in a claim's migration.
    enum Part: CaseIterable { case claim, staging, source, destination }
}

/// Reads both ends of transfers anew.
struct StateReader: Sendable {
    private let source: Client
    private let destination: Client

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
    }

    /// Reads the objects of a claim's migration anew.
    ///
    /// - Parameter parts: The objects to read. The others stay as they were last read.
    /// - Throws: `APIError`.
    func read(
        _ state: ClaimState,
        _ parts: Set<ClaimState.Part> = Set(ClaimState.Part.allCases)
    ) async throws -> ClaimState {
        var new = state
        async let claim =
            parts.contains(.claim) ? try source.find(PersistentVolumeClaim.self, state.name) : state.claim
        async let staging =
            parts.contains(.staging)
            ? try destination.find(PersistentVolumeClaim.self, state.stagingName) : state.staging
        async let target =
            parts.contains(.claim) && !state.transfer.isInPlace
            ? try destination.find(PersistentVolumeClaim.self, state.transfer.destination) : nil
        (new.claim, new.staging) = (try await claim, try await staging)
        if parts.contains(.claim) { new.observation.target = try await target }
        let sourceName = state.seal?.sourceVolume ?? state.source?.metadata.name ?? new.claim?.spec.volumeName
        let destinationName =
            state.destination?.metadata.name ?? new.staging?.spec.volumeName
            ?? state.source?.metadata.annotation(Marks.retypedTo)
        async let from = parts.contains(.source) ? try volume(sourceName, source) : state.source
        async let to = parts.contains(.destination) ? try volume(destinationName, destination) : state.destination
        (new.source, new.destination) = (try await from, try await to)
        if new.staging == nil, state.destination == nil, let found = new.destination,
            new.source.map(found.isRetyped) != true
        {
            // Somebody else's volume has the name.
            new.destination = nil
        }
        if let destination = new.destination { new.seal = Seal(of: destination) ?? new.seal }
        if let seal = new.seal, let destination = new.destination,
            !seal.counts(on: destination, claim: new.claim, source: new.source, isCopied: new.copied)
        {
            new.seal = nil
        }
        if parts.contains(.destination), let stale = state.observation.staleSeal {
            let now = try await volume(stale.metadata.name, destination)
            new.observation.staleSeal = now?.metadata.uid == stale.metadata.uid && now?.bearsSeal == true ? now : nil
        }
        if let staging = new.staging, !new.isOwn(staging) { try await passOver(staging, in: &new) }
        return new
    }

    /// Leaves a stranger with the staging claim's name alone, and takes the next free name.
    private func passOver(_ stranger: PersistentVolumeClaim, in state: inout ClaimState) async throws {
        if state.seal == nil, state.destination?.isKept != true { state.destination = nil }
        state.staging = nil
        var taken: Set<ObjectName> = [stranger.name]
        while taken.contains(state.stagingName) {
            state.stagingName = state.firstStagingName { !taken.contains($0) }
            if try await destination.find(PersistentVolumeClaim.self, state.stagingName) != nil {
                taken.insert(state.stagingName)
            }
        }
    }

    private func volume(_ name: String?, _ client: Client) async throws -> PersistentVolume? {
        guard let name else { return nil }
        return try await client.find(PersistentVolume.self, ObjectName(name, in: nil))
    }
}
