import Kubernetes

/// Every name, annotation and label of our own that a migration writes.
///
/// The annotations without a comment on their own are those of the Go tool of the same name, so that a run which it
/// left half done can be picked up.
public enum Marks {
    /// On a staging claim and a mover: the name of the source claim.
    public static let claim = "kurl.sh/pvcmigrate"
    /// On a staging claim (`dest`), a mover (`migrate`), a pod that serves it a source volume on another node and the
    /// Secret of the two (`serve`), a copy of the source that passes read (`copy`), and what preflight makes
    /// (`preflight`): what it is.
    public static let kind = "kurl.sh/pvcmigrate-kind"
    /// On a workload that was stopped: its scale before.
    public static let scale = "kurl.sh/pvcmigrate-scale"
    /// Ours. On a StatefulSet that deletes its claims when it is scaled down: that it does. While it is stopped it must
    /// not.
    public static let whenScaled = "kurl.sh/pvcmigrate-whenscaled"
    /// Ours, a label that no node has: in a stopped DaemonSet's node selector.
    public static let nowhere = "kurl.sh/pvcmigrate-nowhere"
    /// On a source volume: the node of a pod that mounted it. A person may set it where nothing else tells the node.
    public static let sourceNode = "kurl.sh/pvcmigrate-sourcenode"
    /// On a destination volume: the namespace of the source claim.
    public static let sourceNamespace = "kurl.sh/pvcmigrate-sourcens"
    /// On a destination volume: the name of the source claim.
    public static let sourceClaim = "kurl.sh/pvcmigrate-sourcepvc"
    /// On a source volume and its destination volume: the reclaim policy that the source volume had.
    public static let reclaimPolicy = "kurl.sh/pvcmigrate-reclaim"
    /// On a source claim, by its owner: the access mode that it shall have afterwards.
    public static let accessMode = "kurl.sh/pvcmigrate-destinationaccessmode"
    /// On a source claim, by its owner: the size that it shall have afterwards. Where another size than the source's is
    /// asked for: on a staging claim, and on the destination volume with the seal, what its successor is to ask for; on a
    /// volume that is kept, what its claim asked for.
    public static let size = "kurl.sh/pvcmigrate-destinationsize"

    /// Ours. On a staging claim, a copy of the source and a source volume: the UID of the source claim, which proves that
    /// they belong to it.
    public static let sourceUID = "kurl.sh/pvcmigrate-sourceuid"
    /// Ours. On a staging claim: what only the process knows that has made it.
    public static let nonce = "kurl.sh/pvcmigrate-nonce"
    /// Ours. On a source volume: the UID of its claim's staging claim. A claim of that name and with these marks that has
    /// another UID is somebody else's: in a namespace its tenants write what they like.
    public static let stagingUID = "kurl.sh/pvcmigrate-staginguid"
    /// Ours. On a source volume: the UIDs of the claim and the snapshot that passes read instead of it.
    public static let copyUID = "kurl.sh/pvcmigrate-copyuid"
    public static let snapshotUID = "kurl.sh/pvcmigrate-snapshotuid"
    /// Ours. On a destination volume, with the seal: the workloads that were stopped for its claim, as messages name them.
    /// One of them has to be seen ready on it before the source volume may go.
    public static let users = "kurl.sh/pvcmigrate-users"
    /// Ours. On a destination volume, the seal: the source claim's manifest as JSON.
    public static let manifest = "kurl.sh/pvcmigrate-manifest"
    /// Ours. On a destination volume that is sealed: the UID of the source claim, written just before that is deleted. Where
    /// the claim is gone and this is missing, somebody else has deleted it.
    public static let deleting = "kurl.sh/pvcmigrate-deleting"
    /// Ours. On a source volume that is kept for a rollback: since when (RFC 3339). Such a volume bears the name of the
    /// claim that it belongs to as a destination volume does, and its former policy.
    public static let kept = "kurl.sh/pvcmigrate-kept"
    /// Ours. On a source volume: that nothing has flushed what was copied off it, so that it is kept.
    public static let unflushed = "kurl.sh/pvcmigrate-unflushed"
    /// Ours. On a source volume that is kept: the UID of the claim that took its claim's place.
    public static let successor = "kurl.sh/pvcmigrate-successor"
    /// Ours. On a source volume that is kept though nobody asked for it: why (`KeptVolume.Reason`).
    public static let keptFor = "kurl.sh/pvcmigrate-keptfor"
    /// Ours. On a claim for a moment: any change of a claim makes the binder look at it again.
    public static let wake = "kurl.sh/pvcmigrate-wake"

