import FoundationEssentials
import Kubernetes

/// A patch of any kind, as a request brings it.
enum Patch {
    case merge(JSON)
    case json([JSON])
    case strategic(JSON)

    init(type: String, body: Data, _ resource: Resource) throws(Refusal) {
        guard
            ["application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json"]
                .contains(type)
        else {
            throw Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", details: [:])
        }
        if type == "application/strategic-merge-patch+json", !resource.isBuiltIn {
            throw Refusal(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: "
                    + "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            )
        }
        // A real server answers in these words, without its parser's.
        guard let patch = try? JSON(parsing: body) else {
            throw .badRequest("error decoding patch: invalid character looking for beginning of value")
        }
        if type == "application/json-patch+json" {
            guard let operations = patch.array else {
                throw .badRequest(
                    "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch"
                )
            }
            self = .json(operations)
        } else {
            guard patch.object != nil else { throw .badRequest("error decoding patch: json: cannot unmarshal") }
            self = type == "application/merge-patch+json" ? .merge(patch) : .strategic(patch)
        }
    }

    func applied(to object: JSON, _ key: ObjectKey) throws(Refusal) -> JSON {
        switch self {
        case .merge(let patch): return JSONMerge.applied(patch, to: object)
        case .strategic(let patch): return StrategicMerge.applied(patch, to: object)
        case .json(let operations):
            do throws(JSONPatch.Failure) {
                return try JSONPatch.applied(operations, to: object)
            } catch {
                throw Refusal(422, "Invalid", error.message, details: [:])
            }
        }
    }
}

/// JSON merge patch (RFC 7396).
enum JSONMerge {
    static func applied(_ patch: JSON, to target: JSON?) -> JSON {
        guard case .object(let changes) = patch else { return patch }
        var members = target?.object ?? [:]
        for (key, change) in changes {
            if change == .null {
                members.removeValue(forKey: key)
            } else {
                members[key] = applied(change, to: members[key])
            }
        }
        return .object(members)
    }
}

/// JSON patch (RFC 6902).
enum JSONPatch {
    struct Failure: Error { var message: String }

    static func applied(_ operations: [JSON], to object: JSON) throws(Failure) -> JSON {
        var object = object
        for operation in operations {
            guard let op = operation["op"]?.string, let path = operation["path"]?.string else {
                throw Failure(message: "Unexpected kind: ")
            }
            let pointer = try tokens(path)
            switch op {
            case "add": try set(&object, pointer[...], operation["value"] ?? .null, path, .add)
            case "replace":
                guard value(object, pointer) != nil else { throw missing("replace", path) }
                try set(&object, pointer[...], operation["value"] ?? .null, path, .replace)
            case "remove":
                guard value(object, pointer) != nil else { throw missing("remove", path) }
                try set(&object, pointer[...], nil, path, .remove)
            case "test":
                guard value(object, pointer) ?? .null == operation["value"] ?? .null else {
                    throw Failure(message: "the server rejected our request due to an error in our request")
                }
            case "move", "copy":
                let from = try tokens(operation["from"]?.string ?? "")
                guard let moved = value(object, from) else { throw missing(op, operation["from"]?.string ?? "") }
                if op == "move" { try set(&object, from[...], nil, path, .remove) }
                try set(&object, pointer[...], moved, path, .add)
            default: throw Failure(message: "Unexpected kind: \(op)")
            }
        }
        return object
    }

    private enum Change { case add, replace, remove }

    private static func missing(_ operation: String, _ path: String) -> Failure {
        Failure(message: "the server rejected our request due to an error in our request")
    }

    private static func tokens(_ path: String) throws(Failure) -> [String] {
        if path.isEmpty { return [] }
        guard path.hasPrefix("/") else { throw missing("", path) }
        return path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map {
            String($0).replacing("~1", with: "/").replacing("~0", with: "~")
        }
    }

    private static func value(_ object: JSON, _ tokens: [String]) -> JSON? {
        var current = object
        for token in tokens {
            switch current {
            case .object(let members):
                guard let next = members[token] else { return nil }
                current = next
            case .array(let elements):
                guard let index = Int(token), elements.indices.contains(index) else { return nil }
                current = elements[index]
            default: return nil
            }
        }
        return current
    }

