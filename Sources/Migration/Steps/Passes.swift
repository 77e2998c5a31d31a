import Kubernetes

/// What the passes over a claim have taken, while its workload ran.
struct Passes: Equatable, Sendable {
    /// One pass of a mover.
    struct Pass: Equatable, Sendable {
        /// From the start of the copy to its end; and from the creation of the mover to its removal.
        var copying: Duration
        var whole: Duration
    }

    enum Verdict: Equatable, Sendable {
        case again
        /// The next copy will be short enough.
        case enough
        /// Another pass would not make the next copy shorter.
        case stuck
    }

    var made: [Pass] = []

    /// However much a workload writes.
    private static let limit = 10
    /// What is in an outage besides a mover: the pods' end, the swap, and the pods' start until they are ready. Measured on a
    /// cluster that does nothing else.
    private static let otherwise: Duration = .seconds(6)

    /// Decides whether to go on. What a pass had to move was written during the pass before, so that the copy after the
    /// stop takes about as long as the last pass did.
    ///
    /// - Parameter maxOutage: how long that copy may take.
    func verdict(maxOutage: Duration) -> Verdict {
        guard let last = made.last else { return .again }
        let before = made.dropLast().last
        // The first pass moves all there is; only of a very short one nothing can be saved.
        if last.copying <= (before == nil ? min(.seconds(1), maxOutage) : maxOutage) { return .enough }
        if let before, last.copying * 5 > before.copying * 4 { return .stuck }
        return made.count < Self.limit ? .again : .stuck
    }

    /// How long the workload will be down.
    var predictedOutage: Duration? { made.last.map { $0.whole + Self.otherwise } }
}
