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

extension Options.Goal {
    /// What is done with claims, as messages say it while it goes on and afterwards.
    var inWords: (doing: String, done: String) {
        switch self {
        case .migrate: ("migrating", "migrated")
        case .stage: ("staging", "staged")
        case .rollback: ("rolling back", "rolled back")
        }
    }

    /// How the command ends that has done it.
    var outcome: Outcome.Kind {
        switch self {
        case .migrate: .migrated
        case .stage: .staged
        case .rollback: .rolledBack
        }
    }
}
