import Kubernetes

extension Cluster {
    /// The kubelet's statistics as `nodes/NAME/proxy/stats/summary` has them: which pods run there.
    ///
    /// Of their volumes only those of CSI drivers are measured, as in a real cluster: hostPath volumes are not.
    func statsSummary(node: String) -> JSON {
        var pods: [JSON] = []
        for pod in list(.pods) where pod["spec"]?["nodeName"]?.string == node {
            guard pod["status"]?["phase"]?.string == "Running" else { continue }
            pods.append([
                "podRef": [
                    "name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid),
                ],
                "startTime": pod["status"]?["startTime"] ?? .string(timestamp),
                "volume": .array((pod["spec"]?["volumes"]?.array ?? []).compactMap { statistics(of: $0, of: pod) }),
            ])
        }
        return ["node": ["nodeName": .string(node)], "pods": .array(pods)]
    }

    private func statistics(of volume: JSON, of pod: JSON) -> JSON? {
        guard let claimName = volume["persistentVolumeClaim"]?["claimName"]?.string,
            let claim = get(ObjectKey(.persistentVolumeClaims, pod.namespace, claimName)),
            let name = claim["spec"]?["volumeName"]?.string, let source = get(ObjectKey(.persistentVolumes, nil, name)),
            source["spec"]?["csi"] != nil,
            let capacity = source["spec"]?["capacity"]?["storage"]?.string.flatMap({ Quantity($0) })?.bytes
        else { return nil }
        let used = (content(ofVolumeNamed: name) ?? [:]).values.reduce(Int64(0)) { $0 + Int64($1.size) }
        return [
            "name": volume["name"] ?? .null,
            "pvcRef": ["name": .string(claimName), "namespace": .string(pod.namespace)],
            "time": .string(timestamp), "capacityBytes": .integer(capacity), "usedBytes": .integer(used),
            "availableBytes": .integer(max(0, capacity - used)),
        ]
    }
}
