import ArgumentParser
import Migration

/// The flags of `pvmigrate transfer`.
struct TransferArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate transfer",
        abstract: "Copies or gives the PersistentVolumeClaims of one namespace to another.",
        discussion: Help.transfer,
        version: "pvmigrate \(version)"
    )

    @OptionGroup(title: SelectionArguments.title) var handover: HandoverArguments
    @OptionGroup(title: "Other objects") var objects: IncludeArguments

    @Flag(help: "Leave the workloads here stopped, as --ending move does anyway.")
    var leaveStopped = false

    @Flag(help: "Create the namespace that the claims go to, where it does not exist.")
    var createNamespace = false

    @Option(
        help: ArgumentHelp(
            "Stop nothing before this object of the other namespace is there; may be given several times.",
            discussion: "Such as deployment/web: whoever deploys there brings it. The run waits for an hour at most.",
            valueName: "kind/name"
        )
    )
    var waitFor: [String] = []

    @OptionGroup(title: "Copying") var copying: CopyArguments
    @OptionGroup(title: "Preflight") var checks: PreflightArguments

    @Flag(help: "Only check whether the transfer would work.")
    var preflightValidationOnly = false

    @Flag(help: "Transfer without checking first.")
    var skipPreflightValidation = false

    @OptionGroup var running: RunArguments

    func checked() throws(UsageError) -> Invocation {
        var options = try handover.checked()
        options.handover?.leavesStopped = leaveStopped
        options.handover?.createsNamespace = createNamespace
        if var handover = options.handover {
            try objects.apply(to: &handover)
            handover.awaited = try waitFor.map(Check.awaited)
            options.handover = handover
        }
        try copying.apply(to: &options)
        try checks.apply(to: &options)
        if options.copyFrom != .auto {
            throw UsageError(
                "--copy-from says what is copied while the workloads run: give it to `pvmigrate stage transfer`"
            )
        }
        if options.handover?.ending == .move, options.destinationSize != nil {
            throw UsageError("--ending move gives the volumes away as they are; it and --dest-size exclude each other")
        }
        let mode = try running.mode(
            onlyValidates: preflightValidationOnly,
            skipsPreflight: skipPreflightValidation
        )
        return try running.invocation(options, mode)
    }
}

/// The flags of `pvmigrate stage transfer`.
struct StageTransferArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate stage transfer",
        abstract: "Copies while the workloads run, so that a later `pvmigrate transfer` has little left to copy.",
        discussion: Help.pipeline(.staging),
        version: "pvmigrate \(version)"
    )

    @OptionGroup(title: SelectionArguments.title) var handover: HandoverArguments
    @OptionGroup(title: "Copying") var copying: CopyArguments
    @OptionGroup(title: "Preflight") var checks: PreflightArguments

    @Flag(help: "Copy without checking first.")
    var skipPreflightValidation = false

    @OptionGroup var running: RunArguments

    func checked() throws(UsageError) -> Invocation {
        var options = try handover.checked()
        guard options.handover?.ending == .copy else {
            throw UsageError("--ending move copies nothing, so there is nothing to stage")
        }
        options.goal = .stage
        try copying.apply(to: &options)
        try checks.apply(to: &options)
        return try running.invocation(options, .migrate(afterPreflight: !skipPreflightValidation))
    }
}

/// The flags of `pvmigrate abort transfer`.
struct AbortTransferArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate abort transfer",
        abstract: "Takes back what a transfer has left half done, as long as the other namespace has nothing of it.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup(title: SelectionArguments.title) var handover: HandoverArguments
    @OptionGroup(title: FileArguments.title) var files: FileArguments
    @OptionGroup(title: ConnectionArguments.title) var connection: ConnectionArguments

    func checked() throws(UsageError) -> Invocation {
        Invocation(
            options: try handover.checked(),
            connection: try connection.checked(streaming: true),
            mode: .abort,
            files: try files.checked()
        )
    }
}
