import Kubernetes

extension Workload {
    /// Reads a Deployment, a ReplicaSet or a ReplicationController. Its pods mount the claims of the template.
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
    /// True when the controller has observed the latest change (API conventions, "Typical status properties").
    var isObserved: Bool { status?.observedGeneration == metadata.generation }
}
