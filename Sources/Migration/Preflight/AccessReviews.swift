import Kubernetes

/// The API server's answer about a permission.
struct Review: Sendable {
    var permission: Permission
    var namespace: String?
    /// The verbs that are not permitted.
    var missing: [String] = []
    /// The error at which the questions about verbs ended.
    var failure: (any Error)?
}

/// Asks the API server for the caller's permissions.
struct AccessReviews: Sendable {
    private let clients: [Client]
    private let options: Options
    private let journal: Journal

    init(_ context: Context) {
        clients = context.ends.clusters.map(\.client)
        (options, journal) = (context.options, context.journal)
    }

    /// Asks for every permission that the run needs, at each end. One that a run can do without is a warning.
    ///
    /// - Parameter discovery: The discovery; nil where it failed, to say why.
    func obstacles(_ discovery: Discovery?) async -> [Obstacle] {
        let needed = Permissions.needed(for: options)
        let besides = (discovery.map { Permissions.needed(for: $0, options) } ?? []).filter { !needed.contains($0) }
        return await reviews(of: needed + besides).flatMap(obstacles)
    }

    /// Returns true where the permissions suffice for a trial and its removal.
    func mayTry() async -> Bool {
        let resources: [APIResource] = [.claims, .pods, .volumes]
        let needed = Permissions.needed(for: options).filter { resources.contains($0.resource) }
        return await mayAll(needed)
    }

    /// Returns true where all permissions of a purpose are granted.
    func may(_ purpose: Permission.Purpose) async -> Bool {
        await mayAll(Permissions.all.filter { $0.purpose == purpose })
    }

    private func mayAll(_ permissions: [Permission]) async -> Bool {
        await reviews(of: permissions).allSatisfy { $0.missing.isEmpty && $0.failure == nil }
    }

    private func reviews(of permissions: [Permission]) async -> [Review] {
        let selection = options.selection
        let all = permissions.flatMap { permission in
            permission.places(in: selection).map { Review(permission: permission, namespace: $0) }
        }
        var reviews: [Review] = []
        for client in clients { reviews += await all.sideBySide { await carryOut($0, client) } }
        return reviews
    }

    private func carryOut(_ start: Review, _ client: Client) async -> Review {
        var review = start
        let permission = review.permission
        for verb in permission.verbs {
            do {
                let isAllowed = try await client.mayI(
                    verb,
                    permission.resource,
                    subresource: permission.subresource,
                    in: review.namespace
                )
                if !isAllowed { review.missing.append(verb) }
            } catch {
                // The client has already retried long enough.
                review.failure = error
                break
            }
        }
        return review
    }

    private func obstacles(_ review: Review) -> [Obstacle] {
        let title = review.permission.title
        var messages: [String] = []
        if let failure = review.failure { messages.append("\(Obstacle.unanswered): \(failure)") }
        if !review.missing.isEmpty {
            let scope = review.namespace == nil ? " (in the whole cluster)" : ""
            let message = "not permitted: \(review.missing.joined(separator: ", "))\(scope)"
            if let otherwise = review.permission.otherwise {
                journal.warn(title, "\(message); \(otherwise)")
            } else {
                let advice =
                    switch review.permission.purpose {
                    case .custom: "grant that besides what \"pvmigrate rbac\" prints"
                    case .networkCopy: "\"pvmigrate rbac --network-copy\" prints what has to be granted"
                    default: "\"pvmigrate rbac\" prints what has to be granted"
                    }
                messages.append("\(message); \(advice)")
            }
        }
        return messages.map { Obstacle(namespace: review.namespace, resource: title, message: $0) }
    }
}
