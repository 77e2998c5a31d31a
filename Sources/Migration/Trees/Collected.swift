import Synchronization

/// What an rsync says, as it comes.
final class Collected: Sendable {
    private struct State {
        var differences = TreeDifferences()
        /// The last lines.
        var lines: [Substring] = []
        var pace = CopyPace()
    }

    private let state = Mutex(State())

    /// Takes a line of a dry run.
    func take(_ line: Substring) { state.withLock { $0.differences.take(line) } }

    var differences: TreeDifferences { state.withLock { $0.differences } }

    /// Keeps a line, in the place of one long ago.
    func keep(_ line: Substring) {
        state.withLock { state in
            state.lines.append(line)
            if state.lines.count > 200 { state.lines.removeFirst(100) }
        }
    }

    /// The last lines.
    var text: String { state.withLock { $0.lines.joined(separator: "\n") } }

    /// Returns how far the copy is, where a line tells and it is time to tell.
    func progress(_ line: Substring, at now: Duration) -> CopyProgress? {
        guard let amount = CopyAmount(rsync: line) else { return nil }
        return state.withLock { $0.pace.add(amount, at: now) }
    }
}
