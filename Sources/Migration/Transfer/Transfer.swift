public import Kubernetes

/// The plan of one claim: discovery makes it, and no run changes it.
public struct Transfer: Identifiable, Sendable, Equatable {
    /// What becomes of the source once its data is on the destination.
    enum Ending: Sendable, Equatable {
        /// The destination takes the source's place, and its name.
        case replace
    }

    /// What tells it from all others: the source's identity and the destination's name. Every dictionary has this key.
    public let id: String
    /// The name of the source claim.
    public let source: ObjectName
    /// The name that the destination has at last.
    public let destination: ObjectName
    let ending = Ending.replace
    /// The class that the destination is to be of; nil for any. It selects, and identifies nothing.
    let storageClass: String?
    /// False where that class waits for the first consumer.
    let bindsAtOnce: Bool
    /// True where the destination volume has to be there already: the one that was kept for the claim.
    let needsKeptVolume: Bool

    // What discovery finds out besides.
    /// The size that is asked for, where it is.
    var sizeWanted: Quantity?
    /// A pod that mounts the claim, or will: on which nodes it can run, the new volume has to be.
    var consumer: PodSpec?
    /// The user of the pods that mounted the claim at discovery.
    var ownerOfPods: DataOwner?
    /// True where another volume object is the source volume's storage, too: then nothing may free that.
    var sharesSource = false

    /// - Parameter uid: of the source claim; empty where nothing tells it any more.
    init(
        of source: ObjectName,
        uid: String,
        storageClass: String? = nil,
        bindsAtOnce: Bool = true,
        needsKeptVolume: Bool = false
    ) {
        (self.source, destination) = (source, source)
        id = "\(uid) \(destination)"
        (self.storageClass, self.bindsAtOnce, self.needsKeptVolume) = (storageClass, bindsAtOnce, needsKeptVolume)
    }
}
