import FoundationEssentials
import Kubernetes
import Migration
import Synchronization

/// What happens in a run: streamed with `--output jsonl`, and kept as far as `--report` shows it.
///
/// Each event is one line with a JSON object: what `Schemas.events` says. A later version may add types and members; one that
/// changes or drops any has another number.
final class Events: Sendable {
    static let schema: JSON = 1

    private let stream: (@Sendable (String) -> Void)?
    private let state = Mutex(Kept())

    private struct Kept {
        var milestones: [Milestone] = []
        var messages: [Message] = []
    }

    /// - Parameter stream: takes lines; nil where nobody wants any.
    init(stream: (@Sendable (String) -> Void)?) { self.stream = stream }

    /// What has happened so far: milestones, and warnings and errors.
    var kept: (milestones: [Milestone], messages: [Message]) { state.withLock { ($0.milestones, $0.messages) } }

    func started(_ invocation: Invocation) {
        write(
            "started",
            .zero,
            [
                "time": .string(Date.now.formatted(.iso8601)), "version": .string(version),
                "command": .string(invocation.command), "options": Outcome.json(invocation.options),
            ]
        )
    }

    func planned(_ discovery: Discovery, _ elapsed: Duration) {
        write(
            "plan",
            elapsed,
            [
                "units": .array(discovery.units.map(Outcome.json)),
                "notes": .array(discovery.notes.map(Outcome.json)),
            ]
        )
    }

    func note(_ message: Message) {
        if message.level == .warning || message.level == .error { state.withLock { $0.messages.append(message) } }
        write(
            "message",
            message.elapsed,
            [
                "level": .string(message.level.rawValue), "subject": .string(message.subject),
                "text": .string(message.text),
            ]
        )
    }

    func note(_ milestone: Milestone) {
        state.withLock { $0.milestones.append(milestone) }
        var members: [String: JSON] = [
            "unit": .string(milestone.unit), "claims": .array(milestone.claims.map { .string("\($0)") }),
        ]
        let type: String
        switch milestone.kind {
        case .stepBegan(let step):
            type = "step-began"
            members["step"] = .string(step)
        case .stepEnded(let step, let took, let failed):
            type = "step-ended"
            members.merge(["step": .string(step), "took": Outcome.seconds(took), "failed": .bool(failed)]) { $1 }
        case .outageBegan: type = "outage-began"
        case .outageEnded(let took):
            type = "outage-ended"
            members["took"] = Outcome.seconds(took)
        case .ended(let isDone):
            type = "unit-ended"
            members["failed"] = .bool(!isDone)
        }
        write(type, milestone.elapsed, members)
    }

    func note(_ claim: ObjectName, _ progress: CopyProgress, _ elapsed: Duration) {
        write(
            "progress",
            elapsed,
            [
                "claim": .string("\(claim)"), "bytes": .integer(progress.bytes),
                "bytesTotal": progress.total.map(JSON.integer) ?? .null,
                "rate": progress.rate.map(JSON.integer) ?? .null, "secondsLeft": Outcome.seconds(progress.timeLeft),
            ]
        )
    }

    /// The last event.
    ///
    /// - Parameter outcome: what `--output json` prints.
    static func finished(_ outcome: JSON, _ elapsed: Duration) -> JSON {
        event("finished", elapsed, outcome.object ?? [:])
    }

    private func write(_ type: String, _ elapsed: Duration, _ members: [String: JSON]) {
        guard let stream else { return }
        stream(Self.event(type, elapsed, members).line)
    }

    private static func event(_ type: String, _ elapsed: Duration, _ members: [String: JSON]) -> JSON {
        .object(members.merging(["v": schema, "type": .string(type), "seconds": Outcome.seconds(elapsed)]) { $1 })
    }
}

extension Invocation {
    /// The command's name; a migration has none on the command line.
    fileprivate var command: String {
        if mode == .abort { return "abort" }
        return switch options.goal {
        case .migrate where options.tree != nil: options.tree?.direction.rawValue ?? ""
        case .migrate: options.handover == nil ? "migrate" : "transfer"
        case .stage: "stage"
        case .rollback: "rollback"
        case .retype: "retype"
        }
    }
}
