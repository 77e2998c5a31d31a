import Kubernetes

/// The names, annotations and labels that a migration writes.
///
/// Annotations without "Ours" are those of the Go tool of the same name, so that a run of it that is half done can be
/// resumed.
public enum Marks {
    /// On a staging claim and a mover: the name of the source claim.
    public static let claim = "kurl.sh/pvcmigrate"
    /// On each of our objects: its kind. A staging claim (`dest`), a mover (`migrate`), a pod that serves a mover a
    /// source volume on another node and the Secret of the two (`serve`), a stand-in (`copy`), and the objects of
    /// preflight (`preflight`).
    public static let kind = "kurl.sh/pvcmigrate-kind"
    /// On a stopped workload: its former scale.
    public static let scale = "kurl.sh/pvcmigrate-scale"
    /// Ours. On a StatefulSet that deletes its claims when it is scaled down: that policy. A stopped one must not have
    /// it.
    public static let whenScaled = "kurl.sh/pvcmigrate-whenscaled"
    /// Ours, a label that no node has. It is in the node selector of a stopped DaemonSet.
    public static let nowhere = "kurl.sh/pvcmigrate-nowhere"
    /// On a source volume: the node of a pod that mounted it. A person may set it where nothing else tells the node.
    public static let sourceNode = "kurl.sh/pvcmigrate-sourcenode"
    /// On a destination volume: the namespace of the source claim.
    public static let sourceNamespace = "kurl.sh/pvcmigrate-sourcens"
    /// On a destination volume: the name of the source claim.
    public static let sourceClaim = "kurl.sh/pvcmigrate-sourcepvc"
    /// On a source volume and its destination volume: the reclaim policy that the source volume had.
    public static let reclaimPolicy = "kurl.sh/pvcmigrate-reclaim"
    /// On a source claim, by its owner: its access mode after the migration.
    public static let accessMode = "kurl.sh/pvcmigrate-destinationaccessmode"
    /// On a source claim, by its owner: its size after the migration. Where that differs from the source's: on a
    /// staging claim, and on the destination volume with the seal, the successor's size; on a kept volume, its claim's
    /// former size.
    public static let size = "kurl.sh/pvcmigrate-destinationsize"

    /// Ours. On a staging claim, a stand-in and a source volume: the UID of the source claim, which proves that they
    /// belong to it.
    public static let sourceUID = "kurl.sh/pvcmigrate-sourceuid"
    /// Ours. On a staging claim: a random value that only the creating process knows.
    public static let nonce = "kurl.sh/pvcmigrate-nonce"
    /// Ours. On a source volume: the UID of its claim's staging claim. A claim with that name, these marks and another
    /// UID is somebody else's, because tenants write what they like in their namespace.
    public static let stagingUID = "kurl.sh/pvcmigrate-staginguid"
    /// Ours. On a source volume: the UIDs of its stand-in and of the snapshot that the stand-in is made from.
    public static let copyUID = "kurl.sh/pvcmigrate-copyuid"
    public static let snapshotUID = "kurl.sh/pvcmigrate-snapshotuid"
    /// Ours. On a destination volume, with the seal: the workloads that were stopped for its claim, as messages name
    /// them. One of them must be seen ready on it before the source volume may be released.
    public static let users = "kurl.sh/pvcmigrate-users"
    /// Ours. On a destination volume, the seal: the source claim's manifest as JSON.
    public static let manifest = "kurl.sh/pvcmigrate-manifest"
    /// Ours. On a source volume, and on a destination volume with the seal, where the destination is not the source claim's
    /// name: what becomes of the source (`Transfer.Ending`), and the destination's namespace and name.
    public static let ending = "kurl.sh/pvcmigrate-ending"
    public static let targetNamespace = "kurl.sh/pvcmigrate-targetns"
    public static let target = "kurl.sh/pvcmigrate-targetpvc"
    /// Ours. On the volume of a claim that a transfer has made in another namespace, for good: the UID and the name of the
    /// source claim, so that the same transfer is not made twice.
    public static let origin = "kurl.sh/pvcmigrate-origin"
    /// Ours. On a sealed destination volume: the UID of the source claim, written just before its deletion. Where the
    /// claim is gone without this mark, somebody else deleted it.
    public static let deleting = "kurl.sh/pvcmigrate-deleting"
    /// Ours. On a source volume that is kept for a rollback: the time since which it is kept (RFC 3339). Such a volume
    /// also bears its claim's name, as a destination volume does, and its former policy.
    public static let kept = "kurl.sh/pvcmigrate-kept"
    /// Ours. On a source volume that is kept because nothing has flushed its copy.
    public static let unflushed = "kurl.sh/pvcmigrate-unflushed"
    /// Ours. On a kept source volume: the UID of its claim's successor.
    public static let successor = "kurl.sh/pvcmigrate-successor"
    /// Ours. On a source volume that is kept though nobody asked for it: the reason (`KeptVolume.Reason`).
    public static let keptFor = "kurl.sh/pvcmigrate-keptfor"
    /// Ours. On the new volume object of a retype: the UID of the old one. The two are the same storage, so neither may
    /// have the policy Delete while both exist.
    public static let retypedFrom = "kurl.sh/pvcmigrate-retypedfrom"
    /// Ours. On the old volume object of a retype: the name of the new one.
    public static let retypedTo = "kurl.sh/pvcmigrate-retypedto"
    /// Ours. On a claim for a moment, because any change of a claim makes the binder look at it again.
    public static let wake = "kurl.sh/pvcmigrate-wake"

