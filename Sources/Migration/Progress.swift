import Kubernetes

/// Tells whether the users of a claim were seen ready on its new volume.
enum Sighting: Sendable, Equatable {
    /// They were seen ready, or nothing uses the claim.
    case seen
    case unseen(why: String)
}

/// The progress of a unit.
struct Progress: Sendable {
    var unit: Unit
    /// True where something was done before the unit's turn.
    var isPrepared = false
    /// The time at which the first workload was asked to stop.
    var stopped: Duration?
    /// The time at which the last one was asked to start again.
    var started: Duration?
    /// The time at which all were ready again; nil while they are not, and where nobody waits for that.
    var ready: Duration?
    /// The movers that stand ready.
    var standing: [Transfer.ID: StandingMover] = [:]
    var copies: [Transfer.ID: CopyResult] = [:]
    var passes: [Transfer.ID: Passes] = [:]
    /// The sightings of ready workloads, for the claims that were bound to their new volumes at that time.
    var readiness: [Transfer.ID: Sighting] = [:]
    /// The UIDs of the pods that had ended when nothing used the claims any more.
    var ended: Set<String> = []
    /// True where some of them hold the claims until their objects are gone.
    var leaves = false
    /// The claims whose old volumes are kept because pods may have written to them after the copy, each with its
    /// writer.
    var disturbed: [Transfer.ID: String] = [:]
    /// The UIDs of the workloads that somebody deleted meanwhile.
    var deleted: Set<String> = []
    /// The workloads that stay stopped as asked for, as messages name them.
    var left: [String] = []
    /// The claims whose new volumes are where their pods cannot run.
    var misplaced: Set<Transfer.ID> = []

    /// From the first workload being asked to stop until the last is asked to start again.
    var stop: Duration? { stopped.flatMap { stopped in started.map { $0 - stopped } } }
    /// From the first workload being asked to stop until all are ready again, as their users feel it; where nobody waits for
    /// that, until the last is asked to start.
    var outage: Duration? { stopped.flatMap { stopped in (ready ?? started).map { $0 - stopped } } }
    /// True when some claim has yet to be copied, or its source claim to be deleted: its pods must not run.
    var needsQuiet: Bool { unit.claims.contains(where: \.needsQuiet) }
    var isDone: Bool { unit.claims.allSatisfy { $0.next == .done } }

    /// Takes over the new state of a volume that bears a record, so that later decisions know it.
    mutating func take(_ volume: PersistentVolume?) {
        guard let volume else { return }
        for index in unit.claims.indices where unit.claims[index].source?.metadata.uid == volume.metadata.uid {
            unit.claims[index].source = volume
        }
    }
}
