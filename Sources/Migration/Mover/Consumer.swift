import Kubernetes

extension Unit {
    /// Finds for each claim a pod that mounts it. Where an earlier run or a person stopped its workload, the workload's
    /// pod template is the consumer.
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
