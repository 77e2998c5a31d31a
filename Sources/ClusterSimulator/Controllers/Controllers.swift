import Kubernetes

/// The controllers' and kubelets' part of the cluster's state.
public struct ControllerState: Sendable {
    var behaviour = Behaviour()
    /// Bindings of claims that are under way.
    var bindings: [ObjectKey: Binding] = [:]
    /// Claims whose storage is being made, and volumes whose storage is being freed, by uid.
    var storageInWork: Set<String> = []
    /// Pods that found no node.
    var unscheduled: Set<ObjectKey> = []
    /// The pods on the nodes, by uid.
    var pods: [String: PodOnNode] = [:]
    /// Nodes whose kubelet does not answer.
    var lostNodes: Set<String> = []
    /// When a claim's last pod on a node has left.
    var claimsLeft: [ClaimOnNode: Duration] = [:]
    /// When drivers will have attached volumes.
    var attachmentsDue: [ObjectKey: Duration] = [:]
    var model = ModelRuntime()
    /// The last number of an address of a pod.
    var addresses = 10

    init() {}
}

/// A claim as a node knows it by its pods.
struct ClaimOnNode: Hashable, Sendable {
    var claim: ObjectKey
    var node: String

    /// True where a pod of the node names the claim, whether it runs or has ended.
    func isNamed(in cluster: Cluster) -> Bool {
        cluster.storedObjects(.pods, namespace: claim.namespace).contains {
            $0.json.text("spec", "nodeName") == node && $0.json.claimNames.contains(claim.name)
        }
    }
}

/// What runs the cluster: each controller looks at an object and writes the difference between what is and what should
/// be, through the same API as everybody.
enum Controllers {
    /// Called after every committed change, with nil for what did not exist before or does not any more.
    static func changed(_ old: JSON?, _ new: JSON?, _ key: ObjectKey, _ cluster: inout Cluster) {
        GarbageCollector.changed(old, new, key, &cluster)
        switch key.resource {
        case .pods: podChanged(old, new, key, &cluster)
        case .persistentVolumeClaims:
            PersistentVolumeController.claimChanged(old, new, key, &cluster)
            if let claim = new ?? old { Snapshotter.claimChanged(claim, &cluster) }
        case .volumeSnapshots: cluster.soon(.sync(.snapshot, key))
        case .persistentVolumes: PersistentVolumeController.volumeChanged(old, new, key, &cluster)
        case .deployments: cluster.soon(.sync(.deployment, key))
        case .replicaSets, .replicationControllers:
            cluster.soon(.sync(.replicaSet, key), 4...7)
            wakeOwner(of: new ?? old, key, &cluster)
        case .statefulSets: cluster.soon(.sync(.statefulSet, key))
        case .daemonSets: cluster.soon(.sync(.daemonSet, key))
        case .jobs:
            cluster.soon(.sync(.job, key))
            wakeOwner(of: new ?? old, key, &cluster)
        case .cronJobs: cluster.soon(.sync(.cronJob, key))
        case .podDisruptionBudgets: if new != nil { cluster.soon(.sync(.disruptionBudget, key)) }
        case .namespaces: if new?.isBeingDeleted == true { cluster.soon(.sync(.namespace, key), 5...20) }
        case .nodes:
            Scheduler.wake(&cluster)
            if old?["spec"] != new?["spec"] || old?["metadata"]?["labels"] != new?["metadata"]?["labels"] {
                for set in cluster.storedObjects(.daemonSets, namespace: nil) {
                    cluster.soon(.sync(.daemonSet, set.key))
                }
            }
        case .volumeAttachments: AttachDetachController.changed(new, &cluster)
        case .storageClasses: Scheduler.wake(&cluster)
        default: break
        }
    }

    /// Does work that has become due.
    static func perform(_ work: Work, _ cluster: inout Cluster) {
        switch work {
        case .sync(let controller, let key): sync(controller, key, &cluster)
        case .bind(let claim): Binding.proceed(claim, &cluster)
        case .provision(let claim, let uid): Provisioner.provision(claim, uid: uid, &cluster)
        case .deleteVolume(let volume, let uid): Provisioner.delete(volume, uid: uid, &cluster)
        case .reclaimed(let volume, let uid): Provisioner.reclaimed(volume, uid: uid, &cluster)
        case .takeSnapshot(let snapshot, let uid): Snapshotter.take(snapshot, uid: uid, &cluster)
        case .detach(let attachment, let uid): AttachDetachController.detach(attachment, uid: uid, &cluster)
        case .container(let id): ModelRuntime.step(id, &cluster)
        case .exec(let number): ModelRuntime.step(exec: number, &cluster)
        case .kill(let id): ModelRuntime.kill(id, &cluster)
        case .probe(let id): Kubelet.probe(id, &cluster)
        case .evict(let pod, let uid): NodeController.evict(pod, uid: uid, &cluster)
        }
    }

    private static func sync(_ controller: Controller, _ key: ObjectKey, _ cluster: inout Cluster) {
        switch controller {
        case .claim: PersistentVolumeController.syncClaim(key, &cluster)
        case .volume: PersistentVolumeController.syncVolume(key, &cluster)
        case .claimProtection: Protection.syncClaim(key, &cluster)
        case .volumeProtection: Protection.syncVolume(key, &cluster)
        case .provisioner: Provisioner.syncVolume(key, &cluster)
        case .garbage: GarbageCollector.sync(key, &cluster)
        case .namespace: NamespaceController.sync(key, &cluster)
        case .deployment: DeploymentController.sync(key, &cluster)
        case .replicaSet: ReplicaSetController.sync(key, &cluster)
        case .statefulSet: StatefulSetController.sync(key, &cluster)
        case .daemonSet: DaemonSetController.sync(key, &cluster)
        case .job: JobController.sync(key, &cluster)
        case .cronJob: CronJobController.sync(key, &cluster)
        case .disruptionBudget: DisruptionController.sync(key, &cluster)
        case .snapshot: Snapshotter.sync(key, &cluster)
        case .ephemeralVolume: EphemeralVolumeController.sync(key, &cluster)
        case .scheduler: Scheduler.sync(key, &cluster)
        case .attachment: AttachDetachController.sync(key, &cluster)
        case .kubelet: Kubelet.sync(key, &cluster)
        }
    }

