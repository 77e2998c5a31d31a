import ArgumentParser
import Kubernetes
import Migration

/// The arguments of `pvmigrate plan`.
struct PlanArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate plan",
        abstract: "Prints what a command would do as a file, to be reviewed and given to `pvmigrate apply`.",
        usage: "pvmigrate \(name) \(flags)",
        discussion: """
            The command is one that moves claims, with its flags: stage, rollback, transfer or stage transfer; without a
            name, the migration. It only reads. How the cluster is reached, and what is written where, is no part of the
            plan.
            """,
        version: "pvmigrate \(version)"
    )

    @Argument(
        parsing: .captureForPassthrough,
        help: ArgumentHelp("The command that is planned, and its flags.", valueName: "command")
    )
    var command: [String] = []
}

/// The arguments of `pvmigrate apply`.
struct ApplyArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate apply",
        abstract: "Does what a file of `pvmigrate plan` says, if the cluster is still as it was planned.",
        usage: "pvmigrate \(name) \(flags)",
        discussion: """
            Each difference is named, and then nothing is changed. What an earlier apply of the same file has done already
            is no difference, so that it may be run again until all is done.
            """,
        version: "pvmigrate \(version)"
    )

    @Argument(help: ArgumentHelp("The file that `pvmigrate plan` printed.", valueName: "file"))
    var file: String?

    @Flag(help: "Show what would be done, and change nothing.")
    var dryRun = false

    @Flag(help: "Only check whether it would work.")
    var preflightValidationOnly = false

    @OptionGroup var files: FileArguments
    @OptionGroup var connection: ConnectionArguments

    /// - Throws: `UsageError` where the file is no plan.
    func checked() throws(UsageError) -> Invocation {
        guard let file, !file.isEmpty else { throw UsageError("the file of the plan is missing") }
        let document = try PlanDocument(readFrom: file)
        var invocation: Invocation
        do throws(UsageError) {
            invocation = try PlannedCommand.read(document.spec.command)
        } catch {
            throw UsageError("\(file): its command can't be run: \(error.message)")
        }
        guard !dryRun || !preflightValidationOnly else {
            throw UsageError("--preflight-validation-only and --dry-run exclude each other")
        }
        if dryRun { invocation.mode = .plan }
        if preflightValidationOnly { invocation.mode = .preflight }
        invocation.connection = try connection.checked(streaming: true)
        invocation.files = try files.checked()
        invocation.plan = document.spec.cluster
        return invocation
    }
}
