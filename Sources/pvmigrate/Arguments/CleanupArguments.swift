import ArgumentParser
import Migration

/// The flags of `pvmigrate cleanup`.
struct CleanupArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate cleanup",
        abstract: "Removes the volumes that were kept for a rollback, once they are old enough.",
        version: "pvmigrate \(version)"
    )

    @Option(help: ArgumentHelp("Keep those of the last days; 0 for none. Required.", valueName: "days"))
    var keepDays: Int?

    @OptionGroup(title: SelectionArguments.title) var selection: SelectionArguments

    @Flag(help: "Show what would be freed, and change nothing.")
    var dryRun = false

    @Flag(help: "Do not ask before storage is freed, which is only done where a person is at a terminal.")
    var yes = false

    @OptionGroup(title: ConnectionArguments.title) var connection: ConnectionArguments

    func checked() throws(UsageError) -> (Options, age: Duration, connection: Connection) {
        guard let keepDays else { throw UsageError("--keep-days is missing") }
        guard (0...100_000).contains(keepDays) else {
            throw UsageError("--keep-days must be a whole number of days from 0 to 100000, not \(keepDays)")
        }
        var options = Options(sourceClass: "", destinationClass: "")
        options.selection = try selection.checked()
        return (options, .seconds(86_400 * keepDays), try connection.checked())
    }
}
