public import Kubernetes

/// A copy between claims and directories on this computer, as a person asks for it.
public struct LocalTree: Sendable, Equatable {
    public enum Direction: String, Sendable, CaseIterable {
        /// Into claims.
        case upload
        /// Out of claims.
        case download
    }

    public var direction: Direction
    /// The whole tree, an absolute path.
    public var directory: String
    /// The directory of each claim, an absolute path.
    public var parts: [ObjectName: String]
    public var target = TreeTarget.own
    /// True where an abort starts workloads on claims that are only half filled.
    public var startsHalfFilled = false

    /// The names at the top of a claim or tree that belong to it, and never travel.
    public static let kept = ["lost+found", TreeFlags.records, TreeFlags.partialName]

    public init(_ direction: Direction, directory: String, parts: [ObjectName: String]) {
        (self.direction, self.directory, self.parts) = (direction, directory, parts)
    }
}
