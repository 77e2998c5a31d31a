/// The facts that only this process knows of a transfer. They are never stored: a resumed run looks at the cluster.
public struct Memory: Sendable, Equatable {
    /// True when a complete copy was seen since the workloads stopped, or for a retype, that no node has the volume. A
    /// resumed run does not know what ran in the meantime, so it copies again as long as nobody has begun to delete the
    /// source claim.
    public var copied = false
    /// True when the last mark is removed and nothing is left to do.
    public var isReleased = false
    /// The UID of the claim of the destination's name that this process made.
    var madeTarget: String?
    /// The stand-in that a pass reads instead of the source claim. The state of such a pass has it as its source.
    var standIn: StandIn?
    /// A random value on the staging claim that this process creates. Nobody knows it before. It identifies the claim
    /// where the server's answer to its creation was lost.
    let nonce = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 16) }.joined()
}
