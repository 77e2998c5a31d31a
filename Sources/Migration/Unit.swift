import Kubernetes

/// The smallest set that must stop together: claims and workloads connected through pods that mount them.
public struct Unit: Sendable {
    /// The claims, in order of their names.
    public internal(set) var claims: [ClaimState]
    public internal(set) var workloads: [Workload]
    /// Why the unit can't be migrated; preflight shows it, and a run without preflight refuses the unit.
    public internal(set) var obstacles: [Obstacle]
    /// The pods that mount the claims now, and those that workloads without any would make.
    var pods: [PodWithClaims] = []
    /// Who else sets the workloads' scale, by their UID.
    public internal(set) var managers: [String: [Manager]] = [:]

    /// The one of all its claims: a pod mounts claims of its own namespace only.
    var namespace: String? { claims.first?.name.namespace }

    /// True where it has a workload that is to be stopped.
    var isRunning: Bool { workloads.contains { $0.replicas > 0 } }

    /// The longest that one of its pods may take to end.
    var gracePeriod: Duration {
        .seconds(pods.map { max(0, $0.spec.terminationGracePeriodSeconds ?? 30) }.max() ?? 30)
    }

    /// How messages name the unit: by its first workload, else by its first claim.
    public var title: String {
        if let workload = workloads.first { return workload.title }
        return claims.first.map { "PersistentVolumeClaim \($0.name)" } ?? "nothing"
    }
}

/// Something that stands in a migration's way, in the words of preflight's table.
public struct Obstacle: Sendable, Hashable {
    public var namespace: String
    /// The kind and name: `Pod web-0`.
    public var resource: String
    public var message: String

    public init(namespace: String?, resource: String, message: String) {
        self.namespace = namespace ?? ""
        self.resource = resource
        self.message = message
    }

    static let unanswered = "could not be asked for"
    /// True of a permission about which the API server said nothing.
    public var isUnanswered: Bool { message.hasPrefix(Self.unanswered) }
}
