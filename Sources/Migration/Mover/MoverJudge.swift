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
        if mover.task == .pass, [0, MoverExit.vanished].contains(copied?.exitCode) {
            return .done(.unchecked(try await ofCopy(), took: took))
        }
        if mover.task == .copy, !mover.checks, copied?.exitCode == 0 {
            return .done(.equal(try await ofCopy()))
        }
        let isCopied = mover.task == .compare || mover.task == .copy && copied?.exitCode == 0
        if isCopied, checked?.exitCode == 0 {
            let check = try await client.log(of: pod.name, container: MoverPod.checkContainer, tail: 1000)
            guard let differences = content.differences(in: check) else {
                return .again(
                    "the log of the check does not show from its beginning to its end that nothing differs; do "
                        + "--rsync-flags silence it, or does the kubelet keep too little of it (containerLogMaxSize)?"
                )
            }
            if mover.task == .compare {
                return .done(differences.isEmpty ? .equal(content.statistics(in: check)) : .different(differences))
            }
            try checkFinal(differences, content, at: pod.title, in: pod.metadata.namespace)
            if differences.isEmpty { return .done(.equal(try await ofCopy() ?? content.statistics(in: check))) }
            return .again(Self.stillDifferent(differences))
        }
        // The reason is an eviction, a passed deadline or a node's shutdown. It says more than an exit code.
        let end = pod.status?.reason.map { "\($0)\(pod.status?.message.map { ": \($0)" } ?? "")" }
        let failedContainer = isCopied ? MoverPod.checkContainer : MoverPod.copyContainer
        guard let failed = isCopied ? checked : copied else {
            return .again("\(pod.title) failed: \(end ?? pod.failureOfOthers ?? "and nothing says why")")
        }
        let output = try await output(of: failedContainer, of: pod, failed)
        let code = failed.exitCode
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
    func checkFinal(
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

    static func stillDifferent(_ items: [String]) -> String {
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
