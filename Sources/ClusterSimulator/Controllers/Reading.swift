import Kubernetes

extension JSON {
    /// The value at a path of keys.
    func at(_ path: String...) -> JSON? {
        var value: JSON? = self
        for key in path { value = value?[key] }
        return value
    }

    /// The text at a path of keys, empty where there is none.
    func text(_ path: String...) -> String {
        var value: JSON? = self
        for key in path { value = value?[key] }
        return value?.string ?? ""
    }

    /// The whole number at a path of keys, 0 where there is none.
    func number(_ path: String...) -> Int {
        var value: JSON? = self
        for key in path { value = value?[key] }
        return Int(value?.integer ?? 0)
    }

    /// The array at a path of keys, empty where there is none.
    func list(_ path: String...) -> [JSON] {
        var value: JSON? = self
        for key in path { value = value?[key] }
        return value?.array ?? []
    }

    /// Sets the value at a path of keys; nil removes it.
    mutating func put(_ value: JSON?, _ path: String...) {
        if value == nil, self[path: Array(path.dropLast())] == nil { return }
        self[path: path] = value
    }

    init(_ number: Int) { self = .integer(Int64(number)) }
    init(_ texts: [String]) { self = .array(texts.map(JSON.string)) }

    /// An object without the members that are nil.
    static func members(_ members: KeyValuePairs<String, JSON?>) -> JSON {
        var result: [String: JSON] = [:]
        for (key, value) in members { result[key] = value }
        return .object(result)
    }

    var annotations: JSON? { at("metadata", "annotations") }
    var finalizers: [String] { list("metadata", "finalizers").compactMap(\.string) }
    var resourceVersion: String { text("metadata", "resourceVersion") }
    var generation: Int { number("metadata", "generation") }
    var isNew: Bool { at("metadata", "creationTimestamp") == nil }

    mutating func setFinalizers(_ finalizers: [String]) {
        put(finalizers.isEmpty ? nil : JSON(finalizers), "metadata", "finalizers")
    }

    /// The owner reference that says who controls the object.
    var controllerReference: JSON? {
        list("metadata", "ownerReferences").first { $0["controller"]?.bool == true }
    }

    /// A reference to this object as the one that controls another.
    func ownerReference(_ resource: Resource) -> JSON {
        [
            "apiVersion": .string(resource.apiVersion), "kind": .string(resource.kind), "name": .string(name),
            "uid": .string(uid), "controller": true, "blockOwnerDeletion": true,
        ]
    }

    // MARK: Pods

    /// Whether a pod has ended for good.
    var isOver: Bool { ["Succeeded", "Failed"].contains(text("status", "phase")) }

    /// Whether a pod's condition `Ready` is true.
    var isReady: Bool { condition("Ready")?["status"] == "True" }

    func condition(_ type: String) -> JSON? {
        list("status", "conditions").first { $0["type"]?.string == type }
    }

    /// The names of the claims that a pod mounts, those of its ephemeral volumes included.
    var claimNames: [String] {
        list("spec", "volumes").compactMap { volume in
            if volume["ephemeral"] != nil { return "\(name)-\(volume.text("name"))" }
            return volume.at("persistentVolumeClaim", "claimName")?.string
        }
    }
}

/// A label selector (`metav1.LabelSelector`).
struct Selector: Sendable {
    private let labels: [String: JSON]
    private let expressions: [JSON]

    /// The selector of a workload.
    init(of object: JSON) { self.init(object.at("spec", "selector")) }

    init(_ selector: JSON?) {
        expressions = selector?.list("matchExpressions") ?? []
        if let labels = selector?["matchLabels"]?.object {
            self.labels = labels
        } else if expressions.isEmpty, let labels = selector?.object {
            // A ReplicationController's is a plain map.
            self.labels = labels
        } else {
            labels = [:]
        }
    }

    var isEmpty: Bool { labels.isEmpty && expressions.isEmpty }

    func matches(_ actual: JSON?) -> Bool {
        labels.allSatisfy { actual?[$0.key] == $0.value }
            && expressions.allSatisfy { Self.matches($0, actual?[$0.text("key")]?.string) }
    }

    /// Whether a value meets one requirement; nil where the label is missing.
    static func matches(_ expression: JSON, _ value: String?) -> Bool {
        let values = expression.list("values").compactMap(\.string)
        switch expression.text("operator") {
        case "In": return value.map(values.contains) ?? false
        case "NotIn": return value.map { !values.contains($0) } ?? true
        case "Exists": return value != nil
        case "DoesNotExist": return value == nil
        case "Gt": return (value.flatMap { Int($0) } ?? .min) > (values.first.flatMap { Int($0) } ?? .max)
        case "Lt": return (value.flatMap { Int($0) } ?? .max) < (values.first.flatMap { Int($0) } ?? .min)
        default: return false
        }
    }
}

/// Whether a node meets a `NodeSelector`: one of its terms.
func nodeSelector(_ selector: JSON?, matches node: JSON) -> Bool {
    guard let selector else { return true }
    let labels = node.at("metadata", "labels")
    return selector.list("nodeSelectorTerms").contains { term in
        term.list("matchExpressions").allSatisfy { Selector.matches($0, labels?[$0.text("key")]?.string) }
            && term.list("matchFields").allSatisfy {
                Selector.matches($0, $0.text("key") == "metadata.name" ? node.name : nil)
            }
    }
}

/// The bytes of a quantity such as `16Mi`, rounded up; 0 for what is none.
func bytes(_ quantity: String) -> Int {
    let units: [(String, Double)] = [
        ("Ki", 1024), ("Mi", 1_048_576), ("Gi", 1_073_741_824), ("Ti", 1_099_511_627_776), ("k", 1e3), ("M", 1e6),
        ("G", 1e9), ("T", 1e12), ("m", 0.001),
    ]
    for (suffix, factor) in units where quantity.hasSuffix(suffix) {
        return Int(((Double(quantity.dropLast(suffix.count)) ?? 0) * factor).rounded(.up))
    }
    return Int((Double(quantity) ?? 0).rounded(.up))
}
