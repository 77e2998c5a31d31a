import Kubernetes

extension Workload {
    /// Reads a Deployment, a ReplicaSet or a ReplicationController: its pods mount what the template names.
    init(replicated object: WorkloadObject, of resource: APIResource) {
        let replicas = object.spec.replicas ?? 1
        self.init(
            resource: resource,
            metadata: object.metadata,
            brake: .replicas,
            replicas: replicas,
            claimNames: Set(object.spec.template?.spec.claimNames(ofPod: nil) ?? []),
            template: object.spec.template?.spec,
            isReady: object.isObserved && (object.status?.availableReplicas ?? 0) >= replicas
        )
    }
}

extension WorkloadObject {
    /// True when its controller has seen it as it is (API conventions, "Typical status properties").
    var isObserved: Bool { status?.observedGeneration == metadata.generation }
}
