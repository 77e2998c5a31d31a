import ArgumentParser
import Migration

/// The flags of `pvmigrate status`.
struct StatusArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate status",
        abstract: "Tells what is under way, stopped, left over, or kept for a rollback; changes nothing.",
        version: "pvmigrate \(version)"
    )

    @Option(
        name: .customLong("source-sc"),
        help: ArgumentHelp(
            "Only migrations from this StorageClass, and how many claims it still has.",
            valueName: "name"
        )
    )
    var sourceClass: String?

    @Option(
        name: .customLong("dest-sc"),
        help: ArgumentHelp("Only migrations to this StorageClass, and how many claims are on it.", valueName: "name")
    )
    var destinationClass: String?

    @OptionGroup(title: SelectionArguments.title) var selection: SelectionArguments

    @Flag(help: "Tell what changes until no run is at work, with the run's own log where it is a Job's pod.")
    var follow = false

    @OptionGroup(title: ConnectionArguments.title) var connection: ConnectionArguments

    func checked() throws(UsageError) -> (MigrationStatus.Scope, Connection) {
        var scope = MigrationStatus.Scope()
        (scope.sourceClass, scope.destinationClass) = try Check.classNames(sourceClass, destinationClass)
        scope.selection = try selection.checked()
        return (scope, try connection.checked())
    }
}
