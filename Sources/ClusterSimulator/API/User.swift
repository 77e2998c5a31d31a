/// Who sends a request, as authentication found out.
public struct User: Hashable, Sendable {
    public var name: String
    public var groups: [String]

    public init(_ name: String, groups: [String] = []) {
        self.name = name
        self.groups = groups
    }

    /// The cluster's own parts: they may do everything.
    public static let system = User("system:apiserver", groups: ["system:masters", "system:authenticated"])
    /// A person who may do everything.
    public static let admin = User("kubernetes-admin", groups: ["system:masters", "system:authenticated"])
    /// A request without credentials.
    public static let anonymous = User("system:anonymous", groups: ["system:unauthenticated"])
}
