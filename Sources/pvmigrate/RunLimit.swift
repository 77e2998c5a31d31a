import Kubernetes
import Migration
import Synchronization

/// How long a whole run may take: then it is as if somebody had pressed Ctrl-C.
final class RunLimit: Sendable {
    let duration: Duration
    private let over = Mutex(false)

    init(_ duration: Duration) { self.duration = duration }

    /// Whether it is the limit that has ended the run.
    var isOver: Bool { over.withLock { $0 } }

    /// Requests the interruption at the end of the time, unless the run ends before or was interrupted before.
    func watch(_ interruption: Interruption, _ log: Log) async {
        do {
            try await log.time.sleep(log.start + duration)
        } catch {
            // The run has ended.
            return
        }
        guard !interruption.isRequested else { return }
        over.withLock { $0 = true }
        log.note(.warning, "", "--timeout of \(duration.inWords) is over: bringing everything to a safe state")
        interruption.request()
    }
}
