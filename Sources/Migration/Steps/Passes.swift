import Kubernetes

/// The durations of the passes over a claim while its workload ran.
struct Passes: Equatable, Sendable {
    /// One pass of a mover.
    struct Pass: Equatable, Sendable {
        /// The time from the start of the copy to its end. `whole` is the time from the mover's creation to its
        /// removal.
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

    // The limit holds however much a workload writes.
    private static let limit = 10
    /// The part of an outage without the mover: the pods' end, the swap, and the pods' start until they are ready. It was
    /// measured on an idle cluster.
    private static let otherwise: Duration = .seconds(6)

    /// Decides whether to go on. A pass moves what was written during the pass before, so the copy after the stop takes
    /// about as long as the last pass.
    ///
    /// - Parameter maxOutage: The time that the copy after the stop may take.
    func verdict(maxOutage: Duration) -> Verdict {
        guard let last = made.last else { return .again }
        let before = made.dropLast().last
        // The first pass moves everything. Only where it was very short can nothing be saved.
        if last.copying <= (before == nil ? min(.seconds(1), maxOutage) : maxOutage) { return .enough }
        if let before, last.copying * 5 > before.copying * 4 { return .stuck }
        return made.count < Self.limit ? .again : .stuck
    }

    /// The time that the workload is expected to be down.
    var predictedOutage: Duration? { made.last.map { $0.whole + Self.otherwise } }
}
