import Kubernetes

/// A label selector in the text form of queries.
struct LabelSelector: Sendable {
    enum Requirement: Sendable {
        case exists(String)
        case missing(String)
        case among(String, Set<String>)
        case notAmong(String, Set<String>)
        case greater(String, Int)
        case less(String, Int)
    }

    var requirements: [Requirement] = []

    func matches(_ labels: JSON?) -> Bool {
        requirements.allSatisfy { requirement in
            switch requirement {
            case .exists(let key): labels?[key] != nil
            case .missing(let key): labels?[key] == nil
            case .among(let key, let values): labels?[key]?.string.map(values.contains) ?? false
            case .notAmong(let key, let values): labels?[key]?.string.map { !values.contains($0) } ?? true
            case .greater(let key, let bound): labels?[key]?.string.flatMap { Int($0) }.map { $0 > bound } ?? false
            case .less(let key, let bound): labels?[key]?.string.flatMap { Int($0) }.map { $0 < bound } ?? false
            }
        }
    }

    /// A selector as objects hold it: `matchLabels` and `matchExpressions`.
    init(_ selector: JSON?) {
        for (key, value) in selector?["matchLabels"]?.object ?? [:] {
            requirements.append(.among(key, [value.string ?? ""]))
        }
        for expression in selector?["matchExpressions"]?.array ?? [] {
            let key = expression["key"]?.string ?? ""
            let values = Set((expression["values"]?.array ?? []).compactMap(\.string))
            switch expression["operator"]?.string {
            case "In": requirements.append(.among(key, values))
            case "NotIn": requirements.append(.notAmong(key, values))
            case "Exists": requirements.append(.exists(key))
            default: requirements.append(.missing(key))
            }
        }
    }

    init(parsing text: String) throws(Refusal) {
        var parser = SelectorParser(text)
        requirements = try parser.requirements()
    }

    init() {}
}

/// Reads label selectors with the words of apimachinery's parser.
private struct SelectorParser {
    private var tokens: [String] = []
    private var index = 0

    private static let symbols: Set<Character> = ["=", "!", "(", ")", ",", ">", "<"]

    init(_ text: String) {
        var rest = Substring(text)
        while let first = rest.first {
            if first.isWhitespace {
                rest.removeFirst()
            } else if Self.symbols.contains(first) {
                rest.removeFirst()
                if (first == "=" || first == "!") && rest.first == "=" {
                    rest.removeFirst()
                    tokens.append(String(first) + "=")
                } else {
                    tokens.append(String(first))
                }
            } else {
                let word = rest.prefix { !$0.isWhitespace && !Self.symbols.contains($0) }
                tokens.append(String(word))
                rest = rest.dropFirst(word.count)
            }
        }
    }

    private var next: String? { index < tokens.count ? tokens[index] : nil }

    private static func isWord(_ token: String) -> Bool { token.first.map { !symbols.contains($0) } ?? false }

    private mutating func take() -> String? {
        defer { index += 1 }
        return next
    }

    private func fail(expected: String) -> Refusal {
        .badRequest("unable to parse requirement: found '\(next ?? "")', expected: \(expected)")
    }

    mutating func requirements() throws(Refusal) -> [LabelSelector.Requirement] {
        var found: [LabelSelector.Requirement] = []
        while next != nil {
            found.append(try requirement())
            guard let separator = next else { break }
            guard separator == "," else {
                throw .badRequest("found '\(separator)', expected: ',' or 'end of string'")
            }
            index += 1
            if next == nil { throw .badRequest("found '', expected: identifier after ','") }
        }
        return found
    }

