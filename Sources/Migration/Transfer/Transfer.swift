public import Kubernetes

/// The plan of one claim. Discovery makes it, and no run changes it.
public struct Transfer: Identifiable, Sendable, Equatable {
    /// What becomes of the source once its data is on the destination.
    public enum Ending: String, Sendable {
        /// The destination takes the source's place, and its name.
        case replace
        /// The source stays as it is.
        case copy
        /// The source claim is given away for the destination.
        case move

        /// Those of transfers to another name, in the order of their documentation.
        public static let ofHandovers: [Ending] = [.copy, .move]
    }

    /// The way to the destination volume.
    public enum Method: String, Sendable, CaseIterable {
        /// A volume is made, and the data copied to it.
        case copy
        /// The claim goes back to the source volume that was kept for it.
        case kept
        /// The same storage gets another volume object.
        case retype
        /// The source volume itself gets another claim.
        case handOver = "hand-over"
        /// The claim stays, and is copied to or from this computer.
        case tree = "local-tree"

        /// True where the storage stays, and no other volume takes its place.
        var keepsStorage: Bool { self == .retype || self == .handOver || self == .tree }
    }

    /// The identity of the transfer: the source's UID and the destination's name. It is the key of every dictionary.
    public let id: String
    /// The UID of the source claim; empty where it is unknown.
    let sourceUID: String
    /// The name of the source claim.
    public let source: ObjectName
    /// The final name of the destination.
    public let destination: ObjectName
    let ending: Ending
    /// The requested class of the destination; nil for any. It selects transfers and identifies none.
    let storageClass: String?
    /// False where the class waits for the first consumer.
    let bindsAtOnce: Bool
    let method: Method

    // Discovery finds these facts besides.
    /// The provisioner and the reclaim policy of the destination class, where it exists.
    var provisioner: String?
    var policyOfClass: ReclaimPolicy?
    /// The requested size, where there is one.
    var sizeWanted: Quantity?
    /// A pod that mounts or will mount the claim. The destination volume must be reachable from its nodes.
    var consumer: PodSpec?
    /// The user of the pods that mounted the claim at discovery.
    var ownerOfPods: DataOwner?
    /// True where another volume object has the same storage. Nothing may free that storage then.
    var sharesSource = false

    /// - Parameter uid: The UID of the source claim; empty where it is unknown.
    init(
        of source: ObjectName,
        uid: String,
        to destination: ObjectName? = nil,
        ending: Ending = .replace,
        storageClass: String? = nil,
        bindsAtOnce: Bool = true,
        method: Method = .copy
    ) {
        (self.source, self.destination, self.ending) = (source, destination ?? source, ending)
        (sourceUID, id) = (uid, "\(uid) \(self.destination)")
        (self.storageClass, self.bindsAtOnce, self.method) = (storageClass, bindsAtOnce, method)
    }

    var plan: TransferPlan { TransferPlan(destination: destination, ending: ending) }

    /// True where the destination takes the source claim's name and place.
    var isInPlace: Bool { ending == .replace }
}
