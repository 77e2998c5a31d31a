/// One thing that a controller has to do at a moment; the same work waits only once.
enum Work: Hashable, Sendable {
    /// A controller looks at an object and does what is missing.
    case sync(Controller, ObjectKey)
    /// The binder's worker makes the next write of a binding that it has begun.
    case bind(claim: ObjectKey)
    /// A provisioner has made a volume's storage.
    case provision(claim: ObjectKey, uid: String)
    /// The storage of a volume that is reclaimed has been freed.
    case reclaimed(volume: ObjectKey, uid: String)
    /// The object of a volume whose storage is free goes.
    case deleteVolume(ObjectKey, uid: String)
    /// A driver has taken a snapshot.
    case takeSnapshot(ObjectKey, uid: String)
    /// A volume that no pod of a node needs any more is detached from it.
    case detach(ObjectKey, uid: String)
    /// A container of the model goes on.
    case container(ContainerID)
    /// A command beside a container of the model goes on.
    case exec(Int)
    /// The grace of a container of the model is over.
    case kill(ContainerID)
    /// A container's readiness is looked at.
    case probe(ContainerID)
    /// A pod has been on an unreachable node for as long as it tolerates.
    case evict(pod: ObjectKey, uid: String)
}

/// The controllers that look at one object at a time.
enum Controller: Hashable, Sendable {
    case claim, volume, claimProtection, volumeProtection, provisioner
    case garbage, namespace
    case deployment, replicaSet, statefulSet, daemonSet, job, cronJob, disruptionBudget
    case ephemeralVolume, scheduler, attachment, snapshot
    case kubelet
}
