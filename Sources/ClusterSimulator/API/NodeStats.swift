import Kubernetes

extension Cluster {
    /// The kubelet's statistics as `nodes/NAME/proxy/stats/summary` has them: which pods run there.
    ///
    /// How full their volumes are is left out: hostPath volumes are not measured in a real cluster either.
    func statsSummary(node: String) -> JSON {
        var pods: [JSON] = []
        for pod in list(.pods) where pod["spec"]?["nodeName"]?.string == node {
            guard pod["status"]?["phase"]?.string == "Running" else { continue }
            pods.append([
                "podRef": [
                    "name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid),
                ],
                "startTime": pod["status"]?["startTime"] ?? .string(timestamp),
            ])
        }
        return ["node": ["nodeName": .string(node)], "pods": .array(pods)]
    }
}
