import Kubernetes

/// Finds out which sizes are asked for.
struct DestinationSizes: Sendable {
    private let options: Options
    private let lists: SelectedObjects

    init(_ context: Context) {
        options = context.options
        lists = SelectedObjects(context.destination, context.options.selection)
    }

    /// Writes down which sizes are asked for: by the claims' owners, by the flag, and by the namespaces' limits.
    ///
    /// - Returns: what can't be understood.
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
            // Its successor is to meet them too.
            let requested = states[index].transfer.sizeWanted ?? state.claim?.spec.resources?.requests?["storage"]
            if let least = limits[state.name.namespace ?? ""], let requested, requested < least {
                states[index].transfer.sizeWanted = max(least, states[index].size ?? least)
            }
        }
        return obstacles
    }

    /// The least that claims may ask for, by namespace. Where the limits may not be read, the server's admission says
    /// what it refuses.
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
