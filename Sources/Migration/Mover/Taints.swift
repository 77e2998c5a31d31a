import Kubernetes

extension Node {
    /// The taints that keep pods away. That of a cordoned node is included before the controller has written it.
    var repellingTaints: [Taint] {
        let cordon = Taint(key: "node.kubernetes.io/unschedulable", effect: "NoSchedule")
        let all = (spec?.taints ?? []) + (spec?.unschedulable == true ? [cordon] : [])
        return all.filter { ["NoSchedule", "NoExecute"].contains($0.effect) }
    }
}

extension Node.Taint {
    /// True where the taint tells a passing condition of the node.
    var isOfTheMoment: Bool { key.hasPrefix("node.kubernetes.io/") }
}

extension PodSpec.Toleration {
    /// Returns true where a pod with this toleration tolerates a taint (core/v1, Toleration).
    func bears(_ taint: Node.Taint) -> Bool {
        guard effect ?? "" == "" || effect == taint.effect else { return false }
        if self.operator == "Exists" { return key ?? "" == "" || key == taint.key }
        return key == taint.key && value ?? "" == taint.value ?? ""
    }
}

extension Sites {
    /// Returns the nodes that take a pod: by its demands on them, and by their taints.
    ///
    /// - Parameter isNow: False to ignore passing conditions of nodes.
    func taking(_ pod: PodSpec, isNow: Bool) -> Set<String> {
        let asked = of(pod)
        let nodes = nodes.filter { node in
            guard asked.contains(node.metadata.name) else { return false }
            // A pod that names its node bypasses the scheduler, and only NoExecute applies to it.
            if let name = pod.nodeName, name != node.metadata.name { return false }
            return node.repellingTaints.allSatisfy { taint in
                pod.nodeName != nil && taint.effect == "NoSchedule" || !isNow && taint.isOfTheMoment
                    || (pod.tolerations ?? []).contains { $0.bears(taint) }
            }
        }
        return Set(nodes.map(\.metadata.name))
    }
}
