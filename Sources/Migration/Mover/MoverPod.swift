import Kubernetes

/// The pod that copies from source to staging claim.
///
/// An init container copies, and the container after it checks that nothing is left to transfer. So for files the image
/// needs only rsync, and no shell.
struct MoverPod {
    /// The task of one mover.
    enum Task: Equatable {
        /// Copies, and checks that nothing is left to transfer, unless no check is wanted.
        case copy
        /// Copies the present content while the workload writes.
        case pass
        /// Only compares.
        case compare
        /// Only starts, with the image and the destination. It does not mount the source, which is in use: where
        /// SELinux is enforced, the mount could take it from its pods.
        case nothing
        /// Stands beside the workload and performs commands (`StandingMover`).
        case stand
        /// Keeps the claims mounted beside the workload, where it can't be told commands, after a pass, if there is to be one.
        case hold(passes: Bool)
        /// Stands with the claim alone, for a copy to or from this computer. With `looks` it only reads.
        case tree(LocalTree.Direction, looks: Bool)
    }

    static let copyContainer = "copy"
    static let checkContainer = "check"
    static let holdContainer = "hold"
    /// The names of the claims' volumes and of the keys of a copy over the network. Each is mounted at the path of its
    /// name.
    static let volumes: Set<String> = ["source", "dest", SourceServer.keys, "work"]

    var name: ObjectName
    var sourceClaim: String
    var sourceUID: String
    /// The stand-in that it reads instead of the source claim.
    var standIn: StandIn?
    var stagingClaim: String
    var image: String
    var content: any MoverContent
    /// The server of the source volume, where no node can mount both volumes.
    var server: SourceServer?
    var task = Task.copy
    var placement: Placement
    /// The time in seconds after which the kubelet ends it, even where no run watches it any more.
    var deadline: Int
    /// The user as which it runs where it is not root.
    var owner: DataOwner?
    /// The person's own part of the manifest.
    var template: MoverTemplate?

    /// The annotations that keep autoscalers from evicting the pod, which would begin again while its workload stands
    /// still, and that keep the sidecar injectors of the usual meshes away. A sidecar would keep the pod running for
    /// ever.
    static let annotations: [String: JSON] = [
        "karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled",
        "kuma.io/sidecar-injection": "disabled", "consul.hashicorp.com/connect-inject": "false",
    ]
    static let labels: JSON = [
        Marks.mover.label: .string(Marks.mover.value), "sidecar.istio.io/inject": "false",
        "kuma.io/sidecar-injection": "disabled",
    ]
    /// The capabilities of root that a copy needs: to give files away, to read and change others' files with their
    /// set-user-ID bits and file capabilities, and to make devices. The baseline Pod Security standard allows them.
    static let capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"]

    /// Returns the security context of a container of ours that is root, as rsync must be for others' files.
    static func securityContext(_ capabilities: [String] = capabilities) -> JSON {
        var context = DataOwner.containerContext
        context[path: ["capabilities", "add"]] = .array(capabilities.map(JSON.string))
        return context
    }
    /// The security context of the pod, whatever user the image names.
    static let podSecurityContext: JSON = ["runAsUser": 0]

