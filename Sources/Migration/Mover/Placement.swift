import Kubernetes

/// The placement of a mover. It follows the volumes and, where these leave a choice, the workload.
struct Placement: Equatable {
    /// The node to run on, where one is known.
    var node: String?
    /// True where the data is only on that node.
    var onlyThere = false
    /// A pod of the workload. The mover inherits its demands on nodes, because a destination that waits for its first
    /// consumer is made where the mover runs.
    var consumer: PodSpec?

    init(node: String? = nil, onlyThere: Bool = false, consumer: PodSpec? = nil) {
        (self.node, self.onlyThere, self.consumer) = (node, onlyThere, consumer)
    }

    /// Decides from a claim's volumes, without knowing the nodes.
    ///
    /// The scheduler handles a volume with node affinity. A hostPath volume without one is really on a single node,
    /// that of the pod that mounted it. For all other volumes that node is only the best one: the volume is attached
    /// there already, and a destination that waits for its first consumer is made where the workload was.
    init(of state: ClaimState) {
        let volumes = [state.source, state.givenDestination].compactMap(\.self)
        let marked = volumes.lazy.compactMap { $0.metadata.annotation(Marks.sourceNode) }.first
        // A tenant may name any node in the claim. It is a wish, and opens no node that takes no pods.
        node = marked ?? state.claim?.metadata.annotation(PersistentVolumeClaim.selectedNode)
        onlyThere = marked != nil && volumes.contains(where: \.isOfOneNodeUnsaid)
        consumer = state.transfer.consumer
    }

    /// Returns true where nothing tells on which node the data of a node's own directory is. An empty source is
    /// suspicious then.
    static func isGuess(_ state: ClaimState) -> Bool {
        state.source?.isOfOneNodeUnsaid == true && !Placement(of: state).onlyThere
    }

    var nodeSelector: [String: String] { onlyThere ? [:] : consumer?.nodeSelector ?? [:] }

    var affinity: JSON? {
        // Affinity and anti-affinity to other pods are left out, because the mover is no pod of the workload.
        var rules = onlyThere ? [:] : consumer?.affinity?["nodeAffinity"] ?? [:]
        if let node {
            // The node's name is matched, because its hostname label may differ.
            let term: JSON = ["matchFields": [["key": "metadata.name", "operator": "In", "values": [.string(node)]]]]
            if onlyThere {
                rules["requiredDuringSchedulingIgnoredDuringExecution"] = ["nodeSelectorTerms": [term]]
            } else {
                let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
                rules[preferred] = .array([["weight": 100, "preference": term]] + (rules[preferred]?.array ?? []))
            }
        }
        return rules == [:] ? nil : ["nodeAffinity": rules]
    }

    /// The tolerations of the mover. The data on a cordoned or tainted node is still there. But a mover on a lost node
    /// is evicted like any other pod, or else nobody would learn of the loss.
    var tolerations: [JSON] {
        guard onlyThere else { return (consumer?.tolerations ?? []).map(\.json) }
        let lost: [JSON] = ["unreachable", "not-ready"].map {
            [
                "key": .string("node.kubernetes.io/\($0)"), "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300,
            ]
        }
        return lost + [["operator": "Exists"]]
    }
}

extension PodSpec.Toleration {
    fileprivate var json: JSON {
        var json: JSON = [:]
        json["key"] = key.map(JSON.string)
        json["operator"] = self.operator.map(JSON.string)
        json["value"] = value.map(JSON.string)
        json["effect"] = effect.map(JSON.string)
        json["tolerationSeconds"] = tolerationSeconds.map(JSON.integer)
        return json
    }
}

extension PersistentVolume {
    /// True where the volume is a directory of one node and does not name the node.
    var isOfOneNodeUnsaid: Bool {
        spec.nodeAffinity == nil && (spec.hostPath != nil || spec.local != nil)
    }
}
