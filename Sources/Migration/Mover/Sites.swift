import Kubernetes

/// The nodes of a cluster. They tell where volumes and pods can be.
struct Sites: Sendable {
    var nodes: [Node]

    var all: Set<String> { names { _ in true } }

    private func names(where admits: (Node) -> Bool) -> Set<String> {
        Set(nodes.filter(admits).map(\.metadata.name))
    }

    /// Returns the nodes that can mount a volume.
    func of(_ volume: PersistentVolume) -> Set<String> {
        let selector = volume.spec.nodeAffinity?["required"]
        return names { $0.meets(selector: selector) }
    }

    /// Returns the nodes that a pod's node selector and node affinity allow.
    func of(_ pod: PodSpec) -> Set<String> {
        let path = ["nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]
        let selector = pod.affinity?[path: path]
        return names { node in
            (pod.nodeSelector ?? [:]).allSatisfy { node.metadata.labels?[$0.key] == $0.value }
                && node.meets(selector: selector)
        }
    }

    /// Returns the nodes that a class makes volumes for.
    func of(_ storageClass: StorageClass) -> Set<String> {
        guard let terms = storageClass.allowedTopologies, !terms.isEmpty else { return all }
        return names { node in
            terms.contains { term in
                (term["matchLabelExpressions"]?.array ?? []).allSatisfy { node.meets($0, operation: "In") }
            }
        }
    }
}

extension Set<String> {
    /// The names in messages: at most a few.
    var inWords: String { sorted().prefix(3).joined(separator: ", ") + (count > 3 ? ", …" : "") }
}

extension Node {
    /// Returns true where a NodeSelector (core/v1) selects the node: one of its terms fits, and all expressions of that
    /// term. An empty term fits no node.
    fileprivate func meets(selector: JSON?) -> Bool {
        guard let terms = selector?["nodeSelectorTerms"]?.array else { return true }
        return terms.contains { term in
            let labels = term["matchExpressions"]?.array ?? []
            let fields = term["matchFields"]?.array ?? []
            return !(labels.isEmpty && fields.isEmpty)
                && labels.allSatisfy { meets($0, operation: $0["operator"]?.string ?? "") }
                // The node's name is the only field that exists.
                && fields.allSatisfy { $0.holds(of: metadata.name, operation: $0["operator"]?.string ?? "") }
        }
    }

    fileprivate func meets(_ expression: JSON, operation: String) -> Bool {
        expression.holds(of: metadata.labels?[expression["key"]?.string ?? ""], operation: operation)
    }
}

extension JSON {
    /// Returns true where a label's value meets a requirement of a selector; the value is nil where there is no label.
    func holds(of value: String?, operation: String) -> Bool {
        let values = (self["values"]?.array ?? []).compactMap(\.string)
        switch operation {
        case "In": return value.map(values.contains) ?? false
        case "NotIn": return !(value.map(values.contains) ?? false)
        case "Exists": return value != nil
        case "DoesNotExist": return value == nil
        case "Gt", "Lt":
            guard let number = value.flatMap({ Int64($0) }), let limit = values.first.flatMap({ Int64($0) }) else {
                return false
            }
            return operation == "Gt" ? number > limit : number < limit
        default: return false
        }
    }
}
