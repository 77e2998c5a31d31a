/// A file of a modelled volume.
public struct File: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case regular
        case directory
        case link(to: String)
    }

    public var kind: Kind
    /// What a regular file holds.
    public var content: String
    /// Bytes, where the content stands for more than it is (zeroes, say).
    public var size: Int
    public var mode: Int
    public var owner: Int
    public var group: Int
    /// When it was last written, since the cluster's start.
    public var modified: Duration
    public var attributes: [String: String]
    /// Files of one volume with the same number are one file with several names.
    public var hardLink: Int?

    public init(
        _ content: String = "",
        kind: Kind = .regular,
        size: Int? = nil,
        mode: Int = 0o644,
        owner: Int = 0,
        group: Int = 0,
        modified: Duration = .zero,
        attributes: [String: String] = [:],
        hardLink: Int? = nil
    ) {
        self.kind = kind
        self.content = content
        self.size = size ?? content.utf8.count
        self.mode = mode
        self.owner = owner
        self.group = group
        self.modified = modified
        self.attributes = attributes
        self.hardLink = hardLink
    }

    public static func directory(mode: Int = 0o755) -> File { File(kind: .directory, mode: mode) }
    public static func link(to target: String) -> File { File(kind: .link(to: target), mode: 0o777) }
}

/// The files of a modelled volume by path, without a slash at the start; the volume's own directory is not among them.
public typealias Content = [String: File]
