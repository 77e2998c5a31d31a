import FoundationEssentials
import Kubernetes

extension Kubelet {
    /// Starts what is to run now: init containers one after the other, then the others together.
    static func runContainers(_ pod: JSON, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[pod.uid], !state.isTerminating else { return }
        for container in pod.list("spec", "initContainers") {
            start(container, pod, &cluster)
            guard let now = cluster.controllers.pods[pod.uid]?.containers[container.name_] else { return }
            let isSidecar = container.text("restartPolicy") == "Always"
            if isSidecar ? now.isRunning : now.termination?.code == 0 { continue }
            return
        }
        for container in pod.list("spec", "containers") { start(container, pod, &cluster) }
    }

    static func start(_ container: JSON, _ pod: JSON, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[pod.uid], var known = state.containers[container.name_] else {
            return
        }
        switch known.state {
        case .starting, .running: return
        case .terminated:
            guard let due = known.due, cluster.now >= due else { return }
        case .waiting:
            if let due = known.due, cluster.now < due { return }
        }
        guard pull(container, pod, state, &known, &cluster) else {
            cluster.controllers.pods[pod.uid]?.containers[container.name_] = known
            return
        }
        if known.wasCreated {
            known.restarts += 1
            cluster.restartLog(pod: pod.uid, container: container.name_)
        }
        if let termination = known.termination { known.last = termination }
        known.wasCreated = true
        known.due = nil
        known.state = .starting
        cluster.controllers.pods[pod.uid]?.containers[container.name_] = known
        event(pod, container.name_, state, "Normal", "Created", "Created container: \(container.name_)", &cluster)
        let id = ContainerID(pod: pod.uid, container: container.name_, restarts: known.restarts)
        var run = KubeletVolumes.run(container, pod, id, node: state.node, cluster)
        KubeletVolumes.addServiceAccount(to: &run, container, pod, &cluster)
        if cluster.behaviour.missingPrograms.contains(run.command[0]) {
            cluster.report(.failedToStart(run.id, message: missingProgramMessage(run.command[0])))
        } else if cluster.behaviour.modelsContainers {
            ModelRuntime.start(run, &cluster)
        } else {
            cluster.runtimeCommands.append(.start(run))
        }
    }

    /// Gets the image.
    ///
    /// - Returns: whether it is there.
    static func pull(
        _ container: JSON,
        _ pod: JSON,
        _ state: PodOnNode,
        _ known: inout ContainerOnNode,
        _ cluster: inout Cluster
    ) -> Bool {
        let image = container.text("image")
        let name = container.name_
        func tell(_ type: String, _ reason: String, _ message: String) {
            event(pod, name, state, type, reason, message, &cluster)
        }
        if cluster.behaviour.images.contains(image) {
            if container.text("imagePullPolicy") == "Always" {
                tell("Normal", "Pulling", "Pulling image \"\(image)\"")
                tell(
                    "Normal",
                    "Pulled",
                    "Successfully pulled image \"\(image)\" in 312ms (312ms including waiting). Image size: 2157028 bytes."
                )
            } else {
                tell("Normal", "Pulled", "Container image \"\(image)\" already present on machine")
            }
            return true
        }
        known.attempts += 1
        let why =
            "failed to pull and unpack image \"\(image)\": failed to resolve reference \"\(image)\": "
            + refusal(ofRegistryFor: image, node: state.node)
        switch known.attempts % 3 {
        case 1:
            tell("Normal", "Pulling", "Pulling image \"\(image)\"")
            known.due = cluster.now + .seconds(10)
        case 2:
            tell("Warning", "Failed", "Failed to pull image \"\(image)\": \(why)")
            tell("Warning", "Failed", "Error: ErrImagePull")
            known.state = .waiting(reason: "ErrImagePull", message: why)
            known.due = cluster.now + .seconds(1)
        default:
            tell("Normal", "BackOff", "Back-off pulling image \"\(image)\"")
            tell("Warning", "Failed", "Error: ImagePullBackOff")
            known.state = .waiting(
                reason: "ImagePullBackOff",
                message: "Back-off pulling image \"\(image)\": ErrImagePull: \(why)"
            )
            known.due = cluster.now + .seconds(min(300, 10 << min(5, known.attempts / 3)))
        }
        // The kubelet writes the second state late.
        let pauses = [0: 10_000...14_000, 2: 900...980]
        if let pause = pauses[known.attempts % 3] { statusSoon(pod.uid, pause, &cluster) }
        return false
    }

