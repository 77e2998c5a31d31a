import Kubernetes

extension Workload {
    /// Reads a DaemonSet. It has no number of pods, and its node selector stops it.
    init(daemonSet set: WorkloadObject) {
        let spec = set.spec.template?.spec
        var template = spec
        template?.nodeSelector?[Marks.nowhere] = nil
        self.init(
            resource: .daemonSets,
            metadata: set.metadata,
            brake: .nodeSelector,
            replicas: spec?.nodeSelector?[Marks.nowhere] == nil ? 1 : 0,
            claimNames: Set(spec?.claimNames(ofPod: nil) ?? []),
            template: template,
            isReady: set.isObserved
                && (set.status?.numberAvailable ?? 0) >= (set.status?.desiredNumberScheduled ?? 0)
        )
    }
}
