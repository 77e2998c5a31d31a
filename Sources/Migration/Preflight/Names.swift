import Kubernetes

/// Checks the claims themselves.
enum NameCheck {
    /// Checks that each staging claim has a name of its own, and that each claim can be carried over.
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

    /// Returns the obstacles of claims in one namespace whose staging claims would have the same name.
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

    /// Returns the reasons in the claim itself that keep it from being migrated.
    static func refusals(of state: ClaimState) -> [Refusal] {
        do { _ = try state.accessModes() } catch { return [error] }
        return []
    }
}