    /// Ours. On a claim from before the first byte of an upload until all was checked: what identifies the upload. Nothing
    /// may be started on such a claim. Its owner can write it, so it only holds things back.
    public static let filling = "kurl.sh/pvcmigrate-filling"

    /// Ours. On the volume of a claim that is copied to or from a computer, from before its workload is stopped until all
    /// is done: the direction. Another run does not take the workload for one that was forgotten.
    static let tree = "kurl.sh/pvcmigrate-tree"

    /// Ours. On a source volume: the security context of its pods as JSON, where they all run as one user other than
    /// root.
    public static let owner = "kurl.sh/pvcmigrate-owner"

    /// Ours. On a Lease: the source and the destination class of the run that holds it, separated by a slash.
    static let classes = "kurl.sh/pvcmigrate-classes"

    /// Ours. On a volume, with a workload's UID at its end: the record of that workload while it is stopped, where the
    /// workload cannot bear a mark (`StoppedRecord` as JSON).
    public static let stopped = "kurl.sh/pvcmigrate-stopped-"

    /// Ours, a label. On each of our pods, for network policies and people.
    static let mover = (label: "kurl.sh/pvcmigrate", value: "mover")

    /// The marks that make a volume a sealed one.
    static let ofSeal = [manifest, users, deleting, origin]

    /// Returns true for an annotation of a migration.
    static func isOurs(_ name: String) -> Bool { name.hasPrefix(claim) }

    /// The marks that volumes bear of their own migration. The record of a stopped workload stays until the workload is
    /// started, and the origin as long as the volume is its claim's.
    static let onVolumes = [
        sourceNode, sourceNamespace, sourceClaim, reclaimPolicy, sourceUID, stagingUID, copyUID, snapshotUID, users,
        manifest, ending, targetNamespace, target, deleting, kept, successor, keptFor, owner, size, unflushed,
        retypedFrom, retypedTo, tree,
    ]

    /// The values of `kind`.
    public enum Kind {
        public static let staging = "dest"
        public static let mover = "migrate"
        /// Ours, only in names.
        static let stand = "stand"
        /// Ours, only in names.
        static let look = "look"
        /// Ours.
        public static let server = "serve"
        public static let copy = "copy"
        public static let preflight = "preflight"
    }

    /// Returns the name of a staging claim, shortened as the Go tool does.
    ///
    /// Long names that differ only in their middle share one; preflight refuses those.
    ///
    /// - Parameter number: A number from 1 on. The next one is taken where somebody else's claim has the name.
    public static func stagingName(of claim: String, number: Int = 1) -> String {
        fitting(claim + "-pvcmigrate" + (number == 1 ? "" : "-\(number)"))
    }

    /// Returns a name for a stand-in and its snapshot that nobody can have taken.
    static func newCopyName(of claim: String) -> String {
        fitting("\(claim)-pvcmigrate-copy-\(String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16))")
    }

    private static func fitting(_ name: String) -> String {
        // Kubernetes limits names to 253 ASCII characters.
        guard name.count > 253 else { return name }
        return String(name.prefix(100) + name.suffix(153))
    }

    /// Returns the name of a mover: unique by the claim's UID, readable by its name, and short enough for a host name.
    public static func moverName(of claim: String, uid: String) -> String { name(Kind.mover, claim, uid) }

    /// Returns the name of a mover that stands, which others may run beside.
    static func standingName(of claim: String, uid: String) -> String { name(Kind.stand, claim, uid) }

    /// Returns the name of the pod that looks at a claim before anything is stopped for a copy to or from this computer.
    static func lookName(of claim: String, uid: String) -> String { name(Kind.look, claim, uid) }

    /// Returns the name of the pod that serves a mover its source volume.
    static func serverName(of claim: String, uid: String) -> String { name(Kind.server, claim, uid) }

    /// Returns a name for the Secret of a server and its mover. Each copy has another one, so a Secret that is still
    /// being deleted is no obstacle.
    static func newSecretName(of server: String) -> String {
        "\(server)-\(String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16))"
    }

    /// Returns the name of a claim that preflight makes on the destination class.
    static func trialClaimName(run: String, index: Int) -> String { "pf-pvc-\(run)-\(index)" }

    /// Returns the name of the pod that mounts such a claim.
    static func trialPodName(run: String, index: Int) -> String { "pf-pod-\(run)-\(index)" }

    /// Returns the name of the copying pod in preflight's trial of the network.
    static func trialClientName(run: String) -> String { "pf-copy-\(run)" }

    /// Returns the name of the serving pod in that trial.
    static func trialServerName(run: String) -> String { "pf-serve-\(run)" }

    /// The beginning of the name of a class's Lease; the class follows.
    static let lockPrefix = "pvmigrate-"

    /// The beginning of the name of an Event of ours; the API server completes it.
    static let eventPrefix = "pvmigrate-"

    /// The component that reports our Events.
    static let component = "pvmigrate"

    private static func name(_ kind: String, _ claim: String, _ uid: String) -> String {
        let readable = String(claim.prefix(40)).replacing(".", with: "-")
        return "\(kind)-\(readable)-\(uid.prefix(8))".replacing("--", with: "-")
    }
}
