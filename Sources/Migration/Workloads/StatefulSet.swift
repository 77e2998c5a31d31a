import Kubernetes

extension Workload {
    /// Reads a StatefulSet: its pods mount what the template names, and one claim of each claim template, which is
    /// named after template, set and ordinal.
    init(statefulSet set: WorkloadObject) {
        let replicas = set.spec.replicas ?? 1
        // A mark is text that anybody may have written: no set has that many pods.
        let scale = min(max(replicas, set.metadata.annotation(Marks.scale).flatMap { Int($0) } ?? 0), 10_000)
        var names = Set(set.spec.template?.spec.claimNames(ofPod: nil) ?? [])
        let start = set.spec.ordinals?.start ?? 0
        for template in set.spec.volumeClaimTemplates ?? [] {
            for ordinal in start..<(start + scale) {
                names.insert("\(template.metadata.name ?? "")-\(set.metadata.name)-\(ordinal)")
            }
        }
        self.init(
            resource: .statefulSets,
            metadata: set.metadata,
            brake: .replicas,
            replicas: replicas,
            claimNames: names,
            deletesClaims: set.spec.persistentVolumeClaimRetentionPolicy?.whenScaled == "Delete",
            templateClasses: Dictionary(
                (set.spec.volumeClaimTemplates ?? []).map { ($0.metadata.name ?? "", $0.spec?.storageClassName ?? "") },
                uniquingKeysWith: { $1 }
            ),
            template: set.spec.template?.spec,
            isReady: set.isObserved && (set.status?.readyReplicas ?? 0) >= replicas
        )
    }
}
