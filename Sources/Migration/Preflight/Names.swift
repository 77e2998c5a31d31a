import Kubernetes

extension Migrator {
    /// Each staging claim has a name of its own that no stranger has, and each claim is one that can be carried over.
    func checkNames(_ discovery: Discovery) async -> [Obstacle] {
        let states = discovery.units.flatMap(\.claims)
        var obstacles = Self.collisions(of: states)
        for state in states where state.seal == nil {
            obstacles += Self.refusals(of: state).map {
                Obstacle(namespace: state.name.namespace, resource: state.title, message: $0.description)
            }
        }
        // Only many annotations make a manifest large: at worst each of their bytes takes six in JSON.
        let large = states.filter { $0.seal == nil && $0.claim.map(Self.annotationBytes) ?? 0 > Seal.limit / 8 }
        for result in await large.sideBySide({ await checkManifest(of: $0) }) { obstacles += result }
        return obstacles
    }

    /// The claims of one namespace whose staging claims would bear the same name.
    static func collisions(of states: [ClaimState]) -> [Obstacle] {
        let groups = Dictionary(grouping: states, by: \.stagingName).values.filter { $0.count > 1 }
        return groups.flatMap { group in
            group.map { state in
                let others = group.map(\.name.name).filter { $0 != state.name.name }
                return Obstacle(
                    namespace: state.name.namespace,
                    resource: state.title,
                    message: "its staging claim's name, shortened to what Kubernetes allows, is also that of "
                        + others.sorted().joined(separator: ", ") + "; copy one of them to a claim of a shorter name"
                )
            }
        }
    }

    /// What in the claim itself, or in the claim of its staging claim's name, keeps it from being migrated.
    static func refusals(of state: ClaimState) -> [Refusal] {
        var refusals: [Refusal] = []
        if let staging = state.staging, let stranger = state.strangeness(of: staging) { refusals.append(stranger) }
        do { _ = try state.accessModes() } catch { refusals.append(error) }
        if state.claim?.volumeMode == "Block" {
            refusals.append(Refusal("is a block volume (volumeMode Block), which rsync cannot copy"))
        }
        return refusals
    }

    private static func annotationBytes(of claim: PersistentVolumeClaim) -> Int {
        [claim.metadata.annotations, claim.metadata.labels].compactMap(\.self).flatMap(\.self)
            .reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
    }

    private func checkManifest(of state: ClaimState) async -> [Obstacle] {
        do {
            let bytes = Seal.manifest(of: try await client.get(.claims, state.name)).text.count
            guard bytes > Seal.limit else { return [] }
            return [
                Obstacle(
                    namespace: state.name.namespace,
                    resource: state.title,
                    message: "its manifest has \(bytes) bytes, more than the \(Seal.limit) that can be kept on its new "
                        + "volume meanwhile; drop what its annotations can do without"
                )
            ]
        } catch {
            return [Obstacle(namespace: state.name.namespace, resource: state.title, message: "\(error)")]
        }
    }
}
