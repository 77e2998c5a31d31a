import ArgumentParser
import Migration

/// The flags of `pvmigrate stage`.
struct StageArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate stage",
        abstract: "Copies while the workloads run, so that a later `pvmigrate --live` has little left to copy.",
        discussion: Help.pipeline(.staging),
        version: "pvmigrate \(version)"
    )

    @OptionGroup(title: SelectionArguments.title) var migration: MigrationArguments
    @OptionGroup(title: "Copying") var copying: CopyArguments
    @OptionGroup(title: "Preflight") var checks: PreflightArguments

    @Flag(help: "Copy without checking first.")
    var skipPreflightValidation = false

    @OptionGroup var running: RunArguments

    func checked() throws(UsageError) -> Invocation {
        var options = try migration.checked()
        options.goal = .stage
        try copying.apply(to: &options)
        try checks.apply(to: &options)
        return try running.invocation(options, .migrate(afterPreflight: !skipPreflightValidation))
    }
}
