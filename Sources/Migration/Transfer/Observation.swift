public import Kubernetes

/// The objects of both ends of a transfer as they were last read. Nothing is remembered here.
public struct Observation: Sendable, Equatable {
    /// The claim that has the source claim's name now: the source claim, its successor, or a stranger.
    public var claim: PersistentVolumeClaim?
    /// The claim that has the destination's name now, where that is not the source claim's: ours or a stranger.
    var target: PersistentVolumeClaim?
    public var source: PersistentVolume?
    public var staging: PersistentVolumeClaim?
    public var destination: PersistentVolume?
    /// The seal of the destination volume, where it counts.
    public var seal: Seal?
    /// Another volume that an earlier run sealed for the claim, and whose staging claim is gone. Its seal is removed
    /// before anything else happens, because later it would look like the seal of a swap.
    var staleSeal: PersistentVolume?
    /// The name of the staging claim: its own, or the first free one.
    public var stagingName: ObjectName
}
