import Kubernetes

extension Workload {
    /// Reads a StatefulSet. Its pods mount the claims of the template and one claim of each claim template; `naming`
    /// finds the latter.
    init(statefulSet set: WorkloadObject) {
        let replicas = set.spec.replicas ?? 1
        // The API has these as int32, and anybody may have written the mark.
        let numbers = 0...Int(Int32.max)
        let scale = max(replicas, set.metadata.annotation(Marks.scale).flatMap { Int($0) } ?? 0).clamped(to: numbers)
        let start = (set.spec.ordinals?.start ?? 0).clamped(to: numbers)
        self.init(
            resource: .statefulSets,
            metadata: set.metadata,
            brake: .replicas,
            replicas: replicas,
            claimNames: Set(set.spec.template?.spec.claimNames(ofPod: nil) ?? []),
            deletesClaims: set.spec.persistentVolumeClaimRetentionPolicy?.whenScaled == "Delete",
            templateClasses: Dictionary(
                (set.spec.volumeClaimTemplates ?? []).map { ($0.metadata.name ?? "", $0.spec?.storageClassName ?? "") },
                uniquingKeysWith: { $1 }
            ),
            ordinals: start..<(start + scale),
            template: set.spec.template?.spec,
            isReady: set.isObserved && (set.status?.readyReplicas ?? 0) >= replicas
        )
    }
}

extension [Workload] {
    /// Gives each StatefulSet the claims that its claim templates made. Such a claim is named after template, set and
    /// ordinal.
    ///
    /// The names of existing claims are taken apart. The possible names could be too many to enumerate, because anybody
    /// may write large numbers.
    func naming(_ claims: some Sequence<ObjectName>) -> [Workload] {
        var workloads = self
        let sets = Dictionary(
            grouping: indices.filter { !workloads[$0].templateClasses.isEmpty },
            by: { workloads[$0].name }
        )
        guard !sets.isEmpty else { return self }
        // No name in the API is longer.
        for claim in claims where claim.name.utf8.count <= 253 {
            guard let end = claim.name.lastIndex(of: "-"), let ordinal = Int32(claim.name[end...].dropFirst()),
                claim.name[end...] == "-\(ordinal)"
            else { continue }
            let stem = claim.name[..<end]
            for hyphen in stem.indices where stem[hyphen] == "-" {
                let set = ObjectName(String(stem[stem.index(after: hyphen)...]), in: claim.namespace)
                for index in sets[set] ?? []
                where workloads[index].ordinals.contains(Int(ordinal))
                    && workloads[index].templateClasses[String(stem[..<hyphen])] != nil
                {
                    workloads[index].claimNames.insert(claim.name)
                }
            }
        }
        return workloads
    }
}

extension Int {
    fileprivate func clamped(to range: ClosedRange<Int>) -> Int {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }
}
