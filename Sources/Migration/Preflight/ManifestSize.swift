import Kubernetes

/// Checks that claims' manifests fit on their destination volumes as seals.
struct ManifestSizes: Sendable {
    private let source: Client

    init(_ context: Context) { source = context.source }

    /// Returns the claims whose manifests are too large for the seal. Nothing may be stopped for them.
    ///
    /// - Throws: `APIError`.
    func oversized(_ states: [ClaimState]) async throws -> [Transfer.ID: Obstacle] {
        var obstacles: [Transfer.ID: Obstacle] = [:]
        for state in states where state.seal == nil {
            // Only many annotations make a manifest large. In JSON each of their bytes takes at most six.
            guard let claim = state.claim, Self.bytes(of: claim.metadata) > Seal.limit / 8 else { continue }
            let now: JSON
            do {
                now = try await source.get(.claims, state.name)
            } catch let error as APIError where error.reason == .notFound {
                continue
            }
            let bytes = Seal.manifest(of: now).text.count
            guard bytes > Seal.limit else { continue }
            let largest = claim.metadata.annotations?.max { $0.value.utf8.count < $1.value.utf8.count }
            obstacles[state.id] = Obstacle(
                namespace: state.name.namespace,
                resource: state.title,
                message: "its manifest has \(bytes) bytes, more than the \(Seal.limit) that can be kept on its new "
                    + "volume meanwhile; the largest annotation is \(largest?.key ?? "?") with \(largest?.value.utf8.count ?? 0) "
                    + "bytes: shorten it, or remove it (kubectl annotate pvc \(state.name.name) --namespace "
                    + "\(state.name.namespace ?? "") \(largest?.key ?? "")-)"
            )
        }
        return obstacles
    }

    private static func bytes(of metadata: ObjectMeta) -> Int {
        [metadata.annotations, metadata.labels].compactMap(\.self).flatMap(\.self)
            .reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
    }
}
