import Kubernetes

/// Keeps one pod of a DaemonSet on each node that its template admits.
enum DaemonSetController {
    private static let hashLabel = "controller-revision-hash"
    private static let generationLabel = "pod-template-generation"

    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let set = Workload(key, component: "daemonset-controller", cluster) else { return }
        let pods = set.ownedPods(&cluster)
        let template = set.object.at("spec", "template")
        let hash = Workload.hash(template)
        let nodes = cluster.list(.nodes).filter { node in
            Scheduler.admits(template?["spec"], node)
                && Scheduler.untolerated(node, tolerations(template)) == nil
        }.map(\.name)
        if !set.object.isBeingDeleted {
            for pod in pods where !pod.isBeingDeleted {
                let node = target(of: pod)
                if pod.isOver || !nodes.contains(node) { delete(set, pod, &cluster) }
            }
            replaceOne(set, pods, hash, &cluster)
            for node in nodes where !pods.contains(where: { target(of: $0) == node }) {
                create(set, node, template, hash, &cluster)
            }
        }
        let here = pods.filter { !$0.isBeingDeleted && nodes.contains(target(of: $0)) }
        let ready = here.filter(\.isReady).count
        let updated = here.filter { $0.at("metadata", "labels", hashLabel)?.string == hash }.count
        set.setStatus(
            .members([
                "currentNumberScheduled": JSON(here.count), "numberMisscheduled": 0,
                "desiredNumberScheduled": JSON(nodes.count), "numberReady": JSON(ready),
                "observedGeneration": JSON(set.object.generation), "updatedNumberScheduled": Workload.count(updated),
                "numberAvailable": Workload.count(ready), "numberUnavailable": Workload.count(nodes.count - ready),
            ]),
            &cluster
        )
    }

    /// The node that a pod is for, whether the scheduler has seen it or not.
    private static func target(of pod: JSON) -> String {
        if let node = pod.at("spec", "nodeName")?.string { return node }
        let terms = pod.list(
            "spec",
            "affinity",
            "nodeAffinity",
            "requiredDuringSchedulingIgnoredDuringExecution",
            "nodeSelectorTerms"
        )
        return terms.first?.list("matchFields").first?.list("values").first?.string ?? ""
    }

    private static func tolerations(_ template: JSON?) -> [JSON] {
        let own = ["not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"]
        return (template?.list("spec", "tolerations") ?? [])
            + own.map { name in
                let effect: JSON = name == "not-ready" || name == "unreachable" ? "NoExecute" : "NoSchedule"
                return ["key": .string("node.kubernetes.io/" + name), "operator": "Exists", "effect": effect]
            }
    }

    private static func create(
        _ set: Workload,
        _ node: String,
        _ template: JSON?,
        _ hash: String,
        _ cluster: inout Cluster
    ) {
        var pod = set.pod(template)
        pod.put(.string(hash), "metadata", "labels", hashLabel)
        pod.put(
            set.object.annotations?["deprecated.daemonset.template.generation"] ?? "1",
            "metadata",
            "labels",
            generationLabel
        )
        pod.put(
            [
                "nodeSelectorTerms": [
                    ["matchFields": [["key": "metadata.name", "operator": "In", "values": [.string(node)]]]]
                ]
            ],
            "spec",
            "affinity",
            "nodeAffinity",
            "requiredDuringSchedulingIgnoredDuringExecution"
        )
        pod.put(.array(tolerations(template)), "spec", "tolerations")
        guard let created = set.create(pod, .sync(.daemonSet, set.key), &cluster) else { return }
        set.event("SuccessfulCreate", "Created pod: \(created.name)", &cluster)
    }

    private static func delete(_ set: Workload, _ pod: JSON, _ cluster: inout Cluster) {
        set.delete(pod, &cluster)
        set.event("SuccessfulDelete", "Deleted pod: \(pod.name)", &cluster)
    }

    /// With `RollingUpdate` one pod of an old template goes at a time.
    private static func replaceOne(_ set: Workload, _ pods: [JSON], _ hash: String, _ cluster: inout Cluster) {
        guard set.object.text("spec", "updateStrategy", "type") != "OnDelete",
            !pods.contains(where: { $0.isBeingDeleted || !$0.isReady }),
            let old = pods.first(where: { $0.at("metadata", "labels", hashLabel)?.string != hash })
        else { return }
        delete(set, old, &cluster)
    }
}
