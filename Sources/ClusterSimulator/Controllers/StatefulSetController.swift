import Kubernetes

/// Runs the numbered pods of a StatefulSet and makes their claims (`pkg/controller/statefulset`).
enum StatefulSetController {
    private static let hashLabel = "controller-revision-hash"

    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let set = Workload(key, component: "statefulset-controller", cluster) else { return }
        if set.object.isBeingDeleted {
            // Only says that it has seen it; the garbage collector does the rest.
            var status = set.object["status"] ?? [:]
            status["observedGeneration"] = JSON(set.object.generation)
            return set.setStatus(status, &cluster)
        }
        let update = revision(of: set, &cluster)
        let current = set.object.at("status", "currentRevision")?.string ?? update
        let pods = set.ownedPods(&cluster)
        var byNumber: [Int: JSON] = [:]
        for pod in pods { if let number = number(pod, key) { byNumber[number] = pod } }
        let start = set.object.number("spec", "ordinals", "start")
        let wanted = start..<(start + set.replicas)
        let condemned = byNumber.keys.filter { !wanted.contains($0) }.sorted(by: >)
        keepClaims(set, condemned: condemned.compactMap { byNumber[$0] }, wanted, &cluster)
        run(set, byNumber, wanted, condemned, update, &cluster)
        setStatus(set, pods, current, update, wanted.count, &cluster)
    }

    private static func number(_ pod: JSON, _ key: ObjectKey) -> Int? {
        guard pod.name.hasPrefix(key.name + "-") else { return nil }
        return Int(pod.name.dropFirst(key.name.count + 1))
    }

    /// Creates and deletes pods, one after the other unless the set is `Parallel`.
    private static func run(
        _ set: Workload,
        _ pods: [Int: JSON],
        _ wanted: Range<Int>,
        _ condemned: [Int],
        _ update: String,
        _ cluster: inout Cluster
    ) {
        let inOrder = set.object.text("spec", "podManagementPolicy") != "Parallel"
        for number in wanted {
            guard let pod = pods[number] else {
                create(set, number, update, &cluster)
                if inOrder { return }
                continue
            }
            if pod.isBeingDeleted {
                if inOrder { return }
                continue
            }
            if pod.isOver {
                set.event(
                    pod.text("status", "phase") == "Failed" ? "Warning" : "Normal",
                    pod.text("status", "phase") == "Failed" ? "RecreatingFailedPod" : "RecreatingTerminatedPod",
                    "StatefulSet \(set.key.namespace ?? "")/\(set.key.name) is recreating \(pod.text("status", "phase").lowercased()) Pod \(pod.name)",
                    &cluster
                )
                delete(set, pod, &cluster)
                return
            }
            if pod.text("status", "phase") == "Pending" { makeClaims(set, number, &cluster) }
            if inOrder, !pod.isReady { return }
        }
        for number in condemned {
            guard let pod = pods[number] else { continue }
            if pod.isBeingDeleted {
                if inOrder { return }
                continue
            }
            delete(set, pod, &cluster)
            if inOrder { return }
        }
        guard set.object.text("spec", "updateStrategy", "type") != "OnDelete" else { return }
        let partition = set.object.number("spec", "updateStrategy", "rollingUpdate", "partition")
        for number in wanted.reversed() where number >= partition {
            guard let pod = pods[number] else { return }
            if pod.at("metadata", "labels", hashLabel)?.string != update, !pod.isBeingDeleted {
                return delete(set, pod, &cluster)
            }
            if !pod.isReady { return }
        }
    }

    private static func delete(_ set: Workload, _ pod: JSON, _ cluster: inout Cluster) {
        set.delete(pod, &cluster)
        set.event("SuccessfulDelete", "delete Pod \(pod.name) in StatefulSet \(set.key.name) successful", &cluster)
    }

    private static func create(_ set: Workload, _ number: Int, _ update: String, _ cluster: inout Cluster) {
        guard makeClaims(set, number, &cluster) else { return }
        let name = "\(set.key.name)-\(number)"
        var pod = set.pod(set.object.at("spec", "template"), name: name)
        pod.put(.string(String(number)), "metadata", "labels", "apps.kubernetes.io/pod-index")
        pod.put(.string(update), "metadata", "labels", hashLabel)
        pod.put(.string(name), "metadata", "labels", "statefulset.kubernetes.io/pod-name")
        pod.put(.string(name), "spec", "hostname")
        pod.put(set.object.at("spec", "serviceName"), "spec", "subdomain")
        let claims: [JSON] = templates(set).map { template in
            [
                "name": .string(template.name),
                "persistentVolumeClaim": ["claimName": .string("\(template.name)-\(name)")],
            ]
        }
        let names = claims.map { $0["name"] }
        let others = pod.list("spec", "volumes").filter { !names.contains($0["name"]) }
        if !(claims + others).isEmpty { pod.put(.array(claims + others), "spec", "volumes") }
        if set.create(pod, .sync(.statefulSet, set.key), &cluster) != nil {
            set.event("SuccessfulCreate", "create Pod \(name) in StatefulSet \(set.key.name) successful", &cluster)
        }
    }

    // MARK: Claims

    private static func templates(_ set: Workload) -> [JSON] { set.object.list("spec", "volumeClaimTemplates") }

    /// Creates the claims of a pod that are not there.
    ///
    /// - Returns: whether all are there.
    @discardableResult
    private static func makeClaims(_ set: Workload, _ number: Int, _ cluster: inout Cluster) -> Bool {
        let pod = "\(set.key.name)-\(number)"
        for template in templates(set) {
            let key = ObjectKey(.persistentVolumeClaims, set.key.namespace, "\(template.name)-\(pod)")
            if let claim = cluster.get(key) {
                if !claim.isBeingDeleted { continue }
                set.event(
                    "Warning",
                    "FailedCreate",
                    "create Pod \(pod) in StatefulSet \(set.key.name) failed error: pvc \(key.name) is being deleted",
                    &cluster
                )
                cluster.enqueue(.sync(.statefulSet, set.key), after: .milliseconds(500))
                return false
            }
            var labels = template.at("metadata", "labels") ?? [:]
            for (name, value) in set.object.at("spec", "selector", "matchLabels")?.object ?? [:] {
                labels[name] = value
            }
            var metadata: JSON = ["name": .string(key.name), "labels": labels]
            metadata["annotations"] = template.annotations
            if policy(set, "whenDeleted") { metadata["ownerReferences"] = [set.object.ownerReference(.statefulSets)] }
            do {
                try cluster.create(
                    .persistentVolumeClaims,
                    namespace: key.namespace,
                    ["metadata": metadata, "spec": template["spec"] ?? [:]]
                )
            } catch {
                set.event(
                    "Warning",
                    "FailedCreate",
                    "create Claim \(key.name) for Pod \(pod) in StatefulSet \(set.key.name) failed error: \(error)",
                    &cluster
                )
                cluster.enqueue(.sync(.statefulSet, set.key), after: .seconds(5))
                return false
            }
            set.event(
                "SuccessfulCreate",
                "create Claim \(key.name) Pod \(pod) in StatefulSet \(set.key.name) success",
                &cluster
            )
        }
        return true
    }

    private static func policy(_ set: Workload, _ moment: String) -> Bool {
        set.object.text("spec", "persistentVolumeClaimRetentionPolicy", moment) == "Delete"
    }

    /// Gives the claims the owners with which they are to go: the pod that is scaled away, or the set.
    private static func keepClaims(_ set: Workload, condemned: [JSON], _ wanted: Range<Int>, _ cluster: inout Cluster) {
        for pod in condemned { own(set, pod.name, pod, &cluster) }
        for number in wanted { own(set, "\(set.key.name)-\(number)", nil, &cluster) }
    }

    private static func own(_ set: Workload, _ pod: String, _ condemned: JSON?, _ cluster: inout Cluster) {
        for template in templates(set) {
            let key = ObjectKey(.persistentVolumeClaims, set.key.namespace, "\(template.name)-\(pod)")
            guard let claim = cluster.get(key) else { continue }
            let old = claim.list("metadata", "ownerReferences")
            var owners = old.filter { reference in
                // Somebody else's references stay.
                !(reference.text("kind") == "Pod" && reference.text("name") == pod)
                    && reference.text("uid") != set.object.uid
            }
            if let condemned, policy(set, "whenScaled") {
                owners.append(condemned.ownerReference(.pods))
            } else if policy(set, "whenDeleted") {
                owners.append(set.object.ownerReference(.statefulSets))
            }
            if owners == old { continue }
            cluster.write(key) { $0.put(owners.isEmpty ? nil : .array(owners), "metadata", "ownerReferences") }
        }
    }

    // MARK: Revisions and status

    /// The name of the template's ControllerRevision, made where there is none.
    private static func revision(of set: Workload, _ cluster: inout Cluster) -> String {
        set.adopt(.controllerRevisions, &cluster)
        let template = set.object.at("spec", "template")
        let name = set.key.name + "-" + Workload.hash(template)
        let key = ObjectKey(.controllerRevisions, set.key.namespace, name)
        if cluster.get(key) != nil { return name }
        let number =
            cluster.dependents(of: set.object.uid).filter { $0.resource == .controllerRevisions }
            .compactMap { cluster.get($0)?.number("revision") }.max() ?? 0
        do {
            try cluster.create(
                .controllerRevisions,
                namespace: set.key.namespace,
                [
                    "metadata": [
                        "name": .string(name), "labels": set.object.at("spec", "selector", "matchLabels") ?? [:],
                        "ownerReferences": [set.object.ownerReference(.statefulSets)],
                    ], "data": ["spec": ["template": template ?? [:]]], "revision": JSON(number + 1),
                ]
            )
        } catch {
            set.event("Warning", "FailedCreate", "\(error)", &cluster)
        }
        return name
    }

    private static func setStatus(
        _ set: Workload,
        _ pods: [JSON],
        _ current: String,
        _ update: String,
        _ wanted: Int,
        _ cluster: inout Cluster
    ) {
        func count(_ revision: String) -> Int {
            pods.filter { !$0.isBeingDeleted && $0.at("metadata", "labels", hashLabel)?.string == revision }.count
        }
        let ready = pods.filter { $0.isReady && $0.text("status", "phase") == "Running" }.count
        let updated = count(update)
        let isDone = updated == wanted && ready == wanted && pods.count == wanted
        set.setStatus(
            .members([
                "observedGeneration": JSON(set.object.generation), "replicas": JSON(pods.count),
                "readyReplicas": Workload.count(ready), "availableReplicas": JSON(ready),
                "currentReplicas": Workload.count(isDone ? updated : count(current)),
                "updatedReplicas": Workload.count(updated),
                "currentRevision": .string(isDone ? update : current), "updateRevision": .string(update),
                "collisionCount": 0,
            ]),
            &cluster
        )
    }
}