    /// What the container runtime says of a registry: nobody resolves its name, or it does not have the image.
    static func refusal(ofRegistryFor image: String, node: String) -> String {
        let parts = image.split(separator: "/").map(String.init)
        guard parts.count > 1, let host = parts.first, host.contains(".") else {
            return "\(wholeName(image)): not found"
        }
        let path = parts.dropFirst().joined(separator: "/").split(separator: ":").map(String.init)
        let url = "https://\(host)/v2/\(path.first ?? "")/manifests/\(path.count > 1 ? path[1] : "latest")"
        return "failed to do request: Head \"\(url)\": dial tcp: lookup \(host) on 10.255.255.53:53: "
            + "read udp \(address(ofNode: node)):33328->10.255.255.53:53: i/o timeout"
    }

    static func event(
        _ pod: JSON,
        _ container: String,
        _ state: PodOnNode,
        _ type: String,
        _ reason: String,
        _ message: String,
        _ cluster: inout Cluster
    ) {
        cluster.recordEvent(
            about: pod,
            type: type,
            reason: reason,
            message: message,
            component: "kubelet",
            host: state.node,
            fieldPath: "spec.containers{\(container)}"
        )
    }

    // MARK: Reports of the runtime

    static func started(_ id: ContainerID, _ cluster: inout Cluster) {
        guard let (pod, state, key) = current(id, cluster), case .starting = state.containers[id.container]?.state
        else {
            return
        }
        let now = cluster.timestamp
        cluster.controllers.pods[id.pod]?.containers[id.container]?.state = .running(since: now)
        event(pod, id.container, state, "Normal", "Started", "Started container \(id.container)", &cluster)
        let probe = container(id.container, of: pod)?["readinessProbe"]
        if let probe {
            cluster.enqueue(.probe(id), after: .seconds(max(1, probe.number("initialDelaySeconds"))))
        } else {
            cluster.controllers.pods[id.pod]?.containers[id.container]?.ready = true
        }
        statusSoon(id.pod, 300...420, &cluster)
        // A sidecar that runs lets the next init container start.
        cluster.soon(.sync(.kubelet, key), 2...5)
        if state.isTerminating { stop(id, grace: leastGrace, &cluster) }
    }

    static func failedToStart(_ id: ContainerID, _ message: String, _ cluster: inout Cluster) {
        guard let (pod, state, _) = current(id, cluster) else { return }
        event(pod, id.container, state, "Warning", "Failed", "Error: " + message, &cluster)
        ended(
            id,
            .init(
                code: 128,
                reason: "StartError",
                message: message,
                startedAt: "1970-01-01T00:00:00Z",
                finishedAt: cluster.timestamp
            ),
            &cluster
        )
    }

    static func exited(_ id: ContainerID, code: Int, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[id.pod] else { return }
        var since = cluster.timestamp
        if case .running(let moment) = state.containers[id.container]?.state { since = moment }
        ended(
            id,
            .init(
                code: code,
                reason: code == 0 ? "Completed" : "Error",
                message: nil,
                startedAt: since,
                finishedAt: cluster.timestamp
            ),
            &cluster
        )
    }

