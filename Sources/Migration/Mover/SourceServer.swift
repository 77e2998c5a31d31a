import FoundationEssentials
import Kubernetes

/// The pod that serves a source volume to a mover on another node. It runs sshd with keys for one copy; behind it is
/// only an rsync daemon that reads the volume.
struct SourceServer {
    static let container = "serve"
    /// The name and path of the volume in which the server and the mover find their halves of the Secret.
    static let keys = "pvmigrate"
    static let port: JSON = 2222
    static let portName = "ssh"
    /// The path of sshd in every image. sshd insists on an absolute path.
    private static let program = "/usr/sbin/sshd"

    var name: ObjectName
    /// The name of the Secret.
    var secret: String
    var image: String
    var annotations: [String: JSON]
    /// The served volume as in a pod's manifest, without its name.
    var volume: JSON
    var placement: Placement
    var deadline: Int
    /// The person's own part of the manifest.
    var template: MoverTemplate?

    init(
        name: ObjectName,
        image: String,
        annotations: [String: JSON],
        volume: JSON,
        placement: Placement,
        deadline: Int,
        template: MoverTemplate?
    ) {
        self.name = name
        self.image = image
        self.annotations = annotations
        self.volume = volume
        self.placement = placement
        self.deadline = deadline
        self.template = template
        secret = Marks.newSecretName(of: name.name)
    }

    // MARK: The pod

    var manifest: JSON {
        var source = volume
        source["name"] = "source"
        var spec: JSON = [
            "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
            "securityContext": MoverPod.podSecurityContext,
            "terminationGracePeriodSeconds": 1, "activeDeadlineSeconds": .integer(Int64(deadline)),
            "containers": [
                [
                    "name": .string(Self.container), "image": .string(image), "imagePullPolicy": "IfNotPresent",
                    "command": [.string(Self.program)],
                    // sshd listens only on the pod's own address.
                    "args": [
                        "-D", "-e", "-f", .string("/\(Self.keys)/sshd_config"), "-o", "ListenAddress=$(POD_IP)",
                    ],
                    "env": [["name": "POD_IP", "valueFrom": ["fieldRef": ["fieldPath": "status.podIP"]]]],
                    "ports": [["name": .string(Self.portName), "containerPort": Self.port, "protocol": "TCP"]],
                    "readinessProbe": [
                        "tcpSocket": ["port": Self.port], "periodSeconds": 1, "failureThreshold": 60,
                    ],
                    "volumeMounts": [
                        ["name": "source", "mountPath": "/source", "readOnly": true],
                        ["name": .string(Self.keys), "mountPath": .string("/\(Self.keys)"), "readOnly": true],
                        // Many images lock root's password, and sshd refuses locked accounts.
                        [
                            "name": .string(Self.keys), "mountPath": "/etc/shadow", "subPath": "shadow",
                            "readOnly": true,
                        ],
                    ],
                    "securityContext": MoverPod.securityContext(Self.capabilities),
                ]
            ],
            "volumes": [
                source, Self.keys(of: secret, ["sshd_config", "host", "authorized_keys", "rsyncd.conf", "shadow"]),
            ],
        ]
        if let affinity = placement.affinity { spec["affinity"] = affinity }
        if !placement.nodeSelector.isEmpty {
            spec["nodeSelector"] = .object(placement.nodeSelector.mapValues(JSON.string))
        }
        if !placement.tolerations.isEmpty { spec["tolerations"] = .array(placement.tolerations) }
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": .string(name.name), "namespace": name.namespace.map(JSON.string) ?? .null,
                "annotations": .object(annotations.merging(MoverPod.annotations) { $1 }),
                "labels": MoverPod.labels,
            ],
            "spec": spec,
        ]
        return template?.applied(to: pod) ?? pod
    }

    /// The capabilities that rsync's daemon needs to read others' files, that it and sshd need to confine themselves,
    /// and that some sshd need to write their audit log, without which they exit. The baseline Pod Security standard
    /// allows them.
    private static let capabilities = ["AUDIT_WRITE", "DAC_OVERRIDE", "SETGID", "SETUID", "SYS_CHROOT"]

    /// Returns files of the Secret as a pod's volume. Only root may read them, as ssh demands of private keys.
    private static func keys(of secret: String, _ files: [String]) -> JSON {
        [
            "name": .string(keys),
            "secret": [
                "secretName": .string(secret), "defaultMode": 0o400,
                "items": .array(files.map { ["key": .string($0), "path": .string($0)] }),
            ],
        ]
    }

    /// The mover's half of the Secret as a pod's volume.
    var moverKeys: JSON { Self.keys(of: secret, ["ssh_config", "id", "known_hosts"]) }

    // MARK: The Secret

    /// Returns the Secret with new keys. It belongs to the pod, so it is always deleted with it.
    func secretManifest(owner: Pod) throws -> JSON {
        let (host, mover) = (try SSHKey(), try SSHKey())
        // A pass over a volume that is written to needs it flushed (`CopyScript.Mode.pass`).
        let command =
            "{ sync -f /source || sync; } >/dev/null 2>&1; exec rsync --server --daemon --config=/\(Self.keys)/rsyncd.conf ."
        let files = [
            "sshd_config": Self.sshdConfiguration, "host": host.privateFile,
            "authorized_keys": "restrict,command=\"\(command)\" \(mover.publicLine)\n",
            "rsyncd.conf": Self.rsyncConfiguration, "shadow": "root:*:19000:0:99999:7:::\n",
            "ssh_config": Self.sshConfiguration, "id": mover.privateFile,
            "known_hosts": "source \(host.publicLine)\n",
        ]
        return [
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
            "metadata": [
                "name": .string(secret), "namespace": name.namespace.map(JSON.string) ?? .null,
                "annotations": .object(annotations),
                "ownerReferences": [
                    [
                        "apiVersion": "v1", "kind": "Pod", "name": .string(owner.metadata.name),
                        "uid": .string(owner.metadata.uid),
                    ]
                ],
            ],
            "data": .object(files.mapValues { .string(Data($0.utf8).base64EncodedString()) }),
        ]
    }

    /// The configuration of sshd. The files of a Secret are links to files that a kubelet exchanges, which StrictModes
    /// refuses.
    private static let sshdConfiguration = """
        Port 2222
        HostKey /\(keys)/host
        AuthorizedKeysFile /\(keys)/authorized_keys
        StrictModes no
        PidFile none
        AllowUsers root
        PermitRootLogin forced-commands-only
        AuthenticationMethods publickey
        PasswordAuthentication no
        DisableForwarding yes
        PermitTTY no
        PermitUserRC no
        PrintMotd no
        LogLevel ERROR
        ClientAliveInterval 15
        ClientAliveCountMax 4

        """

    private static let sshConfiguration = """
        Host *
        User root
        Port 2222
        IdentityFile /\(keys)/id
        IdentitiesOnly yes
        HostKeyAlias source
        UserKnownHostsFile /\(keys)/known_hosts
        GlobalKnownHostsFile /dev/null
        StrictHostKeyChecking yes
        PreferredAuthentications publickey
        BatchMode yes
        ConnectTimeout 20
        ConnectionAttempts 3
        ServerAliveInterval 15
        ServerAliveCountMax 4
        LogLevel ERROR

        """

    /// The configuration of rsync's daemon. It sends links as they are and takes paths as they are, because it sees
    /// only the volume.
    private static let rsyncConfiguration = """
        uid = 0
        gid = 0
        use chroot = yes
        munge symlinks = no
        reverse lookup = no
        log file = /dev/null
        [source]
        path = /source
        read only = yes
        list = no

        """
}
