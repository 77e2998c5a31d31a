import Kubernetes

extension Migrator {
    /// Asks the API server for every permission that the run needs.
    ///
    /// It needs no discovery, so that it can say why discovery failed. What a run can do without is a warning in the
    /// journal.
    public func checkPermissions() async -> [Obstacle] {
        await Permissions.needed(for: options).sideBySide { await review($0) }.flatMap(\.self)
    }

    private func review(_ permission: Permission) async -> [Obstacle] {
        let namespace = permission.resource.namespaced ? permission.namespace ?? options.namespace : nil
        var missing: [String] = []
        var failure: (any Error)?
        for verb in permission.verbs {
            do {
                let allowed = try await client.mayI(
                    verb,
                    permission.resource,
                    subresource: permission.subresource,
                    in: namespace
                )
                if !allowed { missing.append(verb) }
            } catch {
                failure = failure ?? error
            }
        }
        var obstacles: [Obstacle] = []
        if let failure, !Task.isCancelled {
            obstacles.append(
                Obstacle(
                    namespace: namespace,
                    resource: permission.title,
                    message: "could not be asked for: \(failure)"
                )
            )
        }
        guard !missing.isEmpty else { return obstacles }
        let message =
            "not permitted: \(missing.joined(separator: ", "))"
            + (namespace == nil ? " (in the whole cluster)" : "")
        if let otherwise = permission.otherwise {
            journal.warn(permission.title, "\(message); \(otherwise)")
        } else {
            obstacles.append(
                Obstacle(
                    namespace: namespace,
                    resource: permission.title,
                    message: "\(message); \"pvmigrate rbac\" prints what has to be granted"
                )
            )
        }
        return obstacles
    }
}
