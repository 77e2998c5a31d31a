import Kubernetes

extension Unit {
    /// Finds for each claim a pod that mounts it; where none is left, since an earlier run or a person has stopped its
    /// workload, what that makes its pods from.
    mutating func nameConsumers(in inventory: Inventory) {
        for index in claims.indices {
            let name = claims[index].name
            let pods = inventory.users.filter {
                $0.metadata.namespace == name.namespace && $0.claimNames.contains(name.name)
            }
            let pod = pods.first { $0.spec.nodeName != nil && !$0.isFinished } ?? pods.first { !$0.isFinished }
            claims[index].transfer.consumer =
                pod?.spec ?? workloads.first { $0.claimNames.contains(name.name) }?.template ?? pods.first?.spec
        }
    }
}
