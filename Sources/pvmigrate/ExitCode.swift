/// What the command's exit code says.
enum ExitCode: Int32, CaseIterable {
    case done = 0
    case failed = 1
    case refused = 2
    case stopped = 3
    /// `EX_USAGE` of sysexits(3).
    case usage = 64

    /// Those after which the same command would end in the same way.
    static let hopeless: [ExitCode] = [.refused, .usage]

    /// For `--help`.
    var meaning: String {
        switch self {
        case .done: "done, or nothing to do"
        case .failed:
            "failed or interrupted, and every workload runs; or one is not ready, its old volume kept; run again"
        case .refused: "preflight failed; nothing was changed"
        case .stopped:
            "something is still stopped, or by status: open; the message lists it; run again to finish"
        case .usage: "wrong usage"
        }
    }
}
