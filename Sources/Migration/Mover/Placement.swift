import Kubernetes

/// Where a mover runs: it follows the volumes, and where these leave a choice, the workload.
struct Placement: Equatable {
    /// The node to run on, where one is known.
    var node: String?
    /// True where the data is on that node and nowhere else.
    var onlyThere = false
    /// A pod of the workload: what it asks of its nodes is asked for the mover, too, since a destination that waits for
    /// its first consumer comes to be where the mover runs.
    var consumer: PodSpec?

    init(node: String? = nil, onlyThere: Bool = false, consumer: PodSpec? = nil) {
        (self.node, self.onlyThere, self.consumer) = (node, onlyThere, consumer)
    }

    /// Decides from what is known of a claim's volumes without knowing the nodes.
    ///
    /// A volume with node affinity takes care of itself: the scheduler knows it. A hostPath volume without one is
    /// really on a single node, the one whose pod has mounted it. For all others that node is only the best one: the
    /// volume is attached there already, and a destination that waits for its first consumer comes to be where the
    /// workload was.
    init(of state: ClaimState) {
        let volumes = [state.source, state.givenDestination].compactMap(\.self)
        let marked = volumes.lazy.compactMap { $0.metadata.annotation(Marks.sourceNode) }.first
        // Whoever may change the claim may name any node there: it is a wish, and opens none that takes no pods.
        node = marked ?? state.claim?.metadata.annotation("volume.kubernetes.io/selected-node")
        onlyThere = marked != nil && volumes.contains(where: \.isOfOneNodeUnsaid)
        consumer = state.transfer.consumer
    }

    /// True where nothing tells on which node the data of a node's own directory is: an empty source is suspicious
    /// then.
    static func isGuess(_ state: ClaimState) -> Bool {
        state.source?.isOfOneNodeUnsaid == true && !Placement(of: state).onlyThere
    }

    var nodeSelector: [String: String] { onlyThere ? [:] : consumer?.nodeSelector ?? [:] }

    var affinity: JSON? {
        // Not the affinity to other pods, nor against them: the mover is none of the workload's.
        var rules = onlyThere ? [:] : consumer?.affinity?["nodeAffinity"] ?? [:]
        if let node {
            // By the node's name, not its hostname label, which may differ.
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

    /// Cordoned or tainted, the data is there all the same. But from a node that is lost the mover is taken away as any
    /// other pod is: else nobody would ever learn of it.
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
    /// True of a directory of one node that doesn't say of which.
    var isOfOneNodeUnsaid: Bool {
        spec.nodeAffinity == nil && (spec.hostPath != nil || spec.local != nil)
    }
}
