import Kubernetes

/// The smallest set that must stop together: claims and workloads connected through pods that mount them.
public struct Unit: Sendable {
    /// The claims, in order of their names.
    public internal(set) var claims: [ClaimState]
    public internal(set) var workloads: [Workload]
    /// The reasons why the unit cannot be migrated. Preflight shows them, and a run without preflight refuses the unit.
    public internal(set) var obstacles: [Obstacle]
    /// The pods that mount the claims now, and the pods that workloads without any would make.
    var pods: [PodWithClaims] = []
    /// The claims of its workloads that take no part and are between two volumes. No workload may start before they are
    /// bound.
    var limbo: [ClaimState] = []
    /// The managers that also set the workloads' scale, by the workloads' UIDs.
    public internal(set) var managers: [String: [Manager]] = [:]

    /// The namespace of all claims. A pod mounts claims of its own namespace only.
    var namespace: String? { claims.first?.name.namespace }

    /// True where the unit has a workload to stop.
    var isRunning: Bool { workloads.contains { $0.replicas > 0 } }

    /// True where an earlier run has stopped its workloads, or sealed a volume.
    var isUnderWay: Bool { claims.contains { $0.seal != nil } || workloads.contains(where: \.isMarked) }

    /// The longest grace period of its pods.
    var gracePeriod: Duration {
        .seconds(pods.map { max(0, $0.spec.terminationGracePeriodSeconds ?? 30) }.max() ?? 30)
    }

    /// The name of the unit in messages: its first workload's, else its first claim's.
    public var title: String {
        if let workload = workloads.first { return workload.title }
        return claims.first.map { "PersistentVolumeClaim \($0.name)" } ?? "nothing"
    }
}

/// An obstacle to a migration, in the words of preflight's table.
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
    /// True where the API server did not answer about a permission.
    public var isUnanswered: Bool { message.hasPrefix(Self.unanswered) }
}
