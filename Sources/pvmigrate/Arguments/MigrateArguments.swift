import ArgumentParser
import Migration

/// The flags of `pvmigrate`.
///
/// What is required is checked in `checked`, together with everything else that may be wrong with a value.
struct MigrateArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate",
        abstract: "Moves the PersistentVolumeClaims of one StorageClass to another, keeping their names.",
        usage: (["pvmigrate \(flags)"]
            + Subcommands.all.map { "pvmigrate \($0.name) \($0.flags)" }).joined(separator: "\n"),
        version: "pvmigrate \(version)"
    )

    /// As the usage gives them.
    static let flags = "--source-sc <name> --dest-sc <name> [flags]"

    @OptionGroup(title: SelectionArguments.title) var migration: MigrationArguments

    @OptionGroup(title: "Copying") var copying: CopyArguments

    @Flag(help: "Copy while the workloads run, and stop them only for what has changed since.")
    var live = false

    @Flag(help: "Do not copy before the stop: all reading and writing is part of it.")
    var noEarlyPass = false

    @Flag(help: "Copy nothing: the same storage gets a volume object of the destination class, of the same driver.")
    var retype = false

    @Option(
        help: ArgumentHelp(
            "With --retype, a difference between volume and class that may stay; may be given several times.",
            discussion: "Preflight names each: a parameter, fsType, mountOptions, secrets or allowedTopologies.",
            valueName: "key"
        )
    )
    var accept: [String] = []

    @Flag(help: "Make the destination class the default class afterwards.")
    var setDefaults = false

    @Flag(help: "Make StatefulSets name the destination class in their claim templates afterwards.")
    var updateClaimTemplates = false

    @OptionGroup(title: "Preflight") var checks: PreflightArguments

    @Flag(help: "Only check whether the migration would work.")
    var preflightValidationOnly = false

    @Flag(help: "Migrate without checking first.")
    var skipPreflightValidation = false

    @Flag(help: "Keep each source volume, so that `pvmigrate rollback` can swap its claim back to it.")
    var keepSource = false

    @OptionGroup var running: RunArguments

    /// Checks every value, and the flags together.
    ///
    /// - Throws: `UsageError` with the first thing that is wrong.
    func checked() throws(UsageError) -> Invocation {
        var options = try migration.checked()
        let mode = try running.mode(
            onlyValidates: preflightValidationOnly,
            skipsPreflight: skipPreflightValidation
        )
        try copying.apply(to: &options)
        try checks.apply(to: &options)
        options.isLive = live
        options.passesEarly = !noEarlyPass
        guard !live || !noEarlyPass else { throw UsageError("--live and --no-early-pass exclude each other") }
        guard live || options.copyFrom == .auto else {
            throw UsageError("--copy-from says what is copied while the workloads run, so it needs --live")
        }
        try retyping(&options)
        options.keepSource = keepSource
        options.setDefaults = setDefaults
        options.updatesClaimTemplates = updateClaimTemplates
        return try running.invocation(options, mode)
    }

    private func retyping(_ options: inout Options) throws(UsageError) {
        guard retype else {
            guard accept.isEmpty else { throw UsageError("--accept is for --retype") }
            return
        }
        let others = [
            (live, "--live"), (keepSource, "--keep-source"), (copying.destinationSize != nil, "--dest-size"),
        ]
        for (given, other) in others where given {
            throw UsageError(
                "--retype copies nothing and keeps the storage as it is; it and \(other) exclude each other"
            )
        }
        for key in accept where key.isEmpty { throw UsageError("--accept is empty") }
        (options.goal, options.accepted) = (.retype, Set(accept))
    }
}
