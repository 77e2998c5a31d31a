import Kubernetes

extension Kubelet {
    /// Writes a pod's status as it is now, where it differs.
    static func writeStatus(_ pod: JSON, _ cluster: inout Cluster) {
        guard let state = cluster.controllers.pods[pod.uid], let pod = cluster.get(state.key) else { return }
        var status = pod["status"] ?? [:]
        let containers = pod.list("spec", "containers")
        let initContainers = pod.list("spec", "initContainers")
        status["phase"] = .string(phase(pod, state))
        let conditions = conditions(pod, state, cluster.timestamp)
        let known = conditions.map { $0.text("type") }
        let others = pod.list("status", "conditions").filter { !known.contains($0.text("type")) }
        status["conditions"] = .array(conditions + others)
        let host = JSON.string(address(ofNode: state.node))
        status["hostIP"] = host
        status["hostIPs"] = [["ip": host]]
        if let address = state.address {
            status["podIP"] = .string(address)
            status["podIPs"] = [["ip": .string(address)]]
        }
        status["startTime"] = .string(state.started)
        if !initContainers.isEmpty {
            status["initContainerStatuses"] = .array(initContainers.map { containerStatus($0, state) })
        }
        status["containerStatuses"] = .array(containers.map { containerStatus($0, state) })
        if let failure = state.failure {
            status["reason"] = .string(failure.reason)
            status["message"] = .string(failure.message)
        }
        if status != pod["status"] { cluster.writeStatus(state.key, status) }
    }

    private static func phase(_ pod: JSON, _ state: PodOnNode) -> String {
        let containers = pod.list("spec", "containers").compactMap { state.containers[$0.name_] }
        if state.sandboxGone {
            let all = containers + pod.list("spec", "initContainers").compactMap { state.containers[$0.name_] }
            let failed = state.failure != nil || all.contains { ($0.termination?.code ?? 1) != 0 }
            return failed ? "Failed" : "Succeeded"
        }
        if containers.contains(where: { $0.isRunning || $0.due != nil && $0.wasCreated }) { return "Running" }
        return pod.text("status", "phase")
    }

    private static func conditions(_ pod: JSON, _ state: PodOnNode, _ now: String) -> [JSON] {
        let names = pod.list("spec", "containers").map(\.name_)
        let containers = names.compactMap { state.containers[$0] }
        let incomplete = pod.list("spec", "initContainers").filter { container in
            let known = state.containers[container.name_]
            return container.text("restartPolicy") == "Always"
                ? known?.isRunning != true && !state.sandboxGone : known?.termination?.code != 0
        }.map(\.name_)
        let unready = names.filter { state.containers[$0]?.ready != true }
        var readiness: (reason: String, message: String?)?
        let isOver = containers.allSatisfy { $0.termination != nil && $0.due == nil } || state.sandboxGone
        let succeeded = isOver && containers.allSatisfy { $0.termination?.code == 0 } && state.failure == nil
        if isOver {
            readiness = (succeeded ? "PodCompleted" : "PodFailed", nil)
        } else if !unready.isEmpty {
            readiness = ("ContainersNotReady", "containers with unready status: [\(unready.joined(separator: " "))]")
        }
        var initialization: (reason: String, message: String?)?
        if !incomplete.isEmpty {
            initialization = (
                "ContainersNotInitialized", "containers with incomplete status: [\(incomplete.joined(separator: " "))]"
            )
        } else if succeeded {
            initialization = ("PodCompleted", nil)
        }
        let values: [(String, Bool, (reason: String, message: String?)?)] = [
            ("PodReadyToStartContainers", state.isSetUp && !state.sandboxGone, nil),
            ("Initialized", incomplete.isEmpty, initialization), ("Ready", readiness == nil, readiness),
            ("ContainersReady", readiness == nil, readiness), ("PodScheduled", true, nil),
        ]
        return values.map { type, isTrue, why in
            let value = isTrue ? "True" : "False"
            let old = pod.condition(type)
            let since = old?.text("status") == value ? old?["lastTransitionTime"] : nil
            return .members([
                "type": .string(type), "status": .string(value), "lastProbeTime": .null,
                "lastTransitionTime": since ?? .string(now), "reason": why.map { .string($0.reason) },
                "message": why?.message.map(JSON.string),
            ])
        }
    }

    private static func containerStatus(_ container: JSON, _ state: PodOnNode) -> JSON {
        let known = state.containers[container.name_] ?? ContainerOnNode()
        let image = container.text("image")
        let id = "containerd://" + digest(state.uid + container.name_ + String(known.restarts))
        var status: JSON = [
            "name": .string(container.name_), "lastState": [:], "ready": .bool(known.ready),
            "restartCount": JSON(known.restarts), "image": .string(known.wasCreated ? wholeName(image) : image),
            "imageID": .string(known.wasCreated ? "sha256:" + digest(image) : ""), "started": .bool(known.isRunning),
        ]
        switch known.state {
        case .waiting(let reason, let message):
            status["state"] = ["waiting": .members(["reason": .string(reason), "message": message.map(JSON.string)])]
        case .starting: status["state"] = ["waiting": ["reason": "ContainerCreating"]]
        case .running(let since): status["state"] = ["running": ["startedAt": .string(since)]]
        case .terminated(let termination): status["state"] = ["terminated": describe(termination, id)]
        }
        if known.wasCreated { status["containerID"] = .string(id) }
        if let last = known.last { status["lastState"] = ["terminated": describe(last, id)] }
        let mounts = container.list("volumeMounts").map { mount in
            .members([
                "name": mount["name"], "mountPath": mount["mountPath"],
                "readOnly": mount["readOnly"] == true ? true : nil,
                "recursiveReadOnly": mount["readOnly"] == true ? "Disabled" : nil,
            ]) as JSON
        }
        if !mounts.isEmpty { status["volumeMounts"] = .array(mounts) }
        return status
    }

    private static func describe(_ termination: ContainerOnNode.Termination, _ id: String) -> JSON {
        .members([
            "exitCode": JSON(termination.code), "reason": .string(termination.reason),
            "message": termination.message.map(JSON.string), "startedAt": .string(termination.startedAt),
            "finishedAt": .string(termination.finishedAt), "containerID": .string(id),
        ])
    }

    /// An image's name with registry and tag, as the runtime knows it.
    static func wholeName(_ image: String) -> String {
        let tagged = image.split(separator: "/").last?.contains(":") == true ? image : image + ":latest"
        guard let first = tagged.split(separator: "/").first, tagged.contains("/") else {
            return "docker.io/library/" + tagged
        }
        return first.contains(".") || first.contains(":") ? tagged : "docker.io/" + tagged
    }

    /// 64 hexadecimal digits that are always the same for the same text.
    static func digest(_ text: String) -> String {
        var generator = SeededGenerator(
            seed: text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        )
        return (0..<4).map { _ in
            let digits = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
