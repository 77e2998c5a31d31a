import ArgumentParser
import Migration

/// What a person asked for, with every value checked.
struct Invocation: Sendable {
    /// Reads it from the command's arguments, in Go's spellings too.
    ///
    /// - Throws: `UsageError`, or the argument parser's own errors and requests for help.
    static func read(_ arguments: [String]) throws -> Invocation {
        try MigrateArguments.parse(try GoSpelling.normalise(arguments)).checked()
    }

    enum Mode: Sendable, Equatable {
        /// `--dry-run`
        case plan
        /// `--preflight-validation-only`
        case preflight
        /// A rollback too.
        case migrate(afterPreflight: Bool)
        case abort
    }

    /// What a run writes at its end, however it ends.
    struct Files: Sendable {
        var junit: ResultFile?
        var report: ResultFile?
        /// Written while it goes on, too.
        var metrics: ResultFile?

        var all: [ResultFile] { [junit, report, metrics].compactMap(\.self) }
    }

    var options: Options
    var connection: Connection
    var mode: Mode
    var files: Files
    /// The cluster as it must still be; nil for any.
    var plan: Plan?
    /// How long the run may take; nil for no limit.
    var timeout: Duration?
    /// Whether a person who can be asked shall be, since something is given up that can't be had back.
    var asksFirst = false
    /// What is to be copied to or from this computer; nil for all else.
    var tree: TreeRequest?
}
