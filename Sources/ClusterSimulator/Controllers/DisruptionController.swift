import Kubernetes

/// Counts for a PodDisruptionBudget how many pods may be evicted; the eviction itself is the API server's.
enum DisruptionController {
    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let budget = cluster.get(key) else { return }
        let selector = Selector(of: budget)
        let pods = cluster.storedObjects(.pods, namespace: key.namespace).map(\.json).filter {
            selector.matches($0.at("metadata", "labels")) && !$0.isOver && !$0.isBeingDeleted
        }
        let expected = expectedPods(pods, cluster)
        let healthy = pods.filter(\.isReady).count
        let desired: Int
        if let least = budget.at("spec", "minAvailable") {
            desired = number(least, of: expected)
        } else {
            desired = max(0, expected - number(budget.at("spec", "maxUnavailable") ?? 1, of: expected))
        }
        let allowed = expected > 0 ? max(0, healthy - desired) : 0
        var status = budget["status"] ?? [:]
        status["disruptionsAllowed"] = JSON(allowed)
        status["currentHealthy"] = JSON(healthy)
        status["desiredHealthy"] = JSON(desired)
        status["expectedPods"] = JSON(expected)
        status["observedGeneration"] = JSON(budget.generation)
        let type = allowed > 0 ? "True" : "False"
        if budget.condition("DisruptionAllowed")?.text("status") != type {
            status["conditions"] = [
                [
                    "type": "DisruptionAllowed", "status": .string(type), "observedGeneration": JSON(budget.generation),
                    "lastTransitionTime": .string(cluster.timestamp),
                    "reason": allowed > 0 ? "SufficientPods" : "InsufficientPods", "message": "",
                ]
            ]
        }
        if budget["status"] != status { cluster.writeStatus(key, status) }
    }

    /// How many pods their owners want, as far as they say.
    private static func expectedPods(_ pods: [JSON], _ cluster: Cluster) -> Int {
        var owners: [String: Int] = [:]
        var single = 0
        for pod in pods {
            guard let uid = pod.controllerReference?.text("uid"), let owner = cluster.object(uid: uid) else {
                single += 1
                continue
            }
            owners[uid] = owner.json.at("spec", "replicas").map { Int($0.integer ?? 1) } ?? (owners[uid] ?? 0) + 1
        }
        return owners.values.reduce(single, +)
    }

    private static func number(_ value: JSON, of total: Int) -> Int {
        if let number = value.integer { return Int(number) }
        guard let percent = value.string.flatMap({ Int($0.dropLast()) }) else { return 0 }
        return (total * percent + 99) / 100
    }
}

/// Makes the claims of a pod's generic ephemeral volumes; they belong to the pod and go with it.
enum EphemeralVolumeController {
    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let pod = cluster.get(key), !pod.isBeingDeleted else { return }
        for volume in pod.list("spec", "volumes") {
            guard let template = volume.at("ephemeral", "volumeClaimTemplate") else { continue }
            let claim = ObjectKey(.persistentVolumeClaims, key.namespace, "\(pod.name)-\(volume.text("name"))")
            if cluster.get(claim) != nil { continue }
            var metadata: JSON = ["name": .string(claim.name), "ownerReferences": [pod.ownerReference(.pods)]]
            metadata["labels"] = template.at("metadata", "labels")
            metadata["annotations"] = template.annotations
            do {
                try cluster.create(
                    .persistentVolumeClaims,
                    namespace: key.namespace,
                    ["metadata": metadata, "spec": template["spec"] ?? [:]]
                )
            } catch {
                cluster.recordEvent(
                    about: pod,
                    type: "Warning",
                    reason: "FailedToCreate",
                    message: "ephemeral volume \(volume.text("name")): create PVC \(claim.name): \(error)",
                    component: "ephemeral_volume"
                )
                cluster.enqueue(.sync(.ephemeralVolume, key), after: .seconds(5))
            }
        }
    }
}
