import ArgumentParser
import Kubernetes
import Migration

/// Which claims are copied to or from this computer.
struct TreeChoiceArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The claim whose content the directory is.", valueName: "namespace/name"))
    var pvc: String?

    @Option(
        help: ArgumentHelp(
            "The StatefulSet whose claims they are: the directory has one for each pod, and in it one for each claim.",
            discussion:
                "They are named by the pods' ordinals, and by the claim templates or the last part of where these are mounted.",
            valueName: "namespace/name"
        )
    )
    var statefulset: String?

    @Option(
        help: ArgumentHelp(
            "The same of a StatefulSet that need not exist yet: of the claims that it would have.",
            valueName: "namespace/name"
        )
    )
    var claimsOf: String?

    @Option(help: ArgumentHelp("Only the pods with these ordinals: 0-2,5. (default: all)", valueName: "numbers"))
    var ordinals: String?

    /// - Parameter directory: nil where none is needed.
    func checked(_ direction: LocalTree.Direction, _ directory: String?) throws(UsageError) -> TreeRequest {
        var choices: [TreeRequest.Choice] = []
        if let pvc { choices.append(.claim(try Check.claim(pvc, "--pvc"))) }
        if let statefulset { choices.append(.set(try Check.statefulSet(statefulset, "--statefulset"))) }
        if let claimsOf { choices.append(.claimsOf(try Check.statefulSet(claimsOf, "--claims-of"))) }
        guard choices.count == 1, let choice = choices.first else {
            throw UsageError("give one of --pvc, --statefulset and --claims-of")
        }
        var request = TreeRequest(direction: direction, choice: choice)
        if let directory { request.directory = try Check.directory(directory) }
        guard let ordinals else { return request }
        guard pvc == nil else { throw UsageError("--ordinals is for --statefulset and --claims-of") }
        guard let read = Ordinals(ordinals) else {
            throw UsageError("--ordinals must be numbers such as 0-2,5, not \"\(ordinals)\"")
        }
        request.ordinals = read
        return request
    }
}

/// What uploads and downloads have in common.
struct TreeArguments: ParsableArguments {
    @Argument(help: "The directory on this computer.")
    var directory: String?

    @OptionGroup var choice: TreeChoiceArguments

    @Flag(help: "Add to what is there, and overwrite what differs.")
    var merge = false

    @Flag(help: "Make what is there equal, and delete what only it has.")
    var replace = false

    @Option(help: ArgumentHelp("The image to copy with; must have a shell, and rsync on its PATH.", valueName: "image"))
    var rsyncImage = Options(sourceClass: "", destinationClass: "").rsyncImage

    @Option(
        name: .customLong("rsync-flags"),
        help: ArgumentHelp(
            "Further flags for rsync, separated by commas.",
            discussion: "Given several times, each is one flag as it is, commas and all; empty ones don't count.",
            valueName: "flags"
        )
    )
    var rsyncFlags: [String] = []

    @Option(
        help: ArgumentHelp(
            "A partial pod manifest, in YAML or JSON, that is merged into every mover.",
            valueName: "file"
        )
    )
    var moverTemplate: String?

    @Option(help: ArgumentHelp("How many units are copied side by side.", valueName: "number"))
    var parallel = Options(sourceClass: "", destinationClass: "").parallel

    @Option(help: ArgumentHelp("How many of them may have their pods on the same node.", valueName: "number"))
    var parallelPerNode = Options(sourceClass: "", destinationClass: "").parallelPerNode

    @Option(
        help: ArgumentHelp(
            "How many bytes a second all copies together may copy: 50M, 1.5G. (default: no limit)",
            valueName: "bytes"
        )
    )
    var bandwidthLimit: String?

    @Option(
        help: ArgumentHelp(
            "How each copy is checked: quick or checksum.",
            discussion: "quick compares sizes, times and all other metadata; checksum the contents of all files, too.",
            valueName: "how"
        )
    )
    var verify = Options.Verification.quick.rawValue