    private static func set(
        _ object: inout JSON,
        _ tokens: ArraySlice<String>,
        _ value: JSON?,
        _ path: String,
        _ change: Change
    ) throws(Failure) {
        guard let token = tokens.first else {
            object = value ?? .null
            return
        }
        let isLast = tokens.count == 1
        switch object {
        case .object(var members):
            if isLast {
                members[token] = value
            } else {
                guard var inner = members[token] else { throw missing("add", path) }
                try set(&inner, tokens.dropFirst(), value, path, change)
                members[token] = inner
            }
            object = .object(members)
        case .array(var elements):
            let index = token == "-" ? elements.count : Int(token) ?? -1
            if isLast, change == .add {
                guard (0...elements.count).contains(index), let value else { throw missing("add", path) }
                elements.insert(value, at: index)
            } else {
                guard elements.indices.contains(index) else { throw missing("add", path) }
                if !isLast {
                    try set(&elements[index], tokens.dropFirst(), value, path, change)
                } else if let value {
                    elements[index] = value
                } else {
                    elements.remove(at: index)
                }
            }
            object = .array(elements)
        default: throw missing("add", path)
        }
    }
}

/// Kubernetes' strategic merge patch: lists of named things are merged by their name.
enum StrategicMerge {
    /// The merge key of a list of objects, by the name of its field; nil for lists that are replaced.
    static func mergeKey(_ field: String, _ elements: [JSON]) -> String? {
        switch field {
        case "containers", "initContainers", "ephemeralContainers", "volumes", "env", "imagePullSecrets",
            "secrets", "claims", "resourceClaims":
            return "name"
        case "volumeMounts": return "mountPath"
        case "volumeDevices": return "devicePath"
        case "ports": return elements.contains { $0["containerPort"] != nil } ? "containerPort" : "port"
        case "hostAliases": return "ip"
        case "topologySpreadConstraints": return "topologyKey"
        case "ownerReferences": return "uid"
        case "conditions", "addresses": return "type"
        default: return nil
        }
    }

    private static func isMergedPrimitive(_ field: String) -> Bool { field == "finalizers" }

    static func applied(_ patch: JSON, to target: JSON?, field: String = "") -> JSON {
        guard case .object(let changes) = patch else { return patch }
        if changes["$patch"] == "replace" {
            return .object(changes.filter { !$0.key.hasPrefix("$") })
        }
        if changes["$patch"] == "delete" { return [:] }
        var members = target?.object ?? [:]
        for (key, change) in changes {
            if key.hasPrefix("$deleteFromPrimitiveList/") {
                let list = String(key.dropFirst("$deleteFromPrimitiveList/".count))
                let gone = change.array ?? []
                members[list] = members[list]?.array.map { .array($0.filter { !gone.contains($0) }) }
            } else if key == "$retainKeys" {
                let kept = Set((change.array ?? []).compactMap(\.string))
                members = members.filter { kept.contains($0.key) }
            } else if key.hasPrefix("$") {
                continue
            } else if change == .null {
                members[key] = nil
            } else if case .array(let elements) = change {
                members[key] = merged(elements, into: members[key]?.array ?? [], field: key, isNew: members[key] == nil)
            } else {
                members[key] = applied(change, to: members[key], field: key)
            }
        }
        for (key, order) in changes where key.hasPrefix("$setElementOrder/") {
            let list = String(key.dropFirst("$setElementOrder/".count))
            members[list] = members[list]?.array.map { .array(sorted($0, by: order.array ?? [], field: list)) }
        }
        return .object(members)
    }

    private static func merged(_ patch: [JSON], into list: [JSON], field: String, isNew: Bool) -> JSON {
        if isMergedPrimitive(field) {
            return .array(list + patch.filter { !list.contains($0) })
        }
        guard let key = mergeKey(field, list + patch), patch.allSatisfy({ $0.object != nil }) else {
            return .array(patch)
        }
        if patch.contains(where: { $0["$patch"] == "replace" }) {
            return .array(patch.filter { $0["$patch"] == nil })
        }
        var list = list
        for element in patch {
            let index = list.firstIndex { $0[key] == element[key] }
            if element["$patch"] == "delete" {
                if let index { list.remove(at: index) }
            } else if let index {
                list[index] = applied(element, to: list[index])
            } else {
                list.append(applied(element, to: nil))
            }
        }
        return .array(list)
    }

    /// Puts a list into the order that `$setElementOrder` gives; elements it doesn't name keep their places behind.
    private static func sorted(_ list: [JSON], by order: [JSON], field: String) -> [JSON] {
        let key = mergeKey(field, list)
        func rank(_ element: JSON) -> Int {
            order.firstIndex { wanted in key.map { wanted[$0] == element[$0] } ?? (wanted == element) } ?? order.count
        }
        return list.enumerated().sorted { (rank($0.element), $0.offset) < (rank($1.element), $1.offset) }
            .map(\.element)
    }
}
