import Kubernetes

/// A trial of two pods that copy nothing over the network, for all claims of a namespace that are copied so.
struct NetworkTrial: Sendable {
    var namespace: String
    var clientName: ObjectName
    var server: SourceServer
    private var placement: Placement
    private var nodes: String

    init(_ state: ClaimState, _ route: Route, _ options: Options) {
        let run = String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16)
        namespace = state.name.namespace ?? ""
        clientName = ObjectName(Marks.trialClientName(run: run), in: namespace)
        // Any node will do that can mount the destination volume.
        let node = route.to?.min()
        placement = node.map { Placement(node: $0, onlyThere: true) } ?? route.mover
        nodes = "\(route.from?.min() ?? "?") to \(node ?? "?")"
        server = SourceServer(
            name: ObjectName(Marks.trialServerName(run: run), in: namespace),
            image: options.rsyncImage,
            annotations: [Marks.kind: .string(Marks.Kind.preflight)],
            volume: ["emptyDir": [:]],
            placement: route.source ?? Placement(),
            deadline: 3600,
            template: options.moverTemplate
        )
    }

    /// Returns the manifest of the copying pod.
    func client(of address: String) -> JSON {
        var annotations = MoverPod.annotations
        annotations[Marks.kind] = .string(Marks.Kind.preflight)
        let flags = RsyncFlags().served(at: address) ?? RsyncFlags()
        let container = MoverPod.container(
            Trial.container,
            image: server.image,
            flags.checkingCommand,
            flags.volumes([SourceServer.keys, "dest"], readOnly: [SourceServer.keys]),
            isRoot: true
        )
        var spec: JSON = [
            "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
            "securityContext": MoverPod.podSecurityContext, "terminationGracePeriodSeconds": 1,
            "containers": [container], "volumes": [server.moverKeys, ["name": "dest", "emptyDir": [:]]],
        ]
        spec["affinity"] = placement.affinity
        if !placement.tolerations.isEmpty { spec["tolerations"] = .array(placement.tolerations) }
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": .string(clientName.name), "namespace": .string(namespace),
                "annotations": .object(annotations), "labels": MoverPod.labels,
            ],
            "spec": spec,
        ]
        return server.template?.applied(to: pod) ?? pod
    }

    func passed(in duration: Duration) -> String {
        "a trial in \(namespace) from node \(nodes) passed (\(duration.inWords))"
    }

    func failed(_ reason: String) -> Obstacle {
        Obstacle(
            namespace: namespace,
            resource: "copy over the network",
            message: "a trial from node \(nodes) failed: \(reason)"
        )
    }
}
