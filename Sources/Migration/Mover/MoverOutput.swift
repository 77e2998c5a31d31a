import Kubernetes

/// Shows the output of movers while they run.
struct MoverOutput: Sendable {
    private let client: Client
    private let isVerbose: Bool
    private let journal: Journal
    private var time: TimeSource { client.time }

    init(_ context: Context) {
        (client, isVerbose, journal) = (context.destination, context.options.verboseCopy, context.journal)
    }

    /// The delay of the connection. A copy that is shorter is not worth one.
    private static let delay: Duration = .seconds(1)
    /// The time that output may be missing after the mover's end.
    private static let drain: Duration = .seconds(5)

    private enum Shown<End: Sendable>: Sendable {
        case moverEnded(End)
        case outputEnded
    }

    /// Shows the output and the progress of the copying container to those who want them, while it runs.
    ///
    /// - Parameters:
    ///   - isNew: True to show only what it prints from now on.
    ///   - wait: Waits for the mover's end. Only the last lines of `--verbose-copy` delay it.
    func showing<End: Sendable>(
        _ pod: Pod,
        of state: ClaimState,
        _ content: any MoverContent,
        onlyNew isNew: Bool = false,
        until wait: @escaping @Sendable () async throws -> End
    ) async throws -> End {
        guard isVerbose || journal.watch != nil else { return try await wait() }
        return try await withThrowingTaskGroup(of: Shown<End>.self) { group in
            group.addTask { .moverEnded(try await wait()) }
            group.addTask {
                try await show(pod, of: state, content, onlyNew: isNew)
                return .outputEnded
            }
            defer { group.cancelAll() }
            var isShown = !isVerbose
            var last: End?
            while last == nil || !isShown, let next = try await group.next() {
                switch next {
                case .outputEnded: isShown = true
                case .moverEnded(let end):
                    last = end
                    group.addTask {
                        try await time.sleep(time.now() + Self.drain)
                        return .outputEnded
                    }
                }
            }
            guard let last else { throw CancellationError() }
            return last
        }
    }

    /// Follows the output. Where following fails, the copy goes on unseen.
    private func show(
        _ pod: Pod,
        of state: ClaimState,
        _ content: any MoverContent,
        onlyNew isNew: Bool
    ) async throws {
        do {
            if !isVerbose { try await time.sleep(time.now() + Self.delay) }
            var pace = CopyPace()
            try await client.followLog(
                of: pod.name,
                container: MoverPod.copyContainer,
                tail: isNew ? 0 : nil,
                silence: .seconds(3600)
            ) { line in
                if isVerbose { journal.output(state.title, line) }
                if let amount = content.amount(in: line[...]), let progress = pace.add(amount, at: time.now()) {
                    journal.watch?(state.name, progress)
                }
            }
            // All is copied and is being checked.
            if let bytes = pace.last?.bytes { journal.watch?(state.name, CopyProgress(bytes: bytes, total: bytes)) }
        } catch {
            try Task.checkCancellation()
            journal.warn(state.title, "the mover's output can't be followed any more: \(error)")
        }
    }
}
