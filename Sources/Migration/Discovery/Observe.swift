import Kubernetes

extension ClaimState {
    /// The objects that take part in a claim's migration.
    enum Part: CaseIterable { case claim, staging, source, destination }
}

extension Client {
    /// Reads anew what the cluster says of a claim's migration.
    ///
    /// - Parameter parts: those that are read; the others stay as they were read before.
    /// - Throws: `APIError`.
    func observe(
        _ state: ClaimState,
        _ parts: Set<ClaimState.Part> = Set(ClaimState.Part.allCases)
    ) async throws -> ClaimState {
        var new = state
        async let claim =
            parts.contains(.claim) ? try find(PersistentVolumeClaim.self, state.name) : state.claim
        async let staging =
            parts.contains(.staging) ? try find(PersistentVolumeClaim.self, state.stagingName) : state.staging
        (new.claim, new.staging) = (try await claim, try await staging)
        let sourceName = state.seal?.sourceVolume ?? state.source?.metadata.name ?? new.claim?.spec.volumeName
        let destinationName = state.destination?.metadata.name ?? new.staging?.spec.volumeName
        async let source = parts.contains(.source) ? try volume(sourceName) : state.source
        async let destination = parts.contains(.destination) ? try volume(destinationName) : state.destination
        (new.source, new.destination) = (try await source, try await destination)
        if let destination = new.destination { new.seal = Seal(of: destination) ?? new.seal }
        if let seal = new.seal, let destination = new.destination,
            !seal.counts(on: destination, claim: new.claim, source: new.source, isCopied: new.copied)
        {
            new.seal = nil
        }
        if let staging = new.staging, !new.isOwn(staging) { try await passOver(staging, in: &new) }
        return new
    }

    /// Leaves a claim alone that has the staging claim's name and is not ours, and takes the next name that is free.
    private func passOver(_ stranger: PersistentVolumeClaim, in state: inout ClaimState) async throws {
        if state.seal == nil, state.destination?.isKept != true { state.destination = nil }
        state.staging = nil
        var taken: Set<ObjectName> = [stranger.name]
        while taken.contains(state.stagingName) {
            state.stagingName = state.firstStagingName { !taken.contains($0) }
            if try await find(PersistentVolumeClaim.self, state.stagingName) != nil { taken.insert(state.stagingName) }
        }
    }

    private func volume(_ name: String?) async throws -> PersistentVolume? {
        guard let name else { return nil }
        return try await find(PersistentVolume.self, ObjectName(name, in: nil))
    }
}
