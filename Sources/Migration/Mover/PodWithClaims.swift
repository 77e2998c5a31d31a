import Kubernetes

/// A pod that mounts claims of a unit, or one that a workload would make.
struct PodWithClaims: Sendable, Equatable {
    /// The name of the pod in messages, or of its workload where there is no pod.
    var title: String
    /// The pod's spec. Its node is only one that its owner demands, not the scheduler's choice.
    var spec: PodSpec
    /// True where it has a node now, and so must find one again.
    var runs: Bool
    /// The claims that it mounts, without its own ones, which would be deleted with it.
    var claims: [ObjectName]
    /// The volumes of the claims that are not migrated.
    var others: [ObjectName: PersistentVolume]
}

extension Unit {
    /// Finds the pods that mount the unit's claims; for a workload without pods, its template.
    mutating func namePods(in inventory: Inventory) {
        let names = Set(claims.map(\.name))
        pods = inventory.users.compactMap { pod in
            guard !pod.isFinished, !pod.metadata.isTerminating else { return nil }
            let found = self.pod(pod.title, pod.spec, runs: pod.spec.nodeName != nil, pod.metadata.namespace, inventory)
            return names.isDisjoint(with: found.claims) ? nil : found
        }
        let used = Set(pods.flatMap(\.claims))
        for workload in workloads where used.isDisjoint(with: workload.mountedClaims) {
            guard let template = workload.template else { continue }
            for claims in workload.claimsOfPods {
                var pod = pod(workload.title, template, runs: false, workload.name.namespace, inventory)
                pod.claims = claims.map { ObjectName($0, in: workload.name.namespace) }
                pod.others = volumes(of: pod.claims, in: inventory)
                if !names.isDisjoint(with: pod.claims) { pods.append(pod) }
            }
        }
    }

    private func pod(
        _ title: String,
        _ spec: PodSpec,
        runs: Bool,
        _ namespace: String?,
        _ inventory: Inventory
    ) -> PodWithClaims {
        var spec = spec
        let claims = spec.claimNames(ofPod: nil)
        // The pod's own spec does not tell who chose the node.
        let maker = workloads.first { $0.template?.nodeName != nil && !$0.claimNames.isDisjoint(with: claims) }
        spec.nodeName = maker?.resource == .pods ? nil : maker?.template?.nodeName
        let names = claims.map { ObjectName($0, in: namespace) }
        return PodWithClaims(
            title: title,
            spec: spec,
            runs: runs,
            claims: names,
            others: volumes(of: names, in: inventory)
        )
    }

    private func volumes(of names: [ObjectName], in inventory: Inventory) -> [ObjectName: PersistentVolume] {
        let own = Set(claims.map(\.name))
        var volumes: [ObjectName: PersistentVolume] = [:]
        for name in names where !own.contains(name) {
            volumes[name] = inventory.claims[name]?.spec.volumeName.flatMap { inventory.volumes[$0] }
        }
        return volumes
    }
}

extension Workload {
    /// The claims of each pod that the workload would make. The pods of a StatefulSet have claims of their own, whose
    /// names end with the pod's number.
    fileprivate var claimsOfPods: [[String]] {
        let shared = template?.claimNames(ofPod: nil) ?? []
        guard resource == .statefulSets else { return [shared] }
        let own = Dictionary(grouping: claimNames.subtracting(shared)) { $0.split(separator: "-").last ?? "" }
        return own.isEmpty ? [shared] : own.values.map { shared + $0.sorted() }.sorted { "\($0)" < "\($1)" }
    }
}
