import Kubernetes

/// Waits for the end of a unit's pods.
struct EndOfPods: Sendable {
    /// The pods of a unit that may write no more.
    struct Ended: Sendable {
        /// The UIDs of those that are still there.
        var pods: Set<String>
        /// True where some of them hold the claims until their objects are gone.
        var leaves: Bool
    }

    private let source: Client
    private let limits: Limits
    private let stopTimeout: Duration?

    init(_ context: Context) {
        (source, limits, stopTimeout) = (context.source, context.limits, context.options.stopTimeout)
    }

    /// Returns the time that a unit's pods may take to be gone: longer than their grace periods, and at most an hour,
    /// unless an option says otherwise.
    private func stopLimit(for unit: Unit) -> Duration {
        stopTimeout ?? max(limits.stopping, min(unit.gracePeriod + .seconds(60), .seconds(3600)))
    }

    /// Waits until no pod except ours may write to a unit's claims.
    ///
    /// - Parameter node: A node where it is enough that the containers of pods have ended: what they wrote is seen there at
    ///   once. Elsewhere, and everywhere where it is nil, their objects must be gone too, as the node may still be writing
    ///   and unmounting.
    func wait(for unit: Unit, beside node: String?) async throws -> Ended {
        var last: [MountingPod] = []
        do {
            return try await source.wait(
                for: MountingPod.self,
                in: unit.namespace,
                where: { unit.isUsed(by: $0) },
                limit: stopLimit(for: unit),
                what: "the pods of \(unit.title) to be gone"
            ) { snapshot in
                let leaving = snapshot.objects.values.filter { !$0.neverRuns && $0.metadata.isTerminating }
                last = snapshot.objects.values.filter { !$0.neverRuns && !$0.isFinished }
                last += leaving.filter { node == nil || $0.nodeName != node }
                guard last.isEmpty else { return nil }
                return Ended(pods: Set(snapshot.objects.keys), leaves: !leaving.isEmpty)
            }
        } catch let timeout as WaitTimeout {
            let pods = Set(last.map(\.hold)).sorted().joined(separator: "; ")
            throw Failure(
                place: unit.title,
                reason: "\(timeout): \(pods)\n  advice: --stop-timeout gives them more time"
            )
        }
    }
}

extension MountingPod {
    /// The reason why it still holds its claims, and what to do about it.
    fileprivate var hold: String {
        if metadata.isTerminating {
            let node = spec.nodeName ?? "?"
            let finalizers = metadata.finalizers ?? []
            return "\(title) is being deleted and does not end; "
                + (finalizers.isEmpty
                    ? "is its node \(node) lost (kubectl get node \(node))?"
                    : "it waits for its finalizers \(finalizers.joined(separator: ", "))")
        }
        let owner = metadata.controller.map { "of the \($0.kind) \($0.name)" } ?? "without an owner"
        return "\(title) (\(phase), \(owner)) goes on; stop or delete it, and run again"
    }
}
