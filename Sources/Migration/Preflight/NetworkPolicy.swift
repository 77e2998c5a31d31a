import Kubernetes

extension APIResource {
    static let networkPolicies = APIResource(
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        plural: "networkpolicies"
    )
}

struct NetworkPolicy: KubernetesObject {
    static let resource = APIResource.networkPolicies

    struct Spec: Decodable, Sendable {
        var podSelector: JSON?
        var policyTypes: [String]?
        var ingress: [JSON]?
        var egress: [JSON]?
    }

    enum Direction: String, CaseIterable {
        case ingress = "Ingress"
        case egress = "Egress"
    }

    var metadata: ObjectMeta
    var spec: Spec

    /// Returns true where the policy limits pods with these labels in a direction.
    func limits(_ direction: Direction, of labels: [String: String]) -> Bool {
        // Without types a policy covers ingress, and egress where it has rules for that.
        let types = spec.policyTypes ?? (spec.egress == nil ? ["Ingress"] : ["Ingress", "Egress"])
        return types.contains(direction.rawValue) && (spec.podSelector ?? [:]).selects(labels)
    }

    /// Returns true where one of its rules may let pods with these labels connect to each other. Some parts of rules,
    /// such as address ranges, cannot be judged here.
    func mayAdmit(_ direction: Direction, among labels: [String: String]) -> Bool {
        let rules = (direction == .ingress ? spec.ingress : spec.egress) ?? []
        return rules.contains { rule in
            let peers = rule[direction == .ingress ? "from" : "to"]?.array ?? []
            let ports = rule["ports"]?.array ?? []
            return (peers.isEmpty || peers.contains { mayBe(labels, peer: $0) })
                && (ports.isEmpty || ports.contains(where: \.includesServer))
        }
    }

    private func mayBe(_ labels: [String: String], peer: JSON) -> Bool {
        if let namespaces = peer["namespaceSelector"] {
            let own = ["kubernetes.io/metadata.name": metadata.namespace ?? ""]
            // The namespace's other labels are unknown.
            let keys = namespaces.selectorKeys
            if keys.isSubset(of: own.keys), !namespaces.selects(own) { return false }
        }
        return peer["podSelector"]?.selects(labels) ?? true
    }
}

extension JSON {
    /// Returns true where a LabelSelector (meta/v1) selects objects with these labels; an empty one selects all.
    fileprivate func selects(_ labels: [String: String]) -> Bool {
        (self["matchLabels"]?.object ?? [:]).allSatisfy { labels[$0.key] == $0.value.string }
            && (self["matchExpressions"]?.array ?? []).allSatisfy {
                $0.holds(of: labels[$0["key"]?.string ?? ""], operation: $0["operator"]?.string ?? "")
            }
    }

    fileprivate var selectorKeys: Set<String> {
        Set(self["matchLabels"]?.object?.keys.map(\.self) ?? [])
            .union((self["matchExpressions"]?.array ?? []).compactMap { $0["key"]?.string })
    }

    /// True where a NetworkPolicyPort includes the port at which a source volume is served.
    fileprivate var includesServer: Bool {
        guard self["protocol"]?.string ?? "TCP" == "TCP" else { return false }
        guard let port = self["port"] else { return true }
        if let name = port.string { return name == SourceServer.portName }
        guard let first = port.integer, let ours = SourceServer.port.integer else { return false }
        return (first...max(first, self["endPort"]?.integer ?? first)).contains(ours)
    }
}
