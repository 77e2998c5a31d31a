/// A node of a YAML document, with the place where it stands.
public struct YAMLValue: Sendable, Hashable {
    /// What a node holds; scalars are read as Kubernetes reads them (YAML 1.1, see `init(plain:)`).
    public enum Content: Sendable, Hashable {
        case null
        case bool(Bool)
        case integer(Int64)
        /// A number with a fraction or an exponent, or an integer beyond 64 bits.
        case number(Double)
        case string(String)
        case array([YAMLValue])
        /// The members in the order of the text; no key comes twice.
        case object([Member])
    }

    /// One key of a mapping with its value.
    public struct Member: Sendable, Hashable {
        public var key: String
        /// Where the key begins, counted from 1.
        public var line: Int
        /// Where the key begins, in characters counted from 1.
        public var column: Int
        public var value: YAMLValue
    }

    public var content: Content
    /// Where the node begins, counted from 1.
    public var line: Int
    /// Where the node begins, in characters counted from 1.
    public var column: Int
    /// Whether this is a scalar without quotes, whose text decided what it is: `yes` and not `"yes"`.
    public var isPlain: Bool

    /// A mapping without members.
    public static let emptyMapping = YAMLValue(content: .object([]), line: 1, column: 1, isPlain: false)

    /// The value of a mapping's key, or nil where this is no mapping or has no such key.
    public subscript(_ key: String) -> YAMLValue? {
        object?.first { $0.key == key }?.value
    }

    /// Whether nothing is there: `null`, `~` or no text at all.
    public var isNull: Bool { content == .null }

    /// The text of a string, or nil.
    public var string: String? {
        if case .string(let value) = content { value } else { nil }
    }

    /// The value of a boolean, or nil.
    public var bool: Bool? {
        if case .bool(let value) = content { value } else { nil }
    }

    /// The value of an integer, or nil.
    public var integer: Int64? {
        if case .integer(let value) = content { value } else { nil }
    }

    /// The elements of a sequence, or nil.
    public var array: [YAMLValue]? {
        if case .array(let value) = content { value } else { nil }
    }

    /// The members of a mapping, or nil.
    public var object: [Member]? {
        if case .object(let value) = content { value } else { nil }
    }
}

/// Why a text cannot be read as YAML, and where.
public struct YAMLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, as a phrase without a full stop.
    public var message: String
    /// Counted from 1.
    public var line: Int
    /// In characters, counted from 1.
    public var column: Int

    public var description: String { "\(line):\(column): \(message)" }
}
