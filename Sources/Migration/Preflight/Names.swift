import Kubernetes

/// Checks the claims themselves.
enum NameCheck {
    /// Each staging claim has a name of its own, and each claim is one that can be carried over.
    static func obstacles(_ discovery: Discovery) -> [Obstacle] {
        let states = discovery.units.flatMap(\.claims)
        var obstacles = collisions(of: states)
        for state in states where state.seal == nil {
            obstacles += refusals(of: state).map {
                Obstacle(namespace: state.name.namespace, resource: state.title, message: $0.description)
            }
        }
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

    /// What in the claim itself keeps it from being migrated.
    static func refusals(of state: ClaimState) -> [Refusal] {
        do { _ = try state.accessModes() } catch { return [error] }
        return []
    }
}
