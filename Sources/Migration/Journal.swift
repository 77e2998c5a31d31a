public import Kubernetes

/// Something that happened, for the person who watches.
public struct Message: Sendable {
    public enum Level: String, Sendable {
        case info
        case warning
        case error
        /// A line of rsync's own output.
        case output
    }

    /// Since the command started.
    public var elapsed: Duration
    public var level: Level
    /// The claim, workload or volume that it happened to, as messages name it; empty for the whole run.
    public var subject: String
    public var text: String
}

/// Takes messages down, with the time at which they came.
public struct Journal: Sendable {
    let time: TimeSource
    let start: Duration
    let write: @Sendable (Message) -> Void

    public init(time: TimeSource, write: @escaping @Sendable (Message) -> Void) {
        self.time = time
        start = time.now()
        self.write = write
    }

    func info(_ subject: String, _ text: String) { note(.info, subject, text) }
    func warn(_ subject: String, _ text: String) { note(.warning, subject, text) }
    func error(_ subject: String, _ text: String) { note(.error, subject, text) }
    func output(_ subject: String, _ line: String) { note(.output, subject, line) }

    private func note(_ level: Message.Level, _ subject: String, _ text: String) {
        write(Message(elapsed: time.now() - start, level: level, subject: subject, text: text))
    }
}