    /// Ours. On a source volume: as whom its pods use it, where they all are one user other than root (a pod's security
    /// context as JSON).
    public static let owner = "kurl.sh/pvcmigrate-owner"

    /// Ours. On a Lease: the source and the destination class of the run that holds it, parted by a slash.
    static let classes = "kurl.sh/pvcmigrate-classes"

    /// Ours. On a volume, with the UID of a workload at its end: what is kept of that while it is stopped, since it can't
    /// bear a mark (`StoppedRecord` as JSON).
    public static let stopped = "kurl.sh/pvcmigrate-stopped-"

    /// Ours, a label. On each of our pods: what network policies and people know them all by.
    static let mover = (label: "kurl.sh/pvcmigrate", value: "mover")

    /// All that volumes bear of their own migration; what they bear of a stopped workload stays until that is started.
    static let onVolumes = [
        sourceNode, sourceNamespace, sourceClaim, reclaimPolicy, sourceUID, stagingUID, copyUID, snapshotUID, users,
        manifest, deleting, kept, successor, keptFor, owner, size, unflushed,
    ]

    /// The values of `kind`.
    public enum Kind {
        public static let staging = "dest"
        public static let mover = "migrate"
        /// Ours.
        public static let server = "serve"
        public static let copy = "copy"
        public static let preflight = "preflight"
    }

    /// The name of the staging claim; shortened as the Go tool does.
    ///
    /// Long names that differ only in their middle share one; preflight refuses those.
    ///
    /// - Parameter number: from 1 on; the next one is taken where somebody else's claim has the name.
    public static func stagingName(of claim: String, number: Int = 1) -> String {
        fitting(claim + "-pvcmigrate" + (number == 1 ? "" : "-\(number)"))
    }

    /// A name for a snapshot of a source volume, and for the claim of that or of a clone, which nobody can have taken.
    static func newCopyName(of claim: String) -> String {
        fitting("\(claim)-pvcmigrate-copy-\(String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16))")
    }

    private static func fitting(_ name: String) -> String {
        // Kubernetes limits the name to 253 characters, which are ASCII.
        guard name.count > 253 else { return name }
        return String(name.prefix(100) + name.suffix(153))
    }

    /// The name of a mover: unique by the claim's UID, readable by its name, and short enough for a host name.
    public static func moverName(of claim: String, uid: String) -> String { name(Kind.mover, claim, uid) }

    /// The name of the pod that serves a mover its source volume.
    static func serverName(of claim: String, uid: String) -> String { name(Kind.server, claim, uid) }

    /// A name for the Secret of such a pod and the mover, which is another one for each copy: so one that is still being
    /// deleted is no obstacle.
    static func newSecretName(of server: String) -> String {
        "\(server)-\(String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16))"
    }

    /// The name of a claim that preflight makes on the destination class.
    static func trialClaimName(run: String, index: Int) -> String { "pf-pvc-\(run)-\(index)" }

    /// The name of the pod that mounts such a claim.
    static func trialPodName(run: String, index: Int) -> String { "pf-pod-\(run)-\(index)" }

    /// The name of the pod that copies in preflight's trial of the network.
    static func trialClientName(run: String) -> String { "pf-copy-\(run)" }

    /// The name of the pod that serves that one.
    static func trialServerName(run: String) -> String { "pf-serve-\(run)" }

    /// What the name of a Lease begins with that locks a class; the class follows.
    static let lockPrefix = "pvmigrate-"

    /// What the name of an Event of ours begins with; the API server completes it.
    static let eventPrefix = "pvmigrate-"

    /// On an Event of ours: the component that reports it.
    static let component = "pvmigrate"

    private static func name(_ kind: String, _ claim: String, _ uid: String) -> String {
        let readable = String(claim.prefix(40)).replacing(".", with: "-")
        return "\(kind)-\(readable)-\(uid.prefix(8))".replacing("--", with: "-")
    }
}
