import Kubernetes

/// Keeps the number of pods of a ReplicaSet or ReplicationController.
enum ReplicaSetController {
    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        let component = key.resource == .replicaSets ? "replicaset-controller" : "replication-controller"
        guard let set = Workload(key, component: component, cluster) else { return }
        let pods = set.ownedPods(&cluster).filter { !$0.isBeingDeleted && !$0.isOver }
        if !set.object.isBeingDeleted {
            let missing = set.replicas - pods.count
            for _ in 0..<max(0, missing) {
                guard
                    let pod = set.create(set.pod(set.object.at("spec", "template")), .sync(.replicaSet, key), &cluster)
                else { break }
                set.event("SuccessfulCreate", "Created pod: \(pod.name)", &cluster)
            }
            // Those that are not ready go first, then the youngest.
            let order = pods.sorted {
                ($0.isReady ? 1 : 0, $1.text("metadata", "creationTimestamp"), $0.name)
                    < ($1.isReady ? 1 : 0, $0.text("metadata", "creationTimestamp"), $1.name)
            }
            for pod in order.prefix(max(0, -missing)) {
                set.delete(pod, &cluster)
                set.event("SuccessfulDelete", "Deleted pod: \(pod.name)", &cluster)
            }
        }
        let ready = pods.filter(\.isReady).count
        let labels = Selector(set.object.at("spec", "template", "metadata", "labels"))
        let labeled = pods.filter { labels.matches($0.at("metadata", "labels")) }.count
        set.setStatus(
            .members([
                "replicas": JSON(pods.count), "fullyLabeledReplicas": Workload.count(labeled),
                "readyReplicas": Workload.count(ready), "availableReplicas": Workload.count(ready),
                "observedGeneration": JSON(set.object.generation),
                "conditions": set.object.at("status", "conditions"),
            ]),
            &cluster
        )
    }
}
