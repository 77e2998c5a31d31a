public import FoundationEssentials

/// A JSON value that keeps everything it was made from.
///
/// Whole objects that are carried over (a claim's manifest, say) are held as `JSON`, so that fields we know nothing of
/// survive. Integers keep their 64 bits. Lists are decoded into typed structs instead, which is an order of magnitude
/// faster.
public enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// The member of an object, or nil where this is no object or has no such member.
    public subscript(_ key: String) -> JSON? {
        get {
            guard case .object(let members) = self else { return nil }
            return members[key]
        }
        set {
            guard case .object(var members) = self else {
                if let newValue { self = .object([key: newValue]) }
                return
            }
            // Let go of the old value first, so that the dictionary is changed in place.
            self = .null
            members[key] = newValue
            self = .object(members)
        }
    }

    /// The value at a path of object keys; setting makes the objects on the way.
    public subscript(path path: [String]) -> JSON? {
        get {
            var value: JSON? = self
            for key in path { value = value?[key] }
            return value
        }
        set {
            guard let first = path.first else { return }
            if path.count == 1 {
                self[first] = newValue
                return
            }
            var inner = self[first] ?? .object([:])
            inner[path: Array(path.dropFirst())] = newValue
            self[first] = inner
        }
    }

    /// The text of a string, or nil.
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The value of an integer, or nil.
    public var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The value of a boolean, or nil.
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The elements of an array, or nil.
    public var array: [JSON]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The members of an object, or nil.
    public var object: [String: JSON]? {
        if case .object(let value) = self { value } else { nil }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
}

extension JSON: Codable {
    /// How deep arrays and objects may be nested: far deeper than any object of Kubernetes is.
    private static let maximumDepth = 100

    public init(from decoder: any Decoder) throws {
        // The deeper a value is, the longer takes each type that it is not.
        guard decoder.codingPath.count < Self.maximumDepth else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "nested deeper than \(Self.maximumDepth) levels")
            )
        }
        let container = try decoder.singleValueContainer()
        // Only by trying is it found out what a value is; the last try throws.
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([String: JSON].self) {
            self = .object(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode([JSON].self) {
            self = .array(value)
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else {
            let value = try container.decode(Double.self)
            // A whole number is written as an integer, and read as one the next time.
            self = Int64(exactly: value).map(JSON.integer) ?? .number(value)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    /// Reads JSON text.
    ///
    /// - Throws: `DecodingError` where the text is no JSON.
    public init(parsing text: Data) throws {
        self = try JSONDecoder().decode(JSON.self, from: text)
    }

    /// The value as JSON text with sorted keys and without white space.
    public var text: Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try encoder.encode(self)
        } catch {
            // Only a number that is not finite can fail, and JSON text holds none.
            preconditionFailure("a JSON value that cannot be written: \(error)")
        }
    }
}

extension JSON {
    /// Reads JSON text that somebody else wrote; nil where it is none.
    public init?(parsingLeniently text: String) {
        do { self = try JSON(parsing: Data(text.utf8)) } catch { return nil }
    }
}
