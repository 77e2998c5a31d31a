/// The object that passes read while the workloads run, as `--copy-from` takes it.
public enum CopyFrom: String, Sendable, CaseIterable {
    /// The volume. Where no second pod can mount it, a snapshot, if its driver takes them.
    case auto
    case volume
    /// A snapshot of the volume, through a claim that is made from it.
    case snapshot
    /// A clone that the volume's driver makes. Nothing tells in advance whether it can.
    case clone
}
