import Kubernetes
import Migration
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Asks the person at the terminal and returns whether the answer is yes.
typealias Ask = @Sendable (_ question: String) async throws -> Bool

/// The answer of the person at the terminal, read by a thread of its own: nobody knows when it comes, and whoever waits for
/// it can give up.
final class Answer: Sendable {
    private enum State {
        case open
        case waited(CheckedContinuation<String?, Never>)
        case given(String?)
    }

    private let state = Mutex(State.open)

    /// What asks where a person can be asked: stdin and stderr are terminals; else nil.
    static func asking(on messages: Descriptor) -> Ask? {
        guard isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 else { return nil }
        return { question in
            messages.write("\(question.onOneLine) [y/N] ")
            let answer = await Answer().line()
            // After Ctrl-C, or the end of the input, the cursor still is behind the question.
            if answer == nil { messages.write("\n") }
            try Task.checkCancellation()
            return ["y", "yes"].contains(answer?.lowercased())
        }
    }

    /// A line of stdin; nil at its end, and where the task was cancelled.
    private func line() async -> String? {
        start()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: String?? = state.withLock { state in
                    if case .given(let answer) = state { return .some(answer) }
                    state = .waited(continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            give(nil)
        }
    }

    private func give(_ answer: String?) {
        let waiting: CheckedContinuation<String?, Never>? = state.withLock { state in
            defer { if case .given = state {} else { state = .given(answer) } }
            if case .waited(let continuation) = state { return continuation }
            return nil
        }
        waiting?.resume(returning: answer)
    }

    private func start() {
        let context = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let code = pthread_create(
            &thread,
            nil,
            { pointer in
                guard let pointer else { return nil }
                let answer = Unmanaged<Answer>.fromOpaque(pointer).takeRetainedValue()
                answer.give(readLine())
                return nil
            },
            context.toOpaque()
        )
        guard code == 0 else {
            context.release()
            return give(nil)
        }
        pthread_detach(thread)
    }
}

extension Command {
    /// Asks whether changes may be given up, where a person can be asked; nil where they may.
    func answer(_ discovery: Discovery) async throws -> Outcome? {
        let claims = discovery.units.flatMap(\.claims)
        guard invocation.asksFirst, !claims.isEmpty, let ask = surroundings.ask else { return nil }
        let question =
            "give up, for good, what was written since the migration to \(claims.map { "\($0.name)" }.listed)?"
        if try await interruption.cancelling({ try await ask(question) }) { return nil }
        return Outcome(
            kind: .interrupted,
            code: .failed,
            message: "the answer was not yes; nothing was changed" + leftStopped(discovery),
            discovery: discovery
        )
    }
}

extension [String] {
    /// Some of them as a sentence names them, and how many there are besides.
    var listed: String {
        let shown = 5
        guard count > shown + 1 else { return joined(separator: ", ") }
        return prefix(shown).joined(separator: ", ") + " and \(count - shown) more"
    }
}
