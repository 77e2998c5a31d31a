public import Kubernetes

/// How the parts behave that differ from cluster to cluster, and what is to go wrong.
public struct Behaviour: Sendable {
    /// What answers for a StorageClass's `provisioner`.
    public struct Provisioner: Hashable, Sendable {
        /// Content of its own on each node that mounts a volume, as hostPath volumes have.
        public var isLocal: Bool
        /// Whether a volume is attached to one node at a time.
        public var attaches: Bool
        /// How long a volume stays attached to its node after the last pod there.
        public var detachDelay = Duration.milliseconds(1200)
        /// How many seconds attaching takes, and again detaching, as the seed says; nil where both take no second.
        public var attachSeconds: ClosedRange<Int>?
        /// The node label that a volume is bound to by node affinity.
        public var topologyKey: String?
        /// The access modes and volume modes that it can make.
        public var accessModes: Set<String> = [
            "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod",
        ]
        public var volumeModes: Set<String>
        /// How long it takes to make or to free storage.
        public var delay: Duration

        public init(
            isLocal: Bool = false,
            attaches: Bool = false,
            topologyKey: String? = nil,
            volumeModes: Set<String> = ["Filesystem", "Block"],
            delay: Duration
        ) {
            self.isLocal = isLocal
            self.attaches = attaches
            self.topologyKey = topologyKey
            self.volumeModes = volumeModes
            self.delay = delay
        }
    }

    /// What takes snapshots of the volumes of CSI drivers.
    public struct Snapshotter: Sendable {
        /// How long it takes.
        public var delay = Duration.milliseconds(700)
        /// Why none is ever ready.
        public var failure: String?

        public init(failure: String? = nil) { self.failure = failure }
    }

    /// The API server as containers reach it.
    public struct ServerOfContainers: Sendable {
        public var host: String
        public var port: Int
        public var authority: String

        public init(host: String, port: Int, authority: String) {
            (self.host, self.port, self.authority) = (host, port, authority)
        }
    }

    /// The built-in provisioner of the recordings.
    public static let hostPath = "kubernetes.io/host-path"

    /// The provisioners by name; volumes of a class with another one are never made.
    public var provisioners: [String: Provisioner] = [
        hostPath: Provisioner(isLocal: true, volumeModes: ["Filesystem"], delay: .milliseconds(4)),
        "network.csi.example.com": Provisioner(delay: .milliseconds(800)),
        "disk.csi.example.com": Provisioner(attaches: true, delay: .milliseconds(1500)),
        "local.csi.example.com": Provisioner(
            isLocal: true,
            topologyKey: "kubernetes.io/hostname",
            delay: .milliseconds(300)
        ),
    ]
    /// Has all CSI drivers attach their volumes to one node at a time.
    ///
    /// - Parameter seconds: How long attaching takes, and again detaching.
    public mutating func attachCSIVolumes(seconds: Int) {
        for name in provisioners.keys where provisioners[name]?.isLocal == false {
            provisioners[name]?.attaches = true
            provisioners[name]?.attachSeconds = seconds...seconds
        }
    }

    /// What takes snapshots of volumes; nil where nothing does. `Cluster.addSnapshotter` sets it.
    public var snapshotter: Snapshotter?
    /// How often the binder's claim worker loses the race for a reserved volume's phase, from 0 to 1.
    public var lostRaceProbability = 0.0
    /// How often a node may not read a claim yet, from 0 to 1, where its pod comes just when the claim's last one on the
    /// node has left: the node authorizer's graph lags behind.
    public var nodeForbidsProbability = 0.0
    /// The images that can be pulled, and are on every node.
    public var images: Set<String> = ["busybox", "busybox:latest", "eeacms/rsync:2.3"]
    /// The programs that no image has, though this machine does.
    public var missingPrograms: Set<String> = []
    /// The containers that a mutating webhook adds to every new pod, as meshes and agents do.
    public var injectedContainers: [JSON] = []
    /// What an authorizer that is asked before RBAC denies to everybody: `get pods/exec`.
    public var denied: Set<String> = []
    /// Whether the admission plug-in OwnerReferencesPermissionEnforcement is on, as it is in OpenShift.
    public var enforcesOwnerReferences = false
    /// How many bytes a running container's log file holds before the kubelet begins another one; only the newest is read
    /// (its `containerLogMaxSize`, 10 MiB).
    public var logFileSize = 10 << 20
    /// What `sh -c` does in the model for a script that the model cannot read: another script.
    public var scripts: [String: String] = [:]
    /// Where containers reach the API server, and whose certificate it has (PEM); nil where they can't.
    public var serverOfContainers: ServerOfContainers?
    /// The exit codes of the runs of rsync to come, in their order, dry runs not counted; 0 changes nothing.
    public var rsyncExits: [Int] = []
    /// Whether containers run in the model, else the runtime of `ClusterSimulator` is asked to run them.
    public var modelsContainers = true {
        didSet {
            // Another one for each cluster on this machine.
            loopback = modelsContainers ? nil : "127.\(UInt8.random(in: 1...254))"
        }
    }
    /// The first half of the pods' addresses, where they are this machine's.
    private(set) var loopback: String?

    public init() {}
}
