import Kubernetes
import Migration

extension Command {
    /// Takes back what a migration or a rollback between the two classes has left half done.
    func abort(_ migrator: Migrator, _ found: Discovery) async throws -> Outcome {
        let report = try await migrator.exclusively(as: Self.identity, interruption: interruption) {
            try await migrator.abort()
        }
        // A half-done rollback has claims that a migration would not find: only where there is none of either is a name
        // a slip.
        if report.claims.isEmpty, report.succeeded, let refusal = refusal(found.unmatched, found) { return refusal }
        return outcome(report, found)
    }

    private func outcome(_ report: Report, _ discovery: Discovery) -> Outcome {
        let back = report.claims.count { $0.result == .takenBack }
        let finished = report.claims.count { $0.isDone } - back
        let failed = report.claims.count { $0.result == .failed }
        var parts = ["\(back.of("claim")) taken back"]
        if finished > 0 { parts.append("\(finished) past the point of no return and finished") }
        if failed > 0 { parts.append("\(failed) failed, see above") }
        parts += report.failures
        if !report.stopped.isEmpty {
            parts.append("still stopped: \(report.stopped.joined(separator: ", ")); run the same command again")
        }
        if report.succeeded, report.claims.isEmpty { parts = ["nothing to take back"] }
        return Outcome(
            kind: report.succeeded ? .aborted : .failed,
            code: report.succeeded ? .done : report.stopped.isEmpty ? .failed : .stopped,
            message: (report.succeeded ? "done: " : "") + parts.joined(separator: "; "),
            discovery: discovery,
            report: report
        )
    }
}
