public import Kubernetes

/// What the cluster says of both sides of a transfer, as it was last read; nothing is remembered here.
public struct Observation: Sendable, Equatable {
    /// What has the source claim's name now: that claim, its successor, or a stranger.
    public var claim: PersistentVolumeClaim?
    public var source: PersistentVolume?
    public var staging: PersistentVolumeClaim?
    public var destination: PersistentVolume?
    /// The seal that the destination volume bears, where it counts.
    public var seal: Seal?
    /// Another volume that an earlier run has sealed for the claim, and whose staging claim is gone. Its seal goes before
    /// anything else is done: later it would look like that of a swap.
    var staleSeal: PersistentVolume?
    /// The name of the staging claim: its own, or the first one that is free.
    public var stagingName: ObjectName
}
