import Synchronization

/// A list that is read by one at a time.
final class SharedList<Object: KubernetesObject>: Sendable {
    private typealias Answer = Result<List<Object>, any Error>

    private struct State {
        var isBeingRead = false
        /// Those who have asked since it was begun.
        var waiting: [AsyncStream<Answer>.Continuation] = []
    }

    private let starts: AsyncStream<@Sendable () async -> Void>.Continuation
    private let readAll: @Sendable () async throws -> List<Object>
    private let state = Mutex(State())

    init(
        _ starts: AsyncStream<@Sendable () async -> Void>.Continuation,
        _ readAll: @escaping @Sendable () async throws -> List<Object>
    ) {
        (self.starts, self.readAll) = (starts, readAll)
    }

    func read() async throws -> List<Object> {
        let (answers, inbox) = AsyncStream<Answer>.makeStream()
        state.withLock { state in
            state.waiting.append(inbox)
            guard !state.isBeingRead else { return }
            state.isBeingRead = true
            starts.yield { await self.run() }
        }
        guard let answer = await answers.first(where: { _ in true }) else { throw CancellationError() }
        return try answer.get()
    }

    /// Reads until nobody has asked any more.
    private func run() async {
        while true {
            let asking = state.withLock { state in
                let asking = state.waiting
                state.waiting = []
                state.isBeingRead = !asking.isEmpty
                return asking
            }
            if asking.isEmpty { return }
            let answer: Answer
            do { answer = .success(try await readAll()) } catch { answer = .failure(error) }
            for inbox in asking { inbox.yield(answer) }
        }
    }
}
