import Kubernetes

/// Gives pods their nodes (`kube-scheduler`), and volumes that wait for their first consumer theirs.
enum Scheduler {
    /// Pods without a node are tried again after a while when something changes that could help.
    static func wake(_ cluster: inout Cluster) {
        for pod in cluster.controllers.unscheduled.sorted(by: {
            ($0.namespace ?? "", $0.name) < ($1.namespace ?? "", $1.name)
        }) {
            cluster.soon(.sync(.scheduler, pod), 1000...1400)
        }
    }

    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let pod = cluster.get(key), pod.at("spec", "nodeName") == nil, !pod.isBeingDeleted, !pod.isOver,
            ["", "default-scheduler"].contains(pod.text("spec", "schedulerName")),
            pod.list("spec", "schedulingGates").isEmpty
        else {
            cluster.controllers.unscheduled.remove(key)
            return
        }
        let nodes = cluster.list(.nodes)
        if let problem = claimProblem(pod, cluster) { return fail(pod, key, problem, nodes.count, &cluster) }
        var reasons: [String: Int] = [:]
        var fitting: [JSON] = []
        for node in nodes {
            if let reason = obstacle(pod, node, cluster) {
                reasons[reason, default: 0] += 1
            } else {
                fitting.append(node)
            }
        }
        guard let node = choose(preferred(fitting, by: pod), &cluster) else {
            let parts = reasons.map { "\($0.value) \($0.key)" }.sorted()
            return fail(pod, key, parts.isEmpty ? "" : parts.joined(separator: ", "), nodes.count, &cluster)
        }
        // Volumes first: the pod is only bound when each claim is.
        if prepareVolumes(pod, node, &cluster) {
            cluster.controllers.unscheduled.remove(key)
            bind(pod, key, node, &cluster)
        } else {
            cluster.controllers.unscheduled.insert(key)
        }
    }

    private static func bind(_ pod: JSON, _ key: ObjectKey, _ node: JSON, _ cluster: inout Cluster) {
        let written = cluster.write(key, subresource: "binding", expecting: pod.resourceVersion) { pod in
            pod.put(.string(node.name), "spec", "nodeName")
        }
        guard written != nil else { return cluster.soon(.sync(.scheduler, key)) }
        cluster.recordEvent(
            about: pod,
            type: "Normal",
            reason: "Scheduled",
            message: "Successfully assigned \(key.namespace ?? "")/\(key.name) to \(node.name)",
            component: "default-scheduler",
            action: "Binding"
        )
    }

    private static func fail(_ pod: JSON, _ key: ObjectKey, _ problem: String, _ nodes: Int, _ cluster: inout Cluster) {
        cluster.controllers.unscheduled.insert(key)
        let message =
            nodes == 0
            ? "no nodes available to schedule pods"
            : "0/\(nodes) nodes are available: \(problem). preemption: 0/\(nodes) nodes are available: "
                + "\(nodes) Preemption is not helpful for scheduling."
        cluster.recordEvent(
            about: pod,
            type: "Warning",
            reason: "FailedScheduling",
            message: message,
            component: "default-scheduler",
            action: "Scheduling"
        )
        if pod.condition("PodScheduled")?.text("message") == message { return }
        let since = pod.condition("PodScheduled")?["lastTransitionTime"] ?? .string(cluster.timestamp)
        cluster.write(key, subresource: "status") { pod in
            let others = pod.list("status", "conditions").filter { $0.text("type") != "PodScheduled" }
            let condition: JSON = [
                "type": "PodScheduled", "status": "False", "lastProbeTime": nil, "lastTransitionTime": since,
                "reason": "Unschedulable", "message": .string(message),
            ]
            pod.put(.array(others + [condition]), "status", "conditions")
        }
    }

    // MARK: Nodes

    /// Why a pod cannot be on a node, in the scheduler's words, or nil.
    private static func obstacle(_ pod: JSON, _ node: JSON, _ cluster: Cluster) -> String? {
        let tolerations = pod.list("spec", "tolerations")
        if node.at("spec", "unschedulable") == true,
            !tolerations.contains(where: {
                tolerates($0, ["key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"])
            })
        {
            return "node(s) were unschedulable"
        }
        if let taint = untolerated(node, tolerations) {
            return "node(s) had untolerated taint {\(taint.text("key")): \(taint.text("value"))}"
        }
        if !admits(pod["spec"], node) { return "node(s) didn't match Pod's node affinity/selector" }
        return volumeObstacle(pod, node, cluster)
    }

    /// Whether a pod's node selector and required node affinity admit a node.
    static func admits(_ spec: JSON?, _ node: JSON) -> Bool {
        let labels = node.at("metadata", "labels")
        return (spec?["nodeSelector"]?.object ?? [:]).allSatisfy { labels?[$0.key] == $0.value }
            && nodeSelector(
                spec?.at("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"),
                matches: node
            )
    }

    /// The first taint of a node that keeps a pod away.
    static func untolerated(_ node: JSON, _ tolerations: [JSON]) -> JSON? {
        node.list("spec", "taints").first { taint in
            ["NoSchedule", "NoExecute"].contains(taint.text("effect"))
                && !tolerations.contains { tolerates($0, taint) }
        }
    }

    static func tolerates(_ toleration: JSON, _ taint: JSON) -> Bool {
        let effect = toleration.text("effect")
        guard effect.isEmpty || effect == taint.text("effect") else { return false }
        if toleration.text("operator") == "Exists" {
            return toleration.text("key").isEmpty || toleration.text("key") == taint.text("key")
        }
        return toleration.text("key") == taint.text("key") && toleration.text("value") == taint.text("value")
    }

    /// Of some nodes those that the pod likes best (`preferredDuringSchedulingIgnoredDuringExecution`).
    private static func preferred(_ nodes: [JSON], by pod: JSON) -> [JSON] {
        let terms = pod.list("spec", "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution")
        func score(_ node: JSON) -> Int {
            terms.filter { nodeSelector(["nodeSelectorTerms": .array([$0["preference"] ?? [:]])], matches: node) }
                .reduce(0) { $0 + $1.number("weight") }
        }
        let best = nodes.map(score).max()
        return nodes.filter { score($0) == best }
    }

    /// The node with the fewest pods, any of several.
    private static func choose(_ nodes: [JSON], _ cluster: inout Cluster) -> JSON? {
        var pods: [String: Int] = [:]
        for stored in cluster.storedObjects(.pods, namespace: nil) where !stored.json.isOver {
            pods[stored.json.text("spec", "nodeName"), default: 0] += 1
        }
        let least = nodes.map { pods[$0.name] ?? 0 }.min()
        return nodes.filter { (pods[$0.name] ?? 0) == least }.randomElement(using: &cluster.random)
    }

    // MARK: Volumes

    private static func claims(of pod: JSON, _ cluster: Cluster) -> [(name: String, claim: JSON?)] {
        pod.claimNames.map { ($0, cluster.get(ObjectKey(.persistentVolumeClaims, pod.namespace, $0))) }
    }

    private static func waits(_ claim: JSON, _ cluster: Cluster) -> Bool {
        VolumeMatching.storageClass(of: claim, cluster)?.text("volumeBindingMode") == "WaitForFirstConsumer"
    }

    private static func isBound(_ claim: JSON) -> Bool {
        claim.at("spec", "volumeName") != nil
            && claim.annotations?[PersistentVolumeController.bindCompleted] != nil
    }

    /// Why no node will do, or nil.
    private static func claimProblem(_ pod: JSON, _ cluster: Cluster) -> String? {
        for (name, claim) in claims(of: pod, cluster) {
            guard let claim else {
                let ephemeral = pod.list("spec", "volumes").contains { $0["ephemeral"] != nil }
                return ephemeral
                    ? "waiting for ephemeral volume controller to create the persistentvolumeclaim \"\(name)\""
                    : "persistentvolumeclaim \"\(name)\" not found"
            }
            if claim.isBeingDeleted { return "persistentvolumeclaim \"\(name)\" is being deleted" }
            if claim.text("status", "phase") == "Lost" {
                return
                    "persistentvolumeclaim \"\(name)\" bound to non-existent persistentvolume \"\(claim.text("spec", "volumeName"))\""
            }
            if !isBound(claim), !waits(claim, cluster) { return "pod has unbound immediate PersistentVolumeClaims" }
            guard claim.list("spec", "accessModes").contains("ReadWriteOncePod") else { continue }
            let used = cluster.storedObjects(.pods, namespace: pod.namespace).contains {
                $0.json.uid != pod.uid && !$0.json.isOver && $0.json.at("spec", "nodeName") != nil
                    && $0.json.claimNames.contains(name)
            }
            if used {
                return "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
            }
        }
        return nil
    }

    private static func volumeObstacle(_ pod: JSON, _ node: JSON, _ cluster: Cluster) -> String? {
        for (_, claim) in claims(of: pod, cluster) {
            guard let claim else { continue }
            if isBound(claim) {
                let volume = cluster.get(ObjectKey(.persistentVolumes, nil, claim.text("spec", "volumeName")))
                if !nodeSelector(volume?.at("spec", "nodeAffinity", "required"), matches: node) {
                    return "node(s) had volume node affinity conflict"
                }
            } else if VolumeMatching.find(for: claim, node: node, cluster) == nil {
                let provisioner = VolumeMatching.storageClass(of: claim, cluster)?.text("provisioner") ?? ""
                if provisioner == "kubernetes.io/no-provisioner" {
                    return "node(s) didn't find available persistent volumes to bind"
                }
            }
        }
        return nil
    }

    /// Has the volumes bound that waited for a node.
    ///
    /// - Returns: whether all are.
    private static func prepareVolumes(_ pod: JSON, _ node: JSON, _ cluster: inout Cluster) -> Bool {
        var ready = true
        for (name, claim) in claims(of: pod, cluster) {
            guard let claim, !isBound(claim) else { continue }
            ready = false
            if let volume = VolumeMatching.find(for: claim, node: node, cluster), volume.at("spec", "claimRef") == nil {
                let reference: JSON = [
                    "kind": "PersistentVolumeClaim", "namespace": .string(claim.namespace), "name": .string(claim.name),
                    "uid": .string(claim.uid), "apiVersion": "v1", "resourceVersion": .string(claim.resourceVersion),
                ]
                cluster.write(ObjectKey(.persistentVolumes, nil, volume.name), expecting: volume.resourceVersion) {
                    $0.put(reference, "spec", "claimRef")
                    $0.put("yes", "metadata", "annotations", PersistentVolumeController.boundByController)
                }
            } else if claim.annotations?[PersistentVolumeController.selectedNode] == nil {
                let key = ObjectKey(.persistentVolumeClaims, pod.namespace, name)
                cluster.write(key, expecting: claim.resourceVersion) {
                    $0.put(.string(node.name), "metadata", "annotations", PersistentVolumeController.selectedNode)
                }
            }
        }
        return ready
    }
}
