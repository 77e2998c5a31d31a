import Kubernetes

/// Reads the quotas.
struct Quotas: Sendable {
    private let options: Options
    private let lists: SelectedObjects

    init(_ context: Context) {
        options = context.options
        lists = SelectedObjects(context.destination, context.options.selection)
    }

    /// Finds an order in which the units fit into the quotas.
    ///
    /// Quotas that may not be read are left to the dry runs; the check of permissions reports them.
    func plan(for units: [Unit]) async throws -> QuotaPlan {
        do {
            var quotas = units.isEmpty ? [] : try await lists.list(ResourceQuota.self)
            if let namespace = options.handover?.namespace, !options.selection.includes(namespace: namespace) {
                quotas += try await lists.client.list(ResourceQuota.self, in: namespace)
            }
            return QuotaPlan(units, in: quotas, destinationClass: options.destinationClass) {
                // The default option uses a stand-in only where it can.
                options.copyFrom != .auto && options.mayStandIn(for: $0)
            }
        } catch let error as APIError {
            var plan = QuotaPlan(units, in: [], destinationClass: options.destinationClass)
            if ![.forbidden, .notFound].contains(error.reason) {
                let why = "could not be carried out: \(error)"
                plan.shortages = [Obstacle(namespace: nil, resource: "check of quotas", message: why)]
            }
            return plan
        }
    }
}
