import Kubernetes
import Migration

/// Writes down what happens, line by line: `[   12.3s] StatefulSet shop/web: stopped: scale 2 written down`.
struct Log: Sendable {
    let time: TimeSource
    let start: Duration
    let write: @Sendable (String) -> Void
    /// Where everything goes besides.
    let events: Events?

    init(time: TimeSource, events: Events? = nil, write: @escaping @Sendable (String) -> Void) {
        self.time = time
        start = time.now()
        self.events = events
        self.write = write
    }

    /// Since the command started.
    var elapsed: Duration { time.now() - start }

    /// Something that happened now.
    func note(_ level: Message.Level, _ subject: String, _ text: String) {
        note(Message(elapsed: elapsed, level: level, subject: subject, text: text))
    }

    func note(_ message: Message) {
        events?.note(message)
        write(Self.line(message.elapsed, message.level, message.subject, message.text))
    }

    /// Further lines of one message are indented, so that each message is seen to begin; rsync's output is given line
    /// by line with its claim before each.
    static func line(_ elapsed: Duration, _ level: Message.Level, _ subject: String, _ text: String) -> String {
        let tenths = elapsed.components.seconds * 10 + elapsed.components.attoseconds / 100_000_000_000_000_000
        let number = "\(tenths / 10).\(tenths % 10)"
        let stamp = "[" + String(repeating: " ", count: max(0, 7 - number.count)) + number + "s] "
        let place = subject.isEmpty ? "" : "\(subject.onOneLine): "
        let lines = text.split(omittingEmptySubsequences: level != .output, whereSeparator: \.isNewline)
            .map { String($0).withoutControls }
        switch level {
        case .output: return lines.map { stamp + place + $0 + "\n" }.joined()
        case .info: return stamp + place + indented(lines)
        case .warning: return stamp + "warning: " + place + indented(lines)
        case .error: return stamp + "error: " + place + indented(lines)
        }
    }

    private static func indented(_ lines: [String]) -> String {
        let first = lines.first ?? ""
        let others = lines.dropFirst().map { "\n    " + $0.trimmingPrefix(while: \.isWhitespace) }
        return first + others.joined() + "\n"
    }
}
