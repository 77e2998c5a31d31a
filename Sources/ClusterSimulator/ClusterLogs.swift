import FoundationEssentials
import Kubernetes

/// What one run of a container wrote.
struct ContainerLog: Sendable {
    struct Piece: Sendable {
        var time: Duration
        var text: Data
    }

    var pieces: [Piece] = []
    var ended = false
    /// The first piece of the newest file, and how many bytes that has.
    private(set) var newest = 0
    private var bytes = 0

    fileprivate mutating func append(_ piece: Piece, fileSize: Int) {
        if bytes >= fileSize { (newest, bytes) = (pieces.count, 0) }
        pieces.append(piece)
        bytes += piece.text.count
    }
}

/// The logs of a container: the present run's and the one's before.
struct ContainerLogs: Sendable {
    var current = ContainerLog()
    var previous: ContainerLog?
}

extension Cluster {
    /// Adds what a container wrote; readers of the log see it at once.
    mutating func appendLog(pod uid: String, container: String, _ text: Data) {
        logPieces += 1
        logs[uid, default: [:]][container, default: ContainerLogs()].current
            .append(ContainerLog.Piece(time: now, text: text), fileSize: behaviour.logFileSize)
    }

    /// Ends the log of a container's run; followers get the end of their stream.
    mutating func logEnded(pod uid: String, container: String) {
        logPieces += 1
        logs[uid, default: [:]][container, default: ContainerLogs()].current.ended = true
    }

    /// Begins the log of a container's next run; the last one becomes `previous`.
    mutating func restartLog(pod uid: String, container: String) {
        var logsOfContainer = logs[uid]?[container] ?? ContainerLogs()
        logsOfContainer.previous = logsOfContainer.current
        logsOfContainer.current = ContainerLog()
        logs[uid, default: [:]][container] = logsOfContainer
    }
}
