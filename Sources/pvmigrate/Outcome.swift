import Kubernetes
import Migration

/// How the command ended: what both output formats show.
struct Outcome: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case planned
        case nothingToDo = "nothing-to-do"
        case preflightPassed = "preflight-passed"
        case preflightFailed = "preflight-failed"
        case migrated
        case staged
        case rolledBack = "rolled-back"
        case retyped
        case copied
        case moved
        case uploaded
        case downloaded
        case aborted
        case failed
        case interrupted
    }

    var kind: Kind
    var code: ExitCode
    /// The last thing to say, on one line.
    var message: String
    /// What discovery found, as soon as it has.
    var discovery: Discovery?
    /// What stands in the way: preflight's rows.
    var obstacles: [Obstacle] = []
    /// What became of each claim, where the migration was begun.
    var report: Report?
}

extension Options {
    /// What is done with claims, as messages say it while it goes on and afterwards.
    var goalInWords: (doing: String, done: String) {
        switch goal {
        case .migrate where tree?.direction == .upload: ("uploading", "uploaded")
        case .migrate where tree != nil: ("downloading", "downloaded")
        case .migrate where handover?.ending == .move: ("moving", "moved")
        case .migrate where handover != nil: ("copying", "copied")
        case .migrate: ("migrating", "migrated")
        case .stage: ("staging", "staged")
        case .rollback: ("rolling back", "rolled back")
        case .retype: ("retyping", "retyped")
        }
    }

    /// How the command ends that has done it.
    var goalOutcome: Outcome.Kind {
        switch goal {
        case .migrate where tree?.direction == .upload: .uploaded
        case .migrate where tree != nil: .downloaded
        case .migrate where handover?.ending == .move: .moved
        case .migrate where handover != nil: .copied
        case .migrate: .migrated
        case .stage: .staged
        case .rollback: .rolledBack
        case .retype: .retyped
        }
    }
}

extension Command {
    /// What a run has come to, and its last line.
    func outcome(_ report: Report, _ discovery: Discovery, took: Duration) -> Outcome {
        let migrated = report.claims.count(where: \.isDone)
        let done = options.goalInWords.done
        if report.succeeded {
            var next = ""
            if options.goal == .stage {
                next =
                    options.handover == nil
                    ? "; `pvmigrate --live` copies what changes from now on, and swaps the claims"
                    : "; `pvmigrate transfer` copies what changes from now on, and hands the copies over"
            } else if options.keepSource, migrated > 0 {
                next =
                    "; \(migrated.of("old volume")) kept: `pvmigrate rollback` swaps back to them, `pvmigrate cleanup` "
                    + "frees them"
            }
            if report.bytesNotMoved > 0 { next = "; \(report.bytesNotMoved.inBytes) did not have to travel" }
            if !report.left.isEmpty { next += "; left stopped: \(report.left.joined(separator: ", "))" }
            return Outcome(
                kind: options.goalOutcome,
                code: .done,
                message: "done: \(migrated.of("claim")) \(done) in \(took.inWords)\(next)",
                discovery: discovery,
                report: report
            )
        }
        let failed = report.claims.count { $0.result == .failed }
        let skipped = report.claims.count - migrated - failed
        var parts = ["\(migrated) of \(report.claims.count.of("claim")) \(done), \(failed) failed, \(skipped) skipped"]
        if report.wasInterrupted { parts.insert(interrupted, at: 0) }
        parts += report.failures
        parts.append(
            report.stopped.isEmpty
                ? "every workload runs, and it is safe to run again"
                : "still stopped: \(report.stopped.joined(separator: ", ")); run the same command again to finish"
                    + (discovery.leftStopped.isEmpty ? "" : "; for what claims hold that are not chosen, see above")
        )
        return Outcome(
            kind: report.wasInterrupted ? .interrupted : .failed,
            code: report.stopped.isEmpty ? .failed : .stopped,
            message: parts.joined(separator: "; "),
            discovery: discovery,
            report: report
        )
    }
}
