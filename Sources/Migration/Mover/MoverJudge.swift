import Kubernetes

/// Judges ended movers by the output of their containers.
struct MoverJudge: Sendable {
    private let client: Client

    init(_ context: Context) { client = context.destination }

    /// Returns the outcome of an ended mover.
    ///
    /// - Throws: `Failure` where another attempt would fail too.
    func judge(_ pod: Pod, _ mover: MoverPod, took: Duration) async throws -> MoverOutcome {
        let content = mover.content
        func ofCopy() async throws -> CopyStatistics? {
            content.statistics(in: try await client.log(of: pod.name, container: MoverPod.copyContainer, tail: 60))
        }
        let copied = pod.state(of: MoverPod.copyContainer)?.terminated
        let checked = pod.state(of: MoverPod.checkContainer)?.terminated
        if mover.makesPass, [0, MoverExit.vanished].contains(copied?.exitCode) {
            return .done(.unchecked(try await ofCopy(), took: took))
        }
        if mover.task == .copy, !mover.checks, copied?.exitCode == 0 {
            return .done(.equal(try await ofCopy()))
        }
        let isCopied = mover.task == .compare || mover.task == .copy && copied?.exitCode == 0
        if isCopied, checked?.exitCode == 0 {
            let check = try await client.log(of: pod.name, container: MoverPod.checkContainer, tail: 1000)
            let outcome = judgeCheck(check, content)
            guard mover.task == .copy else { return outcome }
            return try judgeCopy(
                try await ofCopy(),
                checked: outcome,
                content,
                at: pod.title,
                in: pod.metadata.namespace
            )
        }
        // The reason is an eviction, a passed deadline or a node's shutdown. It says more than an exit code.
        let end = pod.status?.reason.map { "\($0)\(pod.status?.message.map { ": \($0)" } ?? "")" }
        let failedContainer = isCopied ? MoverPod.checkContainer : MoverPod.copyContainer
        guard let failed = isCopied ? checked : copied else {
            return .again("\(pod.title) failed: \(end ?? pod.failureOfOthers ?? "and nothing says why")")
        }
        let output = try await output(of: failedContainer, of: pod, failed)
        return try judgeFailure(failed.exitCode, output, mover, content, of: pod, end: end, took: took)
    }

    /// Returns the outcome of a command of a standing mover.
    ///
    /// - Throws: `Failure` where another attempt would fail too.
    func judge(
        _ end: CommandEnd,
        of command: Command,
        _ content: any MoverContent,
        by mover: StandingMover,
        took: Duration
    ) throws -> MoverOutcome {
        switch command {
        case .pass where [0, MoverExit.vanished].contains(end.code):
            return .done(.unchecked(content.statistics(in: end.output), took: took))
        case .copy where end.code == 0: return .done(.equal(content.statistics(in: end.output)))
        case .check where end.code == 0, .compare where end.code == 0: return judgeCheck(end.output, content)
        case .pass, .copy, .check, .compare:
            return try judgeFailure(end.code, end.output, mover.mover, content, of: mover.pod, end: nil, took: took)
        }
    }

    /// Returns the outcome of a check that ended without a failure.
    private func judgeCheck(_ output: String, _ content: any MoverContent) -> MoverOutcome {
        guard let differences = content.differences(in: output) else {
            return .again(
                "the log of the check does not show from its beginning to its end that nothing differs; do "
                    + "--rsync-flags silence it, or does the kubelet keep too little of it (containerLogMaxSize)?"
            )
        }
        return .done(differences.isEmpty ? .equal(content.statistics(in: output)) : .different(differences))
    }

    /// Returns the outcome of a copy, given that of its check.
    ///
    /// - Throws: `Failure` where another copy would leave the same differences.
    func judgeCopy(
        _ statistics: CopyStatistics?,
        checked: MoverOutcome,
        _ content: any MoverContent,
        at place: String,
        in namespace: String?
    ) throws -> MoverOutcome {
        switch checked {
        case .done(.equal(let found)): return .done(.equal(statistics ?? found))
        case .done(.different(let items)):
            try checkFinal(items, content, at: place, in: namespace)
            return .again(Self.stillDifferent(items))
        case let other: return other
        }
    }

    /// Returns the outcome of a program that failed.
    ///
    /// - Throws: `Failure` where another attempt would fail too.
    private func judgeFailure(
        _ code: Int,
        _ output: String,
        _ mover: MoverPod,
        _ content: any MoverContent,
        of pod: Pod,
        end: String?,
        took: Duration
    ) throws -> MoverOutcome {
        if let reduced = content.reduced(after: code, output: output) {
            return .unsupported(reduced.content, reduced.loss)
        }
        if content.isHarmless(code, output: output) {
            return .done(.unchecked(content.statistics(in: output), took: took))
        }
        let exit = content.exit(code)
        let tail = MoverExit.complaints(in: output).joined(separator: "\n    ")
        let isDenied = mover.owner != nil && output.lowercased().contains("permi")
        let advice =
            (isDenied ? MoverExit.adviceOnRoot(in: pod.metadata.namespace ?? "") : content.advice(output: output))
            .map { "\n  advice: \($0)" } ?? ""
        let why = "\(content.tool) ended with exit code \(code), \(exit.meaning)\(end.map { " (\($0))" } ?? "")"
        let details = (tail.isEmpty ? "" : ". It says:\n    \(tail)") + advice
        if exit.isWorthRepeating || end != nil { return .again(why, details: details) }
        throw Failure(place: pod.title, reason: why + details)
    }

    /// - Throws: `Failure` where another copy would leave the same differences.
    private func checkFinal(
        _ differences: [String],
        _ content: any MoverContent,
        at place: String,
        in namespace: String?
    ) throws {
        guard let why = content.whyFinal(differences) else { return }
        throw Failure(place: place, reason: "\(why)\n  advice: \(MoverExit.adviceOnRoot(in: namespace ?? ""))")
    }

    /// Returns the output of a failed container; where it never ran, the kubelet's message about it.
    private func output(
        of container: String,
        of pod: Pod,
        _ end: Pod.ContainerStatus.State.Terminated
    ) async throws -> String {
        do {
            let log = try await client.log(of: pod.name, container: container, tail: 200)
            return log.isEmpty ? end.message ?? "" : log
        } catch let error as APIError {
            return end.message ?? "(its output could not be read: \(error))"
        }
    }

    private static func stillDifferent(_ items: [String]) -> String {
        "after the copy \(items.count) entries still differ, such as: \(items.first?.shortened(to: 1000) ?? "")"
    }
}

extension Pod {
    /// The failure of a container that others put into the mover.
    fileprivate var failureOfOthers: String? {
        let statuses = (status?.initContainerStatuses ?? []) + (status?.containerStatuses ?? [])
        return statuses.lazy.compactMap { status in
            guard let end = status.state?.terminated, end.exitCode != 0 else { return nil }
            return "its container \(status.name), which is not of this program, ended with exit code \(end.exitCode)"
        }.first
    }
}