    private mutating func requirement() throws(Refusal) -> LabelSelector.Requirement {
        var negated = false
        if next == "!" {
            negated = true
            index += 1
        }
        guard let key = next, Self.isWord(key) else { throw fail(expected: "identifier") }
        index += 1
        if negated { return .missing(key) }
        switch next {
        case nil, ",": return .exists(key)
        case "=", "==":
            index += 1
            return .among(key, [try exactValue()])
        case "!=":
            index += 1
            return .notAmong(key, [try exactValue()])
        case "in":
            index += 1
            return .among(key, try values())
        case "notin":
            index += 1
            return .notAmong(key, try values())
        case ">", "<":
            let greater = take() == ">"
            guard let bound = Int(try exactValue()) else {
                throw .badRequest("for 'Gt', 'Lt' operators, the value must be an integer")
            }
            return greater ? .greater(key, bound) : .less(key, bound)
        default: throw fail(expected: "in, notin, =, ==, !=, gt, lt")
        }
    }

    private mutating func exactValue() throws(Refusal) -> String {
        if next == nil || next == "," { return "" }
        guard let value = next, Self.isWord(value) else { throw fail(expected: "identifier") }
        index += 1
        return value
    }

    private mutating func values() throws(Refusal) -> Set<String> {
        guard next == "(" else { throw fail(expected: "'('") }
        index += 1
        var values: Set<String> = []
        while let token = take() {
            if token == ")" { return values }
            if token == "," { continue }
            values.insert(token)
        }
        throw fail(expected: "',', ')' or identifier")
    }
}

/// A field selector: a few fields of each resource, by equality.
struct FieldSelector: Sendable {
    private var requirements: [(path: [String], value: String, equal: Bool)] = []

    init() {}

    /// The selector for one name, as a watch of a single object has it.
    init(name: String) { requirements = [(["metadata", "name"], name, true)] }

    init(parsing text: String, _ resource: Resource) throws(Refusal) {
        for term in text.split(separator: ",") {
            let equal: Bool
            let sides: (Substring, Substring)
            guard let range = term.firstIndex(of: "=") else {
                throw .badRequest("invalid selector: '\(text)'; can't understand '\(term)'")
            }
            equal = range == term.startIndex || term[term.index(before: range)] != "!"
            let key = equal ? term[..<range] : term[..<term.index(before: range)]
            var value = term[term.index(after: range)...]
            if value.first == "=" { value.removeFirst() }
            sides = (key, value)
            let field = String(sides.0)
            guard Self.fields(of: resource).contains(field) else {
                // Types with fields of their own say it in other words than the rest.
                throw .badRequest(
                    Self.fields(of: resource).count > 2
                        ? "field label not supported: \(field)"
                        : "\"\(field)\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            }
            requirements.append((Self.path(field, resource), String(sides.1), equal))
        }
    }

    /// The name that the selector asks for, where it asks for one.
    var name: String? {
        requirements.first { $0.equal && $0.path == ["metadata", "name"] }?.value
    }

    func matches(_ object: JSON) -> Bool {
        requirements.allSatisfy { requirement in
            let value = object[path: requirement.path]
            let text: String
            switch value {
            case .string(let string): text = string
            case .bool(let bool): text = String(bool)
            case .integer(let integer): text = String(integer)
            default: text = requirement.path == ["spec", "unschedulable"] ? "false" : ""
            }
            return (text == requirement.value) == requirement.equal
        }
    }

    private static func path(_ field: String, _ resource: Resource) -> [String] {
        if resource == .events, field == "source" { return ["source", "component"] }
        return field.split(separator: ".").map(String.init)
    }

    private static func fields(of resource: Resource) -> [String] {
        let common = ["metadata.name", "metadata.namespace"]
        switch resource {
        case .pods:
            return common + [
                "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
            ]
        case .events:
            return common + [
                "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                "reportingComponent", "source", "type",
            ]
        case .namespaces: return common + ["status.phase"]
        case .nodes: return common + ["spec.unschedulable"]
        case .secrets: return common + ["type"]
        case .jobs: return common + ["status.successful"]
        case .replicaSets, .replicationControllers: return common + ["status.replicas"]
        default: return common
        }
    }
}