    private static func podChanged(_ old: JSON?, _ new: JSON?, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard let pod = new ?? old else { return }
        if pod.at("spec", "nodeName") != nil {
            cluster.controllers.unscheduled.remove(key)
            cluster.soon(.sync(.kubelet, key), 8...14)
        } else if new == nil {
            cluster.controllers.unscheduled.remove(key)
        } else if old == nil {
            cluster.soon(.sync(.scheduler, key), 5...7)
        }
        if old == nil, pod.list("spec", "volumes").contains(where: { $0["ephemeral"] != nil }) {
            cluster.soon(.sync(.ephemeralVolume, key))
        }
        if new == nil {
            for claim in pod.claimNames {
                let claim = ObjectKey(.persistentVolumeClaims, key.namespace, claim)
                if cluster.get(claim)?.isBeingDeleted == true { cluster.soon(.sync(.claimProtection, claim)) }
                let left = ClaimOnNode(claim: claim, node: pod.text("spec", "nodeName"))
                if cluster.behaviour.nodeForbidsProbability > 0, !left.isNamed(in: cluster) {
                    cluster.controllers.claimsLeft[left] = cluster.now
                }
            }
        }
        if new == nil || new?.isOver == true, old?.isOver != true {
            cluster.soon(.sync(.attachment, key), 5...20)
            Scheduler.wake(&cluster)
        }
        if new != nil, pod.controllerReference == nil {
            wakeAdopters(pod, key, &cluster)
        } else {
            wakeOwner(of: pod, key, &cluster)
            if old?.controllerReference != new?.controllerReference { wakeOwner(of: old, key, &cluster) }
        }
        if old?.isReady != new?.isReady || new == nil {
            for budget in cluster.storedObjects(.podDisruptionBudgets, namespace: key.namespace) {
                cluster.soon(.sync(.disruptionBudget, budget.key))
            }
        }
    }

    /// Has the controller of an object's owner look at it.
    static func wakeOwner(of object: JSON?, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard let reference = object?.controllerReference, let kind = reference["kind"]?.string else { return }
        let controllers: [String: (Resource, Controller)] = [
            "ReplicaSet": (.replicaSets, .replicaSet),
            "ReplicationController": (.replicationControllers, .replicaSet),
            "StatefulSet": (.statefulSets, .statefulSet), "DaemonSet": (.daemonSets, .daemonSet),
            "Deployment": (.deployments, .deployment), "Job": (.jobs, .job), "CronJob": (.cronJobs, .cronJob),
        ]
        guard let (resource, controller) = controllers[kind] else { return }
        // The Job controller collects the changes of its pods for a second.
        let delay = controller == .job ? 1000...1050 : 1...4
        cluster.soon(.sync(controller, ObjectKey(resource, key.namespace, reference.text("name"))), delay)
    }

    /// A pod without a controller may be taken by one whose selector matches.
    private static func wakeAdopters(_ pod: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        let labels = pod.at("metadata", "labels")
        if labels == nil { return }
        let candidates: [(Resource, Controller)] = [
            (.replicaSets, .replicaSet), (.replicationControllers, .replicaSet), (.statefulSets, .statefulSet),
            (.daemonSets, .daemonSet), (.jobs, .job),
        ]
        for (resource, controller) in candidates {
            for object in cluster.storedObjects(resource, namespace: key.namespace)
            where Selector(of: object.json).matches(labels) {
                cluster.soon(.sync(controller, object.key))
            }
        }
    }
}

extension Cluster {
    /// How the parts behave that differ from cluster to cluster, and what is to go wrong.
    public var behaviour: Behaviour {
        get { controllers.behaviour }
        set { controllers.behaviour = newValue }
    }

    /// Has work done after some milliseconds, as many as the seed says.
    mutating func soon(_ work: Work, _ milliseconds: ClosedRange<Int> = 1...4) {
        let delay = Int.random(in: (milliseconds.lowerBound * 1000)...(milliseconds.upperBound * 1000), using: &random)
        enqueue(work, after: .microseconds(delay))
    }

    /// Writes as a controller does: somebody else's later write is no error, since that wakes the controller again.
    ///
    /// - Returns: the object as it is then, nil where it was refused.
    @discardableResult
    mutating func write(
        _ key: ObjectKey,
        subresource: String? = nil,
        expecting resourceVersion: String? = nil,
        _ change: (inout JSON) -> Void
    ) -> JSON? {
        do {
            return try update(key, subresource: subresource, expecting: resourceVersion) { change(&$0) }
        } catch {
            return nil
        }
    }

    /// Writes an object's status and nothing else.
    @discardableResult
    mutating func writeStatus(_ key: ObjectKey, _ status: JSON) -> JSON? {
        write(key, subresource: "status") { $0["status"] = status }
    }

    /// Deletes exactly this object; that it is gone already is no error.
    mutating func remove(_ key: ObjectKey, uid: String, gracePeriodSeconds: Int? = nil) {
        do {
            try delete(
                key,
                preconditions: Preconditions(uid: uid),
                propagation: .background,
                gracePeriodSeconds: gracePeriodSeconds
            )
        } catch {
            // Gone, or another one by now.
        }
    }
}
