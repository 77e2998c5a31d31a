/// The result of a mover that ended well.
enum MoverResult: Sendable {
    /// It copied, and its check, unless none is wanted, found nothing left to transfer.
    case equal(CopyStatistics?)
    /// It only compared, and these items differ.
    case different([String])
    /// It copied the present content in this time. Only a check can tell whether that is everything.
    case unchecked(CopyStatistics?, took: Duration)
}

extension MoverResult {
    /// The statistics of what was copied or compared.
    var statistics: CopyStatistics? {
        switch self {
        case .equal(let statistics), .unchecked(let statistics, _): statistics
        case .different: nil
        }
    }
}

/// The outcome of one mover.
enum MoverOutcome: Sendable {
    case done(MoverResult)
    /// It failed only at something that the copy can do without. This content does without it.
    case unsupported(any MoverContent, Loss)
    /// It failed at something that another attempt may mend, with its reason and all known details.
    case again(String, details: String = "")
}

/// The run of the last of as many movers as it took.
struct MoverRun: Sendable {
    var result: MoverResult
    /// The time from its creation to its removal.
    var duration: Duration
    /// False where the copied data may be lost with its node for a while.
    var isFlushed: Bool
}
