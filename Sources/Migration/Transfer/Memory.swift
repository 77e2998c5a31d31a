/// What only this process knows of a transfer. It is never written down: a process that resumes looks at the cluster.
public struct Memory: Sendable, Equatable {
    /// True when a complete copy was seen since the workloads stopped. Before the source claim is deleted, a process that
    /// resumes copies again, since it can't know what ran in the meantime.
    public var copied = false
    /// True when the last mark was dropped: nothing is left to do.
    public var isReleased = false
    /// What a pass reads in the source volume's place; the state of such a pass has it as its source.
    var standIn: StandIn?
    /// What a staging claim bears that this process makes, and nobody knows before: by it the claim is known whose creation
    /// was not answered.
    let nonce = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 16) }.joined()
}
