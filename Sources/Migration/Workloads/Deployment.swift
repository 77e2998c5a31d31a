public import Kubernetes

extension Workload {
    /// Reads a Deployment: its pods mount what the template names.
    public init(_ deployment: Deployment) {
        let replicas = deployment.spec.replicas ?? 1
        self.init(
            kind: .deployment,
            metadata: deployment.metadata,
            replicas: replicas,
            claimNames: Set(deployment.spec.template.spec.claimNames(ofPod: nil)),
            isReady: deployment.status?.observedGeneration == deployment.metadata.generation
                && (deployment.status?.availableReplicas ?? 0) >= replicas
        )
    }
}
