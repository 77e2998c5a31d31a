import Kubernetes

/// A temporary claim that represents all claims of a namespace with the same needs, and the pod that mounts it.
struct Trial: Sendable {
    static let container = "trial"

    var namespace: String
    var claimName: ObjectName
    var podName: ObjectName
    var claim: JSON
    /// The created claim. Its UID proves that a claim of this name is ours.
    var made: PersistentVolumeClaim?
    var image: String
    /// The pod's content, with the person's own flags for rsync, so that a bad flag is found before the workloads are
    /// stopped.
    var content: any MoverContent
    var template: MoverTemplate?
    /// The user of the pod where it may not be root.
    var owner: DataOwner?
    var accessModes: [AccessMode]
    /// The names of the claims that it represents.
    var claims: [String]
    var storageClass: String

    private struct Need: Hashable {
        var namespace: String
        var storageClass: String
        var accessModes: [AccessMode]
        var isBlock: Bool
    }

    /// Returns one trial for each distinct need of some claims. Claims with an unknown access mode are left out; the
    /// check of names reports them.
    ///
    /// Each trial is as small as the smallest claim of its need, because the storage may refuse smaller volumes.
    static func all(for states: [ClaimState], options: Options) throws -> [Trial] {
        let run = String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16)
        let valid = states.filter { NameCheck.refusals(of: $0).isEmpty }
        var needs: [Need: [ClaimState]] = [:]
        for state in valid {
            let need = Need(
                namespace: state.name.namespace ?? "",
                storageClass: state.transfer.storageClass ?? "",
                accessModes: try state.accessModes().sorted { $0.rawValue < $1.rawValue },
                isBlock: state.isBlock
            )
            needs[need, default: []].append(state)
        }
        let sorted = needs.sorted {
            let (left, right) = ($0.key, $1.key)
            return (left.namespace, left.storageClass, "\(left.accessModes.map(\.rawValue))", left.isBlock ? 1 : 0)
                < (right.namespace, right.storageClass, "\(right.accessModes.map(\.rawValue))", right.isBlock ? 1 : 0)
        }
        return try sorted.enumerated().compactMap { index, entry in
            let (need, states) = entry
            guard let smallest = states.min(by: { $0.size?.bytes ?? 0 < $1.size?.bytes ?? 0 }) else { return nil }
            let claimName = ObjectName(Marks.trialClaimName(run: run, index: index), in: need.namespace)
            var claim = try Stage.stagingManifest(of: smallest)
            claim[path: ["metadata", "name"]] = .string(claimName.name)
            claim[path: ["metadata", "annotations"]] = .object([Marks.kind: .string(Marks.Kind.preflight)])
            return Trial(
                namespace: need.namespace,
                claimName: claimName,
                podName: ObjectName(Marks.trialPodName(run: run, index: index), in: need.namespace),
                claim: claim,
                image: options.rsyncImage,
                content: smallest.content(options),
                template: options.moverTemplate,
                owner: smallest.owner,
                accessModes: need.accessModes,
                claims: states.map(\.name.name).sorted(),
                storageClass: need.storageClass
            )
        }
    }

    /// Returns the same trial for an image without a shell, where the missing shell is why it failed.
    func withoutShell(after reason: String) -> Trial? {
        guard let reduced = content.reduced(after: 128, output: reason), reduced.loss == .shell else { return nil }
        var trial = self
        trial.content = reduced.content
        return trial
    }

    func pod(as owner: DataOwner?) -> JSON {
        var annotations = MoverPod.annotations
        annotations[Marks.kind] = .string(Marks.Kind.preflight)
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": .string(podName.name), "namespace": .string(namespace),
                "annotations": .object(annotations), "labels": MoverPod.labels,
            ],
            "spec": [
                "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
                "terminationGracePeriodSeconds": 1,
                "securityContext": owner?.podContext ?? MoverPod.podSecurityContext,
                "containers": [
                    MoverPod.container(
                        Self.container,
                        image: image,
                        content.tryingCommand,
                        content.volumes(["dest"], readOnly: []),
                        isRoot: owner == nil
                    )
                ],
                "volumes": [["name": "dest", "persistentVolumeClaim": ["claimName": .string(claimName.name)]]],
            ],
        ]
        return template?.applied(to: pod) ?? pod
    }

    private var title: String {
        let kind = content is DeviceScript ? "Block, " : ""
        let others = claims.count > 1 ? " and \(claims.count - 1) more" : ""
        let modes = accessModes.map(\.rawValue).joined(separator: ", ")
        return "a trial of \(kind)\(modes), for \(claims.first ?? "?")\(others),"
    }

    func passed(in duration: Duration) -> String { "\(title) passed in \(namespace) (\(duration.inWords))" }

    func failed(_ reason: String) -> Obstacle {
        Obstacle(
            namespace: namespace,
            resource: "StorageClass \(storageClass)",
            message: "\(title) failed: \(reason)"
        )
    }
}
