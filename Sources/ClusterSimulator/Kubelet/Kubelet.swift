import Kubernetes

/// Runs the pods of the nodes: sets them up, starts and stops their containers, writes what becomes of them.
enum Kubelet {
    /// The shortest time that a container gets to end (the kubelet's `minimumGracePeriodInSeconds`).
    static let leastGrace = 2

    static func address(ofNode name: String) -> String {
        "10.200.0." + String(10 + (Int(name.split(separator: "-").last ?? "") ?? 200))
    }

    /// Looks at a pod and does what is due.
    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        let pod = cluster.get(key)
        for uid in cluster.controllers.pods.keys.sorted() {
            guard let state = cluster.controllers.pods[uid], state.key == key, uid != pod?.uid else { continue }
            abandon(uid, &cluster)
        }
        guard let pod, let node = pod.at("spec", "nodeName")?.string, !cluster.controllers.lostNodes.contains(node)
        else {
            return
        }
        if cluster.controllers.pods[pod.uid] == nil {
            if pod.isBeingDeleted { return finishDeletion(pod, key, &cluster) }
            if pod.isOver { return }
            accept(pod, key, node, &cluster)
        }
        if pod.isBeingDeleted { terminate(pod, grace: pod.number("metadata", "deletionGracePeriodSeconds"), &cluster) }
        checkDeadline(pod, key, &cluster)
        if setUp(pod, &cluster) { runContainers(pod, &cluster) }
        finish(pod, key, &cluster)
        comeBack(pod, key, &cluster)
    }

    /// Has the pod looked at again when the next thing is due.
    private static func comeBack(_ pod: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[pod.uid] else { return }
        var dues = state.containers.values.map(\.due) + [state.statusDue, state.deletionDue]
        if !state.isSetUp { dues += [state.setUpDue, state.retryDue] }
        if !state.sandboxGone { dues.append(state.sandboxStopDue) }
        if !state.isTerminating, let limit = pod.at("spec", "activeDeadlineSeconds")?.integer {
            dues.append(state.acceptedAt + .seconds(limit))
        }
        let next = dues.compactMap { $0 }.filter { $0 > cluster.now }.min()
        if let next { cluster.enqueue(.sync(.kubelet, key), after: next - cluster.now) }
    }

    /// Tries the pods again that wait for volumes.
    static func wakeWaiting(_ cluster: inout Cluster) {
        for state in cluster.controllers.pods.values.filter({ !$0.isSetUp }).sorted(by: { $0.uid < $1.uid }) {
            cluster.soon(.sync(.kubelet, state.key), 100...300)
        }
    }

    private static func accept(_ pod: JSON, _ key: ObjectKey, _ node: String, _ cluster: inout Cluster) {
        let delay = Duration.milliseconds(Int.random(in: 350...450, using: &cluster.random))
        var state = PodOnNode(
            key: key,
            uid: pod.uid,
            node: node,
            started: cluster.timestamp,
            acceptedAt: cluster.now,
            setUpDue: cluster.now + delay
        )
        let initContainers = pod.list("spec", "initContainers")
        for container in initContainers + pod.list("spec", "containers") {
            state.containers[container.name_] = ContainerOnNode()
            if !initContainers.isEmpty {
                state.containers[container.name_]?.state = .waiting(reason: "PodInitializing", message: nil)
            }
        }
        cluster.controllers.pods[pod.uid] = state
        cluster.soon(.sync(.attachment, key), 5...20)
        writeStatus(pod, &cluster)
    }

    // MARK: Volumes

    /// Waits for the pod's volumes.
    ///
    /// - Returns: whether containers can run.
    private static func setUp(_ pod: JSON, _ cluster: inout Cluster) -> Bool {
        guard var state = cluster.controllers.pods[pod.uid] else { return false }
        if state.isSetUp { return true }
        if state.isTerminating { return false }
        guard cluster.now >= state.setUpDue, cluster.now >= state.forbiddenUntil ?? .zero else { return false }
        if state.forbiddenUntil == nil, let message = forbidden(pod, state, &cluster) {
            failedMount(pod, state, message, &cluster)
            let until = cluster.now + .milliseconds(Int.random(in: 12_000...15_000, using: &cluster.random))
            cluster.controllers.pods[pod.uid]?.forbiddenUntil = until
            cluster.controllers.pods[pod.uid]?.retryDue = until
            return false
        }
        if let problem = KubeletVolumes.problem(pod, node: state.node, cluster) {
            if problem.message != state.complained, let message = problem.message {
                failedMount(pod, state, message, &cluster)
                cluster.controllers.pods[pod.uid]?.complained = message
            }
            cluster.controllers.pods[pod.uid]?.retryDue = problem.retries ? cluster.now + .seconds(2) : nil
            return false
        }
        state.isSetUp = true
        cluster.controllers.addresses += 1
        let number = cluster.controllers.addresses
        let node = state.node.split(separator: "-").last ?? "0"
        // Real processes share the machine's network: each pod has a loopback address of its own.
        state.address =
            cluster.behaviour.loopback.map { "\($0).\(number / 250 % 250).\(number % 250 + 1)" }
            ?? "10.244.\(node).\(number % 250)"
        cluster.controllers.pods[pod.uid] = state
        return true
    }

    private static func failedMount(_ pod: JSON, _ state: PodOnNode, _ message: String, _ cluster: inout Cluster) {
        cluster.recordEvent(
            about: pod,
            type: "Warning",
            reason: "FailedMount",
            message: message,
            component: "kubelet",
            host: state.node
        )
    }

    /// What the node authorizer says where it has taken the claim of a pod for one that its node has nothing to do with,
    /// since the claim's last pod there left when this one came.
    private static func forbidden(_ pod: JSON, _ state: PodOnNode, _ cluster: inout Cluster) -> String? {
        for volume in pod.list("spec", "volumes") {
            guard let name = volume.at("persistentVolumeClaim", "claimName")?.string else { continue }
            let claim = ObjectKey(.persistentVolumeClaims, pod.namespace, name)
            guard let left = cluster.controllers.claimsLeft[ClaimOnNode(claim: claim, node: state.node)],
                state.acceptedAt - left < .milliseconds(200),
                Double.random(in: 0..<1, using: &cluster.random) < cluster.behaviour.nodeForbidsProbability
            else { continue }
            return "Unable to attach or mount volumes: unmounted volumes=[\(volume.name_)], unattached volumes=[], "
                + "failed to process volumes=[\(volume.name_)]: error processing PVC \(pod.namespace)/\(name): failed to "
                + "fetch PVC from API server: persistentvolumeclaims \"\(name)\" is forbidden: User "
                + "\"system:node:\(state.node)\" cannot get resource \"persistentvolumeclaims\" in API group \"\" in the "
                + "namespace \"\(pod.namespace)\": no relationship found between node '\(state.node)' and this object"
        }
        return nil
    }

    // MARK: The end

    private static func checkDeadline(_ pod: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard let limit = pod.at("spec", "activeDeadlineSeconds")?.integer,
            let state = cluster.controllers.pods[pod.uid],
            !state.isTerminating, !state.sandboxGone,
            cluster.now >= state.acceptedAt + .seconds(limit)
        else { return }
        let message = "Pod was active on the node longer than the specified deadline"
        cluster.controllers.pods[pod.uid]?.failure = ("DeadlineExceeded", message)
        cluster.recordEvent(
            about: pod,
            type: "Normal",
            reason: "DeadlineExceeded",
            message: message,
            component: "kubelet",
            host: state.node
        )
        terminate(pod, grace: pod.number("spec", "terminationGracePeriodSeconds"), &cluster)
    }

    /// Asks every container to end, once.
    private static func terminate(_ pod: JSON, grace: Int, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[pod.uid], !state.isTerminating else { return }
        cluster.controllers.pods[pod.uid]?.isTerminating = true
        for (name, container) in state.containers.sorted(by: { $0.key < $1.key }) where container.isRunning {
            event(pod, name, state, "Normal", "Killing", "Stopping container \(name)", &cluster)
            stop(state.id(name), grace: max(leastGrace, grace), &cluster)
        }
    }

    static func stop(_ id: ContainerID, grace: Int, _ cluster: inout Cluster) {
        if cluster.behaviour.modelsContainers {
            ModelRuntime.stop(id, grace: .seconds(grace), &cluster)
        } else {
            cluster.runtimeCommands.append(.stop(id, grace: .seconds(grace)))
        }
    }

    /// Once no container runs or will run, the pod's phase becomes final, and the object of a deleted pod goes.
    private static func finish(_ pod: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard var state = cluster.controllers.pods[pod.uid] else { return }
        if isDone(pod, state) {
            if !state.isTerminating {
                // What outlives the pod's own containers is only there for them.
                for container in pod.list("spec", "initContainers")
                where state.containers[container.name_]?.isRunning == true {
                    return stop(state.id(container.name_), grace: leastGrace, &cluster)
                }
            }
            if !state.sandboxGone, state.sandboxStopDue == nil {
                let pause = state.isTerminating ? 50...110 : 1200...1500
                let delay = Duration.milliseconds(Int.random(in: pause, using: &cluster.random))
                state.sandboxStopDue = cluster.now + delay
                if state.isTerminating { state.statusDue = nil }
            } else if !state.sandboxGone, let due = state.sandboxStopDue, cluster.now >= due {
                state.sandboxGone = true
                state.statusDue = cluster.now
            }
        }
        cluster.controllers.pods[pod.uid] = state
        if let due = state.statusDue, cluster.now >= due,
            !(state.isTerminating && isDone(pod, state) && !state.sandboxGone)
        {
            cluster.controllers.pods[pod.uid]?.statusDue = nil
            writeStatus(pod, &cluster)
        }
        guard state.sandboxGone, pod.isBeingDeleted else { return }
        if let due = state.deletionDue {
            if cluster.now >= due { finishDeletion(pod, key, &cluster) }
        } else {
            let delay = Duration.milliseconds(Int.random(in: 180...300, using: &cluster.random))
            cluster.controllers.pods[pod.uid]?.deletionDue = cluster.now + delay
        }
    }

    /// Whether no container runs, or will.
    private static func isDone(_ pod: JSON, _ state: PodOnNode) -> Bool {
        let isIdle = { (container: JSON) -> Bool in
            guard let known = state.containers[container.name_] else { return true }
            switch known.state {
            case .starting, .running: return false
            case .waiting: return state.isTerminating
            case .terminated: return state.isTerminating || known.due == nil
            }
        }
        let initContainers = pod.list("spec", "initContainers")
        if state.isTerminating { return (initContainers + pod.list("spec", "containers")).allSatisfy(isIdle) }
        // An init container that failed for good is the end as well.
        let failed = initContainers.contains { container in
            guard let known = state.containers[container.name_], known.due == nil else { return false }
            return known.termination.map { $0.code != 0 } ?? false
        }
        return failed || pod.list("spec", "containers").allSatisfy(isIdle)
    }

    private static func finishDeletion(_ pod: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        cluster.remove(key, uid: pod.uid, gracePeriodSeconds: 0)
    }

    /// The pod's object is gone: what still runs is stopped, and all is forgotten.
    static func abandon(_ uid: String, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[uid] else { return }
        var busy = false
        for (name, container) in state.containers.sorted(by: { $0.key < $1.key }) {
            switch container.state {
            case .running, .starting:
                busy = true
                if !state.isTerminating { stop(state.id(name), grace: leastGrace, &cluster) }
            default: break
            }
        }
        cluster.controllers.pods[uid]?.isTerminating = true
        if busy { return }
        cluster.controllers.pods[uid] = nil
        cluster.controllers.model.forget(pod: uid)
        if !cluster.behaviour.modelsContainers { cluster.runtimeCommands.append(.remove(pod: uid)) }
    }

    /// All containers of a node end unseen.
    static func stop(node: String, _ cluster: inout Cluster) {
        for (uid, state) in cluster.controllers.pods.sorted(by: { $0.key < $1.key }) where state.node == node {
            for name in state.containers.keys.sorted() where state.containers[name]?.isRunning == true {
                if cluster.behaviour.modelsContainers {
                    cluster.controllers.model.end(state.id(name))
                } else {
                    cluster.runtimeCommands.append(.stop(state.id(name), grace: .zero))
                }
            }
            cluster.controllers.pods[uid] = nil
        }
    }

    /// Has the status written after some milliseconds, unless it is to be written before.
    static func statusSoon(_ uid: String, _ milliseconds: ClosedRange<Int>, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[uid] else { return }
        let due = cluster.now + .milliseconds(Int.random(in: milliseconds, using: &cluster.random))
        if let waiting = state.statusDue, waiting <= due { return }
        cluster.controllers.pods[uid]?.statusDue = due
        cluster.enqueue(.sync(.kubelet, state.key), after: due - cluster.now)
    }
}