    @Flag(help: "Show rsync's own output, complete.")
    var verboseCopy = false

    @Flag(help: "Only check whether the copy would work.")
    var preflightValidationOnly = false

    @Flag(help: "Copy without checking first.")
    var skipPreflightValidation = false

    @OptionGroup var running: RunArguments

    func checked(_ direction: LocalTree.Direction) throws(UsageError) -> Invocation {
        guard let directory else { throw UsageError("the directory is missing") }
        var request = try choice.checked(direction, directory)
        guard !merge || !replace else { throw UsageError("--merge and --replace exclude each other") }
        request.target = merge ? .merged : replace ? .replaced : .own
        var options = Options(sourceClass: "", destinationClass: "")
        options.rsyncImage = try Check.image(rsyncImage)
        options.rsyncFlags = try Check.rsyncFlags(rsyncFlags)
        options.moverTemplate = try Check.moverTemplate(moverTemplate)
        options.parallel = try Check.parallel(parallel, "--parallel")
        options.parallelPerNode = try Check.parallel(parallelPerNode, "--parallel-per-node")
        options.bandwidthLimit = try Check.bandwidth(bandwidthLimit, with: options)
        options.verification = try Check.verification(verify)
        guard options.verification != .none else {
            throw UsageError("--verify must be quick or checksum, not \"none\"")
        }
        options.verboseCopy = verboseCopy
        options.take(request.begun)
        let mode = try running.mode(onlyValidates: preflightValidationOnly, skipsPreflight: skipPreflightValidation)
        var invocation = try running.invocation(options, mode)
        invocation.tree = request
        return invocation
    }
}

/// The flags of `pvmigrate upload`.
struct UploadArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate upload",
        abstract: "Copies directories on this computer into PersistentVolumeClaims.",
        discussion: Help.pipeline(.tree(.upload)),
        version: "pvmigrate \(version)"
    )

    @OptionGroup var tree: TreeArguments

    func checked() throws(UsageError) -> Invocation { try tree.checked(.upload) }
}

/// The flags of `pvmigrate download`.
struct DownloadArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate download",
        abstract: "Copies PersistentVolumeClaims into directories on this computer.",
        discussion: Help.pipeline(.tree(.download)),
        version: "pvmigrate \(version)"
    )

    @OptionGroup var tree: TreeArguments

    func checked() throws(UsageError) -> Invocation { try tree.checked(.download) }
}

/// The flags of `pvmigrate abort upload`.
struct AbortUploadArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate abort upload",
        abstract: "Starts the workloads again that an upload has left stopped, unless claims are only half filled.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup var choice: TreeChoiceArguments

    @Flag(help: "Take half filled claims as they are: remove their marks, and start their workloads.")
    var asItIs = false

    @OptionGroup var files: FileArguments
    @OptionGroup var connection: ConnectionArguments

    func checked() throws(UsageError) -> Invocation {
        var request = try choice.checked(.upload, nil)
        request.startsHalfFilled = asItIs
        return try request.abort(files, connection)
    }
}

/// The flags of `pvmigrate abort download`.
struct AbortDownloadArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate abort download",
        abstract: "Starts the workloads again that a download has left stopped.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup var choice: TreeChoiceArguments
    @OptionGroup var files: FileArguments
    @OptionGroup var connection: ConnectionArguments

    func checked() throws(UsageError) -> Invocation {
        try choice.checked(.download, nil).abort(files, connection)
    }
}

extension TreeRequest {
    fileprivate func abort(
        _ files: FileArguments,
        _ connection: ConnectionArguments
    ) throws(UsageError) -> Invocation {
        var options = Options(sourceClass: "", destinationClass: "")
        options.take(begun)
        return Invocation(
            options: options,
            connection: try connection.checked(streaming: true),
            mode: .abort,
            files: try files.checked(),
            tree: self
        )
    }
}
