import ArgumentParser
import Migration

/// The flags of `pvmigrate stage`.
struct StageArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate stage",
        abstract: "Copies while the workloads run, so that a later `pvmigrate --live` has little left to copy.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup var migration: MigrationArguments
    @OptionGroup var copying: CopyArguments
    @OptionGroup var checks: PreflightArguments

    @Flag(help: "Copy without checking first.")
    var skipPreflightValidation = false

    @OptionGroup var stopping: StoppingArguments
    @OptionGroup var events: EventArguments

    @Flag(help: "Show what would be done, and change nothing.")
    var dryRun = false

    @OptionGroup var files: FileArguments
    @OptionGroup var connection: ConnectionArguments

    func checked() throws(UsageError) -> Invocation {
        var options = try migration.checked()
        options.goal = .stage
        try copying.apply(to: &options)
        try stopping.apply(to: &options)
        events.apply(to: &options)
        try checks.apply(to: &options)
        return Invocation(
            options: options,
            connection: try connection.checked(streaming: true),
            mode: dryRun ? .plan : .migrate(afterPreflight: !skipPreflightValidation),
            files: try files.checked()
        )
    }
}
