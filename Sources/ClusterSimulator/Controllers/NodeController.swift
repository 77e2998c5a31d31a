import Kubernetes

/// Takes the pods from nodes that no longer answer.
enum NodeController {
    private static let unreachable = "node.kubernetes.io/unreachable"

    static func evict(_ key: ObjectKey, uid: String, _ cluster: inout Cluster) {
        guard let pod = cluster.get(key), pod.uid == uid,
            cluster.controllers.lostNodes.contains(pod.text("spec", "nodeName"))
        else { return }
        cluster.recordEvent(
            about: pod,
            type: "Normal",
            reason: "TaintManagerEviction",
            message: "Marking for deletion Pod \(key.namespace ?? "")/\(key.name)",
            component: "taint-eviction-controller"
        )
        cluster.remove(key, uid: uid)
    }

    static func lose(_ name: String, _ cluster: inout Cluster) {
        let taints: [JSON] = ["NoSchedule", "NoExecute"].map {
            ["key": .string(unreachable), "effect": $0, "timeAdded": .string(cluster.timestamp)]
        }
        set(name, ready: "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.", taints, &cluster)
        for stored in cluster.storedObjects(.pods, namespace: nil)
        where stored.json.text("spec", "nodeName") == name && !stored.json.isOver {
            cluster.write(stored.key, subresource: "status") { pod in
                pod.put(
                    .array(
                        pod.list("status", "conditions").map { condition in
                            guard condition.text("type") == "Ready" else { return condition }
                            var condition = condition
                            condition["status"] = "False"
                            return condition
                        }
                    ),
                    "status",
                    "conditions"
                )
            }
            let toleration = stored.json.list("spec", "tolerations").first { Scheduler.tolerates($0, taints[1]) }
            if let toleration, toleration["tolerationSeconds"] == nil { continue }
            cluster.enqueue(
                .evict(pod: stored.key, uid: stored.json.uid),
                after: .seconds(toleration?.number("tolerationSeconds") ?? 0)
            )
        }
    }

    static func find(_ name: String, _ cluster: inout Cluster) {
        set(name, ready: "True", "KubeletReady", "kubelet is posting ready status", [], &cluster)
    }

    private static func set(
        _ name: String,
        ready: String,
        _ reason: String,
        _ message: String,
        _ taints: [JSON],
        _ cluster: inout Cluster
    ) {
        let key = ObjectKey(.nodes, nil, name)
        let now = JSON.string(cluster.timestamp)
        cluster.write(key, subresource: "status") { node in
            let others = node.list("status", "conditions").filter { $0.text("type") != "Ready" }
            let condition: JSON = [
                "type": "Ready", "status": .string(ready), "lastHeartbeatTime": now, "lastTransitionTime": now,
                "reason": .string(reason), "message": .string(message),
            ]
            node.put(.array(others + [condition]), "status", "conditions")
        }
        cluster.write(key) { node in
            let others = node.list("spec", "taints").filter { $0.text("key") != unreachable }
            node.put((others + taints).isEmpty ? nil : .array(others + taints), "spec", "taints")
        }
    }
}

extension Cluster {
    private var conditionsOfReadyNode: [JSON] {
        [
            ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ].map { type, status, reason, message in
            [
                "type": .string(type), "status": .string(status), "lastHeartbeatTime": .string(timestamp),
                "lastTransitionTime": .string(timestamp), "reason": .string(reason), "message": .string(message),
            ]
        }
    }

    /// Adds a node that is ready to run pods.
    public mutating func addNode(_ name: String, labels: [String: String] = [:]) {
        var all: [String: JSON] = [
            "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": .string(name), "kubernetes.io/os": "linux",
        ]
        for (label, value) in labels { all[label] = .string(value) }
        var resources: JSON = [
            "cpu": "2", "ephemeral-storage": "264212084Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
            "memory": "24684092Ki", "pods": "110",
        ]
        let capacity = resources
        // What the node keeps for itself is missing.
        resources["ephemeral-storage"] = "267847642337"
        resources["memory"] = "24632892Ki"
        let identity = JSON.string(makeUID())
        do {
            try create(
                .nodes,
                [
                    "metadata": [
                        "name": .string(name), "labels": .object(all),
                        "annotations": [
                            "node.alpha.kubernetes.io/ttl": "0",
                            "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                        ],
                    ], "spec": [:],
                    "status": [
                        "capacity": capacity, "allocatable": resources, "conditions": .array(conditionsOfReadyNode),
                        "addresses": [
                            ["type": "InternalIP", "address": .string(Kubelet.address(ofNode: name))],
                            ["type": "Hostname", "address": .string(name)],
                        ], "daemonEndpoints": ["kubeletEndpoint": ["Port": 10250]],
                        "nodeInfo": [
                            "machineID": identity, "systemUUID": identity, "bootID": identity,
                            "kernelVersion": "6.1.0", "osImage": "Debian GNU/Linux 12 (bookworm)",
                            "containerRuntimeVersion": "containerd://1.6.20", "kubeletVersion": "v1.32.13",
                            "kubeProxyVersion": "v1.32.13", "operatingSystem": "linux", "architecture": "amd64",
                        ],
                        "images": .array(
                            behaviour.images.sorted().map {
                                ["names": [.string(Kubelet.wholeName($0))], "sizeBytes": 2_141_017]
                            }
                        ),
                    ],
                ]
            )
        } catch {
            // It is there already.
        }
    }

    /// Cuts a node off: its containers end unseen, its pods are evicted when their tolerations run out.
    public mutating func loseNode(_ name: String) {
        controllers.lostNodes.insert(name)
        Kubelet.stop(node: name, &self)
        NodeController.lose(name, &self)
    }

    /// Has a lost node come back, empty.
    public mutating func recoverNode(_ name: String) {
        controllers.lostNodes.remove(name)
        NodeController.find(name, &self)
        for stored in storedObjects(.pods, namespace: nil) where stored.json.text("spec", "nodeName") == name {
            soon(.sync(.kubelet, stored.key), 100...500)
        }
    }
}
