import Kubernetes

/// Runs a Deployment through its ReplicaSets: one for each template it has had.
enum DeploymentController {
    private static let revision = "deployment.kubernetes.io/revision"
    private static let desiredReplicas = "deployment.kubernetes.io/desired-replicas"
    private static let maxReplicas = "deployment.kubernetes.io/max-replicas"
    private static let hashLabel = "pod-template-hash"
    /// The annotations that a ReplicaSet does not take from its Deployment.
    private static let ownAnnotations: Set<String> = [
        "kubectl.kubernetes.io/last-applied-configuration", "deprecated.deployment.rollback.to",
        "deployment.kubernetes.io/revision-history", revision, desiredReplicas, maxReplicas,
    ]

    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let deployment = Workload(key, component: "deployment-controller", cluster) else { return }
        deployment.adopt(.replicaSets, &cluster)
        var sets = replicaSets(of: deployment, cluster)
        if deployment.object.isBeingDeleted { return setStatus(deployment, sets, nil, &cluster) }
        let template = deployment.object.at("spec", "template")
        var current = sets.first { isOf($0, template) }
        if let known = current {
            current = annotate(known, as: deployment, &cluster)
        } else {
            current = create(deployment, sets, &cluster)
            if let current { sets.append(current) }
        }
        guard let current else { return }
        let number = current.annotations?[revision]
        if deployment.object.annotations?[revision] != number {
            cluster.write(key) { $0.put(number, "metadata", "annotations", revision) }
        }
        if deployment.object.at("spec", "paused") != true || sets.count == 1 {
            scale(deployment, current, sets, &cluster)
        }
        // The status comes from what the controller has read before it wrote.
        guard let now = Workload(key, component: deployment.component, cluster) else { return }
        setStatus(now, sets, current, &cluster)
    }

    private static func replicaSets(of deployment: Workload, _ cluster: Cluster) -> [JSON] {
        cluster.dependents(of: deployment.object.uid)
            .filter { $0.resource == .replicaSets && $0.namespace == deployment.key.namespace }
            .compactMap { cluster.get($0) }
            .sorted { ($0.revisionNumber, $0.name) < ($1.revisionNumber, $1.name) }
    }

    /// Whether a ReplicaSet is of a template, the hash's label aside.
    private static func isOf(_ set: JSON, _ template: JSON?) -> Bool {
        var own = set.at("spec", "template") ?? [:]
        own.put(nil, "metadata", "labels", hashLabel)
        return own == template
    }

    private static func create(_ deployment: Workload, _ sets: [JSON], _ cluster: inout Cluster) -> JSON? {
        let object = deployment.object
        let hash = Workload.hash(object.at("spec", "template"))
        var template = object.at("spec", "template") ?? [:]
        template.put(.string(hash), "metadata", "labels", hashLabel)
        var selector = object.at("spec", "selector") ?? [:]
        selector.put(.string(hash), "matchLabels", hashLabel)
        let surge = limits(deployment).surge
        let others = sets.reduce(0) { $0 + $1.number("spec", "replicas") }
        let isRolling = object.text("spec", "strategy", "type") != "Recreate"
        let replicas =
            others == 0
            ? deployment.replicas
            : isRolling ? max(0, min(deployment.replicas, deployment.replicas + surge - others)) : 0
        var annotations = copied(from: object)
        annotations[revision] = .string(String((sets.map(\.revisionNumber).max() ?? 0) + 1))
        for (name, value) in sizes(deployment) { annotations[name] = value }
        let set: JSON = [
            "metadata": [
                "name": .string(deployment.key.name + "-" + hash), "labels": template.at("metadata", "labels") ?? [:],
                "annotations": .object(annotations), "ownerReferences": [object.ownerReference(.deployments)],
            ],
            "spec": ["replicas": JSON(replicas), "selector": selector, "template": template],
        ]
        do {
            let created = try cluster.create(.replicaSets, namespace: deployment.key.namespace, set)
            scaled(deployment, created, from: 0, &cluster)
            return created
        } catch {
            deployment.event("Warning", "ReplicaSetCreateError", "Failed to create new replica set: \(error)", &cluster)
            cluster.enqueue(.sync(.deployment, deployment.key), after: .seconds(5))
            return nil
        }
    }

    /// What a ReplicaSet takes of a Deployment's annotations.
    private static func copied(from deployment: JSON) -> [String: JSON] {
        (deployment.annotations?.object ?? [:]).filter { !ownAnnotations.contains($0.key) }
    }

    /// Gives the current template's ReplicaSet the Deployment's annotations; those that the Deployment has lost stay.
    ///
    /// - Returns: the ReplicaSet as it is then.
    private static func annotate(_ set: JSON, as deployment: Workload, _ cluster: inout Cluster) -> JSON {
        let new = copied(from: deployment.object).filter { set.annotations?[$0.key] != $0.value }
        if new.isEmpty { return set }
        let written = cluster.write(ObjectKey(.replicaSets, deployment.key.namespace, set.name)) { set in
            for (name, value) in new { set.put(value, "metadata", "annotations", name) }
        }
        return written ?? set
    }

    /// How many pods there may be too many, and how many may be missing, while one template replaces another.
    private static func limits(_ deployment: Workload) -> (surge: Int, unavailable: Int) {
        let strategy = deployment.object.at("spec", "strategy")
        if strategy?["type"] == "Recreate" { return (0, deployment.replicas) }
        func number(_ value: JSON?, up: Bool) -> Int {
            if let number = value?.integer { return Int(number) }
            guard let text = value?.string, text.hasSuffix("%"), let percent = Int(text.dropLast()) else { return 0 }
            return (deployment.replicas * percent + (up ? 99 : 0)) / 100
        }
        let surge = number(strategy?.at("rollingUpdate", "maxSurge"), up: true)
        let unavailable = number(strategy?.at("rollingUpdate", "maxUnavailable"), up: false)
        return (surge, surge == 0 && unavailable == 0 ? 1 : unavailable)
    }

    private static func sizes(_ deployment: Workload) -> [(String, JSON)] {
        [
            (desiredReplicas, .string(String(deployment.replicas))),
            (maxReplicas, .string(String(deployment.replicas + limits(deployment).surge))),
        ]
    }

    private static func scale(_ deployment: Workload, _ current: JSON, _ sets: [JSON], _ cluster: inout Cluster) {
        let wanted = deployment.replicas
        let old = sets.filter { $0.uid != current.uid && $0.number("spec", "replicas") > 0 }
        if old.isEmpty { return set(deployment, current, wanted, &cluster) }
        let (surge, unavailable) = limits(deployment)
        if deployment.object.text("spec", "strategy", "type") == "Recreate" {
            for one in old { set(deployment, one, 0, &cluster) }
            let pods = cluster.storedObjects(.pods, namespace: deployment.key.namespace).filter { pod in
                old.contains { $0.uid == pod.json.controllerReference?.text("uid") } && !pod.json.isOver
            }
            if pods.isEmpty { set(deployment, current, wanted, &cluster) }
            return
        }
        let total = sets.reduce(0) { $0 + $1.number("spec", "replicas") }
        let size = current.number("spec", "replicas")
        if size < wanted, total < wanted + surge {
            return set(deployment, current, min(wanted, size + wanted + surge - total), &cluster)
        }
        if size > wanted { return set(deployment, current, wanted, &cluster) }
        let available = sets.reduce(0) { $0 + $1.number("status", "availableReplicas") }
        var spare = available - (wanted - unavailable)
        for one in old {
            // What is not available can go at once.
            let broken = one.number("spec", "replicas") - one.number("status", "availableReplicas")
            let less = min(one.number("spec", "replicas"), max(0, broken) + max(0, spare))
            if less > 0 { set(deployment, one, one.number("spec", "replicas") - less, &cluster) }
            spare -= max(0, less - max(0, broken))
        }
    }

    private static func set(_ deployment: Workload, _ one: JSON, _ replicas: Int, _ cluster: inout Cluster) {
        let before = one.number("spec", "replicas")
        let sizes = sizes(deployment)
        if before == replicas, sizes.allSatisfy({ one.annotations?[$0.0] == $0.1 }) { return }
        let written = cluster.write(ObjectKey(.replicaSets, deployment.key.namespace, one.name)) { object in
            object.put(JSON(replicas), "spec", "replicas")
            for (name, value) in sizes { object.put(value, "metadata", "annotations", name) }
        }
        if written != nil, before != replicas { scaled(deployment, one, from: before, to: replicas, &cluster) }
    }

    private static func scaled(
        _ deployment: Workload,
        _ one: JSON,
        from before: Int,
        to after: Int? = nil,
        _ cluster: inout Cluster
    ) {
        let after = after ?? one.number("spec", "replicas")
        deployment.event(
            "ScalingReplicaSet",
            "Scaled \(after > before ? "up" : "down") replica set \(one.name) from \(before) to \(after)",
            &cluster
        )
    }

    private static func setStatus(_ deployment: Workload, _ sets: [JSON], _ current: JSON?, _ cluster: inout Cluster) {
        func sum(_ path: String...) -> Int {
            sets.reduce(0) { $0 + Int($1[path[0]]?[path[1]]?.integer ?? 0) }
        }
        let available = sum("status", "availableReplicas")
        let wanted = deployment.replicas
        let updated = current?.number("status", "replicas") ?? 0
        let total = sum("status", "replicas")
        let isEnough = available >= wanted - limits(deployment).unavailable
        let isComplete = updated == wanted && total == wanted && available == wanted
        var progressing = [
            "True", "NewReplicaSetAvailable", "ReplicaSet \"\(current?.name ?? "")\" has successfully progressed.",
        ]
        let before = deployment.object.condition("Progressing")
        let sameSet = before?.text("message").contains("\"\(current?.name ?? "")\"") == true
        if !isComplete, !(sameSet && before?.text("reason") == "NewReplicaSetAvailable") {
            progressing =
                sum("status", "replicas") == 0 && before == nil
                ? ["True", "NewReplicaSetCreated", "Created new replica set \"\(current?.name ?? "")\""]
                : ["True", "ReplicaSetUpdated", "ReplicaSet \"\(current?.name ?? "")\" is progressing."]
        }
        let enough =
            isEnough
            ? ["True", "MinimumReplicasAvailable", "Deployment has minimum availability."]
            : ["False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."]
        var conditions = deployment.object.list("status", "conditions")
        if current != nil {
            update(&conditions, "Available", enough, cluster.timestamp)
            update(&conditions, "Progressing", progressing, cluster.timestamp)
        }
        deployment.setStatus(
            .members([
                "observedGeneration": JSON(deployment.object.generation),
                "replicas": Workload.count(total), "updatedReplicas": Workload.count(updated),
                "readyReplicas": Workload.count(sum("status", "readyReplicas")),
                "availableReplicas": Workload.count(available),
                "unavailableReplicas": Workload.count(max(0, sum("spec", "replicas") - available)),
                "conditions": conditions.isEmpty ? nil : .array(conditions),
                "collisionCount": deployment.object.at("status", "collisionCount"),
            ]),
            &cluster
        )
    }

    /// Sets a condition; one whose status changes goes to the end.
    private static func update(_ conditions: inout [JSON], _ type: String, _ value: [String], _ now: String) {
        let index = conditions.firstIndex { $0.text("type") == type }
        let old = index.map { conditions[$0] }
        if old?.text("status") == value[0], old?.text("reason") == value[1], old?.text("message") == value[2] { return }
        let since = old?.text("status") == value[0] ? old?["lastTransitionTime"] : nil
        if let index { conditions.remove(at: index) }
        conditions.append([
            "type": .string(type), "status": .string(value[0]), "lastUpdateTime": .string(now),
            "lastTransitionTime": since ?? .string(now), "reason": .string(value[1]), "message": .string(value[2]),
        ])
    }
}

extension JSON {
    /// Which of a Deployment's templates a ReplicaSet is of, counted from 1.
    fileprivate var revisionNumber: Int {
        Int(annotations?["deployment.kubernetes.io/revision"]?.string ?? "") ?? 0
    }
}
