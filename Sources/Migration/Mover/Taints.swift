import Kubernetes

extension Node {
    /// The taints that keep pods away; that of a cordoned node is there before the controller has written it.
    var repellingTaints: [Taint] {
        let cordon = Taint(key: "node.kubernetes.io/unschedulable", effect: "NoSchedule")
        let all = (spec?.taints ?? []) + (spec?.unschedulable == true ? [cordon] : [])
        return all.filter { ["NoSchedule", "NoExecute"].contains($0.effect) }
    }
}

extension Node.Taint {
    /// True of what tells how a node is at the moment: it comes and goes.
    var isOfTheMoment: Bool { key.hasPrefix("node.kubernetes.io/") }
}

extension PodSpec.Toleration {
    /// True where a pod with this toleration bears a taint (core/v1, Toleration).
    func bears(_ taint: Node.Taint) -> Bool {
        guard effect ?? "" == "" || effect == taint.effect else { return false }
        if self.operator == "Exists" { return key ?? "" == "" || key == taint.key }
        return key == taint.key && value ?? "" == taint.value ?? ""
    }
}

extension Sites {
    /// The nodes that take a pod: by what it asks of them, and by what they ask of it.
    ///
    /// - Parameter isNow: false to leave out how the nodes are at the moment.
    func taking(_ pod: PodSpec, isNow: Bool) -> Set<String> {
        let asked = of(pod)
        let nodes = nodes.filter { node in
            guard asked.contains(node.metadata.name) else { return false }
            // A pod that names its node goes past the scheduler: only NoExecute holds for it.
            if let name = pod.nodeName, name != node.metadata.name { return false }
            return node.repellingTaints.allSatisfy { taint in
                pod.nodeName != nil && taint.effect == "NoSchedule" || !isNow && taint.isOfTheMoment
                    || (pod.tolerations ?? []).contains { $0.bears(taint) }
            }
        }
        return Set(nodes.map(\.metadata.name))
    }
}
