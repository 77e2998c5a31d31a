import Foundation
import Kubernetes
import Testing

@testable import pvmigrate

/// A JSON Schema of the manual, as far as those use the language. An unknown keyword is a fault.
struct Schema {
    private let schema: JSON

    /// Reads `Schemas/NAME.json` of the manual.
    init(named name: String) throws {
        let file = Manual.folder.appending(path: "Schemas/\(name).json")
        schema = try JSON(parsing: try Data(contentsOf: file))
    }

    /// Where a value is not as the schema says, or says more.
    func faults(of value: JSON) -> [String] { Self.faults(of: value, schema, at: "") }

    private static func faults(of value: JSON, _ schema: JSON, at path: String) -> [String] {
        (schema.object ?? [:]).flatMap { keyword, rule -> [String] in
            switch keyword {
            case "$schema", "title", "description", "required": return []
            case "type": return value.isOf(type: rule.string ?? "") ? [] : ["\(path) is not of type \(rule)"]
            case "enum": return rule.array?.contains(value) == true ? [] : ["\(path) is none of \(rule)"]
            case "items":
                return (value.array ?? []).enumerated().flatMap { faults(of: $1, rule, at: "\(path)[\($0)]") }
            case "properties": return faults(ofMembers: value, rule, required: schema["required"], at: path)
            case "anyOf":
                let each = (rule.array ?? []).map { faults(of: value, $0, at: path) }
                return each.contains(where: \.isEmpty) ? [] : each.flatMap(\.self)
            case "oneOf":
                let each = (rule.array ?? []).map { faults(of: value, $0, at: path) }
                return each.count(where: \.isEmpty) == 1 ? [] : ["\(path) is not one of all: \(value)"]
            default: return ["\(path): the keyword \(keyword) is unknown"]
            }
        }
    }

    private static func faults(ofMembers value: JSON, _ rules: JSON, required: JSON?, at path: String) -> [String] {
        guard let members = value.object else { return [] }
        let missing = (required?.array ?? []).compactMap(\.string).filter { members[$0] == nil }
        return missing.map { "\(path).\($0) is missing" }
            + members.flatMap { name, member in
                rules[name].map { faults(of: member, $0, at: "\(path).\(name)") } ?? ["\(path).\(name) is in no schema"]
            }
    }
}

extension JSON {
    fileprivate func isOf(type: String) -> Bool {
        switch (self, type) {
        case (.null, "null"), (.bool, "boolean"), (.integer, "integer"), (.integer, "number"), (.number, "number"),
            (.string, "string"), (.array, "array"), (.object, "object"):
            true
        default: false
        }
    }
}

extension Run {
    /// The one object that is on stdout, which is as a schema of the manual says.
    func object(schema name: String) throws -> JSON {
        #expect(output.hasSuffix("\n") && output.count { $0 == "\n" } == 1)
        let object = try JSON(parsing: Data(output.utf8))
        #expect(try Schema(named: name).faults(of: object).isEmpty)
        return object
    }

    /// The objects on stdout, one a line, each as the schema of events says.
    func events() throws -> [JSON] {
        #expect(output.hasSuffix("\n"))
        let events = try output.split(separator: "\n").map { try JSON(parsing: Data($0.utf8)) }
        let schema = try Schema(named: "events")
        for event in events {
            #expect(schema.faults(of: event).isEmpty)
            #expect(event["v"] == 1)
        }
        return events
    }
}
