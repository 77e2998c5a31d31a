import ArgumentParser
import Migration

/// The flags of `pvmigrate rollback`.
struct RollbackArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate rollback",
        abstract: "Swaps claims back to the source volumes that were kept with --keep-source.",
        discussion: Help.pipeline(.rollback(discardingChanges: false)),
        version: "pvmigrate \(version)"
    )

    @OptionGroup(title: SelectionArguments.title) var migration: MigrationArguments

    @Flag(help: "Give up what was written since the migration.")
    var discardChanges = false

    @Flag(help: "Do not ask before changes are given up, which is only done where a person is at a terminal.")
    var yes = false

    @Flag(help: "Keep the volumes that the claims are on now, for a way forward again.")
    var keepSource = false

    @Option(help: ArgumentHelp("The image to compare with; must have rsync on its PATH.", valueName: "image"))
    var rsyncImage = Options(sourceClass: "", destinationClass: "").rsyncImage

    @Option(
        help: ArgumentHelp(
            "A partial pod manifest, in YAML or JSON, that is merged into every mover.",
            valueName: "file"
        )
    )
    var moverTemplate: String?

    @Flag(help: "Roll back without checking first.")
    var skipPreflightValidation = false

    @OptionGroup var running: RunArguments

    func checked() throws(UsageError) -> Invocation {
        var options = try migration.checked().back(discardingChanges: discardChanges)
        options.keepSource = keepSource
        options.rsyncImage = try Check.image(rsyncImage)
        options.moverTemplate = try Check.moverTemplate(moverTemplate)
        var invocation = try running.invocation(options, .migrate(afterPreflight: !skipPreflightValidation))
        invocation.asksFirst = discardChanges && !yes
        return invocation
    }
}
