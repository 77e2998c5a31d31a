import Kubernetes

/// The controllers' part of the cluster's state.
public struct ControllerState: Sendable {
    init() {}
}

enum Controllers {
    /// Called after every committed change, with nil for what did not exist before or does not any more.
    static func changed(_ old: JSON?, _ new: JSON?, _ key: ObjectKey, _ cluster: inout Cluster) {}

    /// Does work that has become due.
    static func perform(_ work: Work, _ cluster: inout Cluster) {}
}
