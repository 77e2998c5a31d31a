import Kubernetes

/// The shape of a value that is printed as JSON.
indirect enum Shape: Sendable {
    case text
    case integer
    case number
    case boolean
    /// A text of a list.
    case oneOf([String])
    case list(Shape)
    /// Each member is always there.
    case object([Member])
    /// The shape, or null.
    case optional(Shape)

    /// A member of an object.
    struct Member: Sendable {
        var name: String
        var shape: Shape
        /// What it holds, for people: a phrase without a full stop, or nothing where the name says it.
        var meaning: String

        init(_ name: String, _ shape: Shape, _ meaning: String = "") {
            (self.name, self.shape, self.meaning) = (name, shape, meaning)
        }
    }

    /// The texts that a type can be.
    static func oneOf<Text: RawRepresentable & CaseIterable>(_ type: Text.Type) -> Shape where Text.RawValue == String {
        .oneOf(type.allCases.map(\.rawValue))
    }

    /// A list of objects.
    static func list(_ members: [Member]) -> Shape { .list(.object(members)) }

    /// As a JSON Schema.
    var schema: JSON {
        switch self {
        case .text: ["type": "string"]
        case .integer: ["type": "integer"]
        case .number: ["type": "number"]
        case .boolean: ["type": "boolean"]
        case .oneOf(let texts): ["enum": .array(texts.map(JSON.string))]
        case .list(let shape): ["type": "array", "items": shape.schema]
        case .object(let members): Self.schema(of: members)
        case .optional(let shape): ["anyOf": [shape.schema, ["type": "null"]]]
        }
    }

    /// Returns a value with null for each member that it lacks.
    func completed(_ value: JSON) -> JSON {
        switch self {
        case .object(let members):
            guard value.object != nil else { return value }
            return members.reduce(into: value) { $0[$1.name] = $1.shape.completed($0[$1.name] ?? .null) }
        case .list(let shape): return value.array.map { .array($0.map(shape.completed)) } ?? value
        case .optional(let shape): return shape.completed(value)
        case .text, .integer, .number, .boolean, .oneOf: return value
        }
    }

    private static func schema(of members: [Member]) -> JSON {
        var properties: [String: JSON] = [:]
        for member in members {
            properties[member.name] = member.shape.schema
            if !member.meaning.isEmpty { properties[member.name]?["description"] = .string(member.meaning) }
        }
        // In the order of the documentation, which an object does not keep.
        let names = JSON.array(members.map { .string($0.name) })
        return ["type": "object", "properties": .object(properties), "required": names]
    }
}
