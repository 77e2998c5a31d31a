import Kubernetes

/// Determines the requested sizes of destination volumes.
struct DestinationSizes: Sendable {
    private let options: Options
    private let lists: SelectedObjects

    init(_ context: Context) {
        options = context.options
        lists = SelectedObjects(context.destination, context.options.selection)
    }

    /// Writes the requested sizes into states: those of the claims' owners, of the flag, and of the namespaces' limits.
    ///
    /// - Returns: The sizes that cannot be read, each as an obstacle.
    func write(into states: inout [ClaimState]) async throws -> [Transfer.ID: Obstacle] {
        var obstacles: [Transfer.ID: Obstacle] = [:]
        let limits = try await leastSizes(for: states)
        for index in states.indices where states[index].isToBeSized {
            let state = states[index]
            do {
                states[index].transfer.sizeWanted = try state.sizeAsked(options)
            } catch {
                obstacles[state.id] = Obstacle(
                    namespace: state.name.namespace,
                    resource: state.title,
                    message: "\(error)"
                )
            }
            // The successor must meet the limits too.
            let requested = states[index].transfer.sizeWanted ?? state.claim?.spec.resources?.requests?["storage"]
            if let least = limits[state.name.namespace ?? ""], let requested, requested < least {
                states[index].transfer.sizeWanted = max(least, states[index].size ?? least)
            }
        }
        return obstacles
    }

    /// Returns the smallest size that the limits of each namespace allow. Where the limits may not be read, the
    /// server's admission refuses the claim and names the reason.
    private func leastSizes(for states: [ClaimState]) async throws -> [String: Quantity] {
        guard states.contains(where: \.isToBeSized) else { return [:] }
        do {
            let limits = try await lists.list(LimitRange.self)
            return Dictionary(
                limits.compactMap { limit in limit.leastStorage.map { (limit.metadata.namespace ?? "", $0) } },
                uniquingKeysWith: { max($0, $1) }
            )
        } catch let error as APIError where error.reason == .forbidden || error.reason == .notFound {
            return [:]
        }
    }
}
