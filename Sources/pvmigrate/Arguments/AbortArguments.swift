import ArgumentParser

/// The flags of `pvmigrate abort`.
struct AbortArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate abort",
        abstract: "Takes back what a run has left half done, and removes what it had copied.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup(title: SelectionArguments.title) var migration: MigrationArguments
    @OptionGroup(title: FileArguments.title) var files: FileArguments
    @OptionGroup(title: ConnectionArguments.title) var connection: ConnectionArguments

    func checked() throws(UsageError) -> Invocation {
        Invocation(
            options: try migration.checked(),
            connection: try connection.checked(streaming: true),
            mode: .abort,
            files: try files.checked()
        )
    }
}