    static func ended(_ id: ContainerID, _ termination: ContainerOnNode.Termination, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[id.pod], var known = state.containers[id.container],
            known.restarts == id.restarts
        else { return }
        known.state = .terminated(termination)
        known.ready = false
        guard let pod = cluster.object(uid: id.pod)?.json else {
            cluster.controllers.pods[id.pod]?.containers[id.container] = known
            return abandon(id.pod, &cluster)
        }
        cluster.logEnded(pod: id.pod, container: id.container)
        let own = container(id.container, of: pod)?.text("restartPolicy") ?? ""
        let policy = own.isEmpty ? pod.text("spec", "restartPolicy") : own
        let isInit = pod.list("spec", "initContainers").contains { $0.name_ == id.container }
        let again =
            policy == "OnFailure" || (isInit && own.isEmpty && policy == "Always")
            ? termination.code != 0 : policy == "Always"
        if again, !state.isTerminating {
            let delay = known.restarts == 0 ? 1 : min(300, 10 << min(5, known.restarts - 1))
            known.due = cluster.now + .seconds(delay)
            if delay > 1 {
                let whole = "\(pod.name)_\(pod.namespace)(\(pod.uid))"
                known.last = termination
                known.state = .waiting(
                    reason: "CrashLoopBackOff",
                    message: "back-off \(delay)s restarting failed container=\(id.container) pod=\(whole)"
                )
                event(
                    pod,
                    id.container,
                    state,
                    "Warning",
                    "BackOff",
                    "Back-off restarting failed container \(id.container) in pod \(whole)",
                    &cluster
                )
            }
        }
        cluster.controllers.pods[id.pod]?.containers[id.container] = known
        statusSoon(id.pod, 100...400, &cluster)
        cluster.soon(.sync(.kubelet, state.key), 2...5)
    }

    static func current(_ id: ContainerID, _ cluster: Cluster) -> (JSON, PodOnNode, ObjectKey)? {
        guard let (key, pod) = cluster.object(uid: id.pod), let state = cluster.controllers.pods[id.pod],
            state.containers[id.container]?.restarts == id.restarts
        else { return nil }
        return (pod, state, key)
    }

    static func container(_ name: String, of pod: JSON) -> JSON? {
        (pod.list("spec", "containers") + pod.list("spec", "initContainers")).first { $0.name_ == name }
    }

    // MARK: Readiness

    static func probe(_ id: ContainerID, _ cluster: inout Cluster) {
        guard let (pod, state, _) = current(id, cluster), state.containers[id.container]?.isRunning == true,
            let probe = container(id.container, of: pod)?["readinessProbe"]
        else { return }
        let command = probe.list("exec", "command").compactMap(\.string)
        if let port = probe.at("tcpSocket", "port")?.integer, !cluster.behaviour.modelsContainers {
            cluster.runtimeCommands.append(.connect(id, address: state.address ?? "", port: Int(port)))
        } else if command.isEmpty {
            probed(id, true, &cluster)
        } else if cluster.behaviour.modelsContainers {
            probed(id, ModelRuntime.probe(id, command, &cluster), &cluster)
        } else {
            let timeout = Duration.seconds(max(1, probe.number("timeoutSeconds")))
            cluster.runtimeCommands.append(.probe(id, command: command, timeout: timeout))
        }
        let period = probe.number("periodSeconds")
        cluster.enqueue(.probe(id), after: .seconds(period == 0 ? 10 : period))
    }

    static func probed(_ id: ContainerID, _ succeeded: Bool, _ cluster: inout Cluster) {
        guard let (pod, state, _) = current(id, cluster), let known = state.containers[id.container], known.isRunning
        else {
            return
        }
        if !succeeded {
            event(pod, id.container, state, "Warning", "Unhealthy", "Readiness probe failed: ", &cluster)
        }
        if known.ready == succeeded { return }
        cluster.controllers.pods[id.pod]?.containers[id.container]?.ready = succeeded
        statusSoon(id.pod, 10...100, &cluster)
    }
}

extension JSON {
    /// `name` of a container or volume.
    var name_: String { self["name"]?.string ?? "" }
}

extension Cluster {
    /// Takes in what a runtime saw.
    mutating func report(_ report: RuntimeReport) {
        switch report {
        case .started(let id): Kubelet.started(id, &self)
        case .failedToStart(let id, let message): Kubelet.failedToStart(id, message, &self)
        case .log(let id, let text):
            if keysByUID[id.pod] != nil { appendLog(pod: id.pod, container: id.container, .init(text.utf8)) }
        case .exited(let id, let code): Kubelet.exited(id, code: code, &self)
        case .probed(let id, let succeeded): Kubelet.probed(id, succeeded, &self)
        }
    }
}
