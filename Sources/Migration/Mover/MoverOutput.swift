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

    private enum Shown: Sendable {
        /// The mover ended; nil where it was deleted or lost.
        case moverEnded(Pod?)
        case outputEnded
    }

    /// Shows the output and the progress of the copying container to those who want them, while it runs.
    ///
    /// - Parameter wait: Waits for the mover's end. Only the last lines of `--verbose-copy` delay it.
    func showing(
        _ pod: Pod,
        of state: ClaimState,
        _ mover: MoverPod,
        until wait: @escaping @Sendable () async throws -> Pod?
    ) async throws -> Pod? {
        guard mover.task != .compare, isVerbose || journal.watch != nil else { return try await wait() }
        return try await withThrowingTaskGroup(of: Shown.self) { group in
            group.addTask { .moverEnded(try await wait()) }
            group.addTask {
                try await show(pod, of: state, mover.content)
                return .outputEnded
            }
            defer { group.cancelAll() }
            var isShown = !isVerbose
            var last: Pod??
            while last == nil || !isShown, let next = try await group.next() {
                switch next {
                case .outputEnded: isShown = true
                case .moverEnded(let pod):
                    last = .some(pod)
                    group.addTask {
                        try await time.sleep(time.now() + Self.drain)
                        return .outputEnded
                    }
                }
            }
            return last ?? nil
        }
    }

    /// Follows the output. Where following fails, the copy goes on unseen.
    private func show(_ pod: Pod, of state: ClaimState, _ content: any MoverContent) async throws {
        do {
            if !isVerbose { try await time.sleep(time.now() + Self.delay) }
            var pace = CopyPace()
            try await client.followLog(
                of: pod.name,
                container: MoverPod.copyContainer,
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