    var manifest: JSON {
        var annotations = Self.annotations
        annotations[Marks.claim] = .string(sourceClaim)
        annotations[Marks.kind] = .string(Marks.Kind.mover)
        annotations[Marks.sourceUID] = .string(sourceUID)
        var spec: JSON = [
            "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
            "securityContext": owner?.podContext ?? Self.podSecurityContext,
            "terminationGracePeriodSeconds": 1, "activeDeadlineSeconds": .integer(Int64(deadline)),
            "containers": [lastContainer],
            "volumes": .array(volumes.map(volume)),
        ]
        if task == .copy, checks { spec["initContainers"] = [copying(content.copyingCommand)] }
        if task == .hold(passes: true) { spec["initContainers"] = [copying(passCommand)] }
        let selector = placement.nodeSelector
        if !selector.isEmpty { spec["nodeSelector"] = .object(selector.mapValues(JSON.string)) }
        if let affinity = placement.affinity { spec["affinity"] = affinity }
        if !placement.tolerations.isEmpty { spec["tolerations"] = .array(placement.tolerations) }
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": .string(name.name), "namespace": name.namespace.map(JSON.string) ?? .null,
                "annotations": .object(annotations),
                "labels": Self.labels,
            ],
            "spec": spec,
        ]
        return template?.applied(to: pod) ?? pod
    }

    /// The names of its volumes. That of the words and ends of commands is `work`.
    private var volumes: [String] {
        let source = server == nil ? "source" : SourceServer.keys
        return switch task {
        case .copy, .pass, .compare, .hold: [source, "dest"]
        case .nothing: ["dest"]
        case .stand: [source, "dest", "work"]
        case .tree(let direction, _): [TreeFlags.mount(direction), "work"]
        }
    }

    private func volume(_ name: String) -> JSON {
        if name == "work" { return ["name": "work", "emptyDir": [:]] }
        if name == SourceServer.keys, let server { return server.moverKeys }
        var claim = name == "dest" ? stagingClaim : standIn?.claim.metadata.name ?? sourceClaim
        if case .tree = task { claim = sourceClaim }
        return ["name": .string(name), "persistentVolumeClaim": ["claimName": .string(claim)]]
    }

    private var lastContainer: JSON {
        switch task {
        case .pass: copying(passCommand)
        case .copy where !checks: copying(content.copyingCommand)
        case .copy: container(Self.checkContainer, content.checkingCommand, readOnly: Self.volumes)
        case .compare: container(Self.checkContainer, content.comparingCommand, readOnly: Self.volumes)
        case .nothing: container(Self.checkContainer, content.tryingCommand, readOnly: [])
        case .stand: copying(CopyScript.standing)
        case .tree(let direction, let looks):
            container(
                Self.copyContainer,
                CopyScript.standing,
                readOnly: direction == .download || looks ? [TreeFlags.mount(direction)] : []
            )
        case .hold:
            container(
                Self.holdContainer,
                ["sleep", "\(StandingMover.idle.components.seconds)"],
                readOnly: Self.volumes
            )
        }
    }

    private var passCommand: [String] { content.passCommand(since: standIn?.since) ?? content.copyingCommand }

    /// True where it makes a pass.
    var makesPass: Bool { task == .pass || task == .hold(passes: true) }
    /// True where it checks, after a copy or without one.
    var checks: Bool { task == .compare || task == .copy && content.isToBeChecked }
    /// The name of the container that runs first.
    var nameOfFirstContainer: String {
        switch task {
        case .copy, .pass, .stand, .tree, .hold(passes: true): Self.copyContainer
        case .hold(passes: false): Self.holdContainer
        case .compare, .nothing: Self.checkContainer
        }
    }

    /// The words for its work on a node.
    func inWords(on started: Pod) -> String {
        let what =
            switch task {
            case .copy: "copying"
            case .pass: "copying while it is in use"
            case .compare: "comparing"
            case .nothing, .stand, .tree, .hold: "running"
            }
        return what + " on node \(started.spec.nodeName ?? "?")" + (owner.map { " as \($0.inWords)" } ?? "")
    }

    private func copying(_ command: [String]) -> JSON {
        container(Self.copyContainer, command, readOnly: ["source", SourceServer.keys])
    }

    private func container(_ name: String, _ command: [String], readOnly: Set<String>) -> JSON {
        Self.container(
            name,
            image: image,
            command,
            content.volumes(volumes, readOnly: readOnly),
            isRoot: owner == nil
        )
    }

    /// Returns a container of ours, of a mover or of a trial.
    static func container(
        _ name: String,
        image: String,
        _ command: [String],
        _ volumes: [String: JSON],
        isRoot: Bool
    ) -> JSON {
        let container: [String: JSON] = [
            "name": .string(name), "image": .string(image), "imagePullPolicy": "IfNotPresent",
            "command": .array(command.prefix(1).map(JSON.string)),
            "args": .array(command.dropFirst().map(JSON.string)),
            "securityContext": isRoot ? securityContext() : DataOwner.containerContext,
        ]
        return .object(container.merging(volumes) { $1 })
    }
}

/// The flags of rsync.
struct RsyncFlags: Equatable, Sendable {
    /// False where the image has only rsync.
    var hasShell = true
    /// False where the file systems cannot hold them, as for the next flag.
    var accessControlLists = true
    var extendedAttributes = true
    /// False where its user cannot give files away.
    var isRoot = true
    var verbose = false
    /// The number of copiers that fill an empty destination side by side; nil for eight.
    var streams: Int?
    /// The bytes per second that it may copy.
    var bandwidthLimit: Int64?
    var verification = Options.Verification.quick
    /// True where the copy repeats one whose check found different contents.
    var comparesContents = false
    /// The place of the source's files: a mount, or the pod that serves them.
    var source = "/source/"
    /// The person's own flags.
    var further: [String] = []

    private var common: [String] {
        let archive = "-aHS" + (accessControlLists ? "A" : "") + (extendedAttributes ? "X" : "")
        var flags = [archive, "--numeric-ids", "--delete"]
        // ext4 keeps a lost+found of its own in each volume, and the destination's stays.
        flags.append("--filter=P /lost+found")
        // An SELinux label belongs to the volume's mount, and a container may not set it.
        if extendedAttributes { flags.append("--filter=-x security.selinux") }
        if source.contains("::") { flags.append("--rsh=ssh -F /\(SourceServer.keys)/ssh_config") }
        return flags
    }

    var copying: [String] {
        // Times are compared whole, not in seconds. Where a file system stores them coarser, files are copied again.
        common + ["--modify-window=-1", "--stats"] + (comparesContents ? ["--checksum"] : [])
            + (verbose ? ["-v", "--progress"] : [])
            // The unit is the kibibyte, and zero would be no limit.
            + (bandwidthLimit.map { ["--bwlimit=\(max(1, $0 >> 10))"] } ?? []) + further + [
                source, "/dest",
            ]
    }

    /// The flags of a check. Its first and last output proves that the check was made, that nothing silenced it, and
    /// that its log is whole (`RsyncDifferences`). The format is that of `--itemize-changes`. Both come after the
    /// person's own flags, which could hide every difference or print much besides.
    var checking: [String] {
        common + further + (verification == .checksum ? ["--checksum"] : [])
            // Without this flag rsync does not look at owners that it could not set.
            + (isRoot ? [] : ["--super"])
            + ["--dry-run", "--itemize-changes", "--out-format=%i %n%L", "--info=none,flist1,stats2", source, "/dest"]
    }
}
