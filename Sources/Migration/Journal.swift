public import Kubernetes

/// A message for the person who watches.
public struct Message: Sendable {
    public enum Level: String, Sendable, CaseIterable {
        case info
        case warning
        case error
        /// A line of rsync's own output.
        case output
    }

    /// The time since the command started.
    public var elapsed: Duration
    public var level: Level
    /// The claim, workload or volume of the message, as messages name it; empty for the whole run.
    public var subject: String
    public var text: String

    public init(elapsed: Duration, level: Level, subject: String, text: String) {
        self.elapsed = elapsed
        self.level = level
        self.subject = subject
        self.text = text
    }
}

/// A moment of a unit, for programs that watch and for the report's timeline.
public struct Milestone: Sendable {
    public enum Kind: Sendable {
        case stepBegan(String)
        case stepEnded(String, took: Duration, failed: Bool)
        /// The unit's first workload was asked to stop.
        case outageBegan
        /// The unit's workloads are ready again; where nobody waits for that, the last is asked to start.
        case outageEnded(took: Duration)
        /// The last milestone of the unit: all of its claims reached their goal, or not.
        case ended(isDone: Bool)
    }

    /// The time since the command started.
    public var elapsed: Duration
    /// The unit, as messages name it. No two units of a run have the same name.
    public var unit: String
    public var claims: [ObjectName]
    public var kind: Kind

    public init(elapsed: Duration, unit: String, claims: [ObjectName], kind: Kind) {
        self.elapsed = elapsed
        self.unit = unit
        self.claims = claims
        self.kind = kind
    }
}

/// The progress of a claim's copy.
public struct CopyProgress: Sendable, Equatable {
    /// The amount of content that was copied or compared, in bytes.
    public var bytes: Int64
    /// The whole amount; nil while it is unknown.
    public var total: Int64?
    /// The recent bytes per second; nil at the beginning, and when all is copied and only checked.
    public var rate: Int64?
    public var timeLeft: Duration?

    public init(bytes: Int64, total: Int64? = nil, rate: Int64? = nil, timeLeft: Duration? = nil) {
        self.bytes = bytes
        self.total = total
        self.rate = rate
        self.timeLeft = timeLeft
    }
}

/// Records messages and milestones with their times.
public struct Journal: Sendable {
    let time: TimeSource
    let start: Duration
    let write: @Sendable (Message) -> Void
    let mark: @Sendable (Milestone) -> Void
    /// The receiver of copy progress; nil where nobody watches, and movers are not asked for it.
    let watch: (@Sendable (_ claim: ObjectName, CopyProgress) -> Void)?

    /// - Parameters:
    ///   - start: The time at which the command started; nil for now.
    ///   - watch: Receives the progress of a claim's copy, at most once a second.
    public init(
        time: TimeSource,
        start: Duration? = nil,
        write: @escaping @Sendable (Message) -> Void,
        mark: @escaping @Sendable (Milestone) -> Void = { _ in },
        watch: (@Sendable (_ claim: ObjectName, CopyProgress) -> Void)? = nil
    ) {
        self.time = time
        self.start = start ?? time.now()
        self.write = write
        self.mark = mark
        self.watch = watch
    }

    func info(_ subject: String, _ text: String) { note(.info, subject, text) }
    func warn(_ subject: String, _ text: String) { note(.warning, subject, text) }
    func error(_ subject: String, _ text: String) { note(.error, subject, text) }
    func output(_ subject: String, _ line: String) { note(.output, subject, line) }

    func mark(_ unit: Unit, _ kind: Milestone.Kind) {
        let claims = unit.claims.map(\.name)
        mark(Milestone(elapsed: time.now() - start, unit: unit.title, claims: claims, kind: kind))
    }

    /// Records that a step of a unit begins.
    ///
    /// - Returns: The time of the beginning, for `end`.
    func begin(_ step: String, _ unit: Unit) -> Duration {
        mark(unit, .stepBegan(step))
        return time.now()
    }

    /// Records that a step of a unit ended.
    func end(_ step: String, _ unit: Unit, began: Duration, failed: Bool = false) {
        mark(unit, .stepEnded(step, took: time.now() - began, failed: failed))
    }

    private func note(_ level: Message.Level, _ subject: String, _ text: String) {
        write(Message(elapsed: time.now() - start, level: level, subject: subject, text: text))
    }
}
