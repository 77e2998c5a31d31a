import ArgumentParser
import Migration

/// The flags of `pvmigrate rbac`.
struct RBACArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate rbac",
        abstract: "Prints a manifest for kubectl apply: a ServiceAccount that may do what a run does, and no more.",
        version: "pvmigrate \(version)"
    )

    @Option(
        name: [.customShort("n"), .customLong("namespace")],
        help: ArgumentHelp("Only what a run with this --namespace needs.", valueName: "names")
    )
    var namespace: [String] = []

    @Option(help: ArgumentHelp("Also what a transfer to this namespace needs.", valueName: "name"))
    var toNamespace: String?

    @Flag(help: "Also what --create-namespace needs.")
    var createNamespace = false

    @OptionGroup var objects: IncludeArguments

    @Option(
        help: ArgumentHelp("Also what a transfer with this --wait-for needs.", valueName: "kind/name")
    )
    var waitFor: [String] = []

    @Flag(help: "Also what --set-defaults needs.")
    var setDefaults = false

    @Flag(help: "Also what --update-claim-templates needs.")
    var updateClaimTemplates = false

    @OptionGroup var grants: GrantArguments

    @Flag(help: "What `pvmigrate upload` needs, and nothing else.")
    var upload = false

    @Flag(help: "What `pvmigrate download` needs, and nothing else.")
    var download = false

    @Flag(help: "Also what --retype needs.")
    var retype = false

    @Flag(help: "Only what a run with --no-events needs.")
    var noEvents = false

    @Option(
        name: .customLong("dest-size"),
        help: ArgumentHelp("Also what a run with this --dest-size needs.", valueName: "percentage")
    )
    var destinationSize: String?

    @Option(help: ArgumentHelp("Also what a run with --live and this --copy-from needs.", valueName: "source"))
    var copyFrom = CopyFrom.auto.rawValue

    func checked() throws(UsageError) -> Options {
        var options = Options(sourceClass: "", destinationClass: "")
        options.selection.namespaces = try Check.namespaces(namespace, "--namespace")
        if let toNamespace {
            var handover = Handover(to: try Check.namespace(toNamespace, "--to-namespace"), ending: .copy)
            handover.createsNamespace = createNamespace
            try objects.apply(to: &handover)
            handover.awaited = try waitFor.map(Check.awaited)
            options.handover = handover
        } else if createNamespace || !objects.include.isEmpty || objects.overwrite || !waitFor.isEmpty {
            throw UsageError("--create-namespace, --include, --overwrite and --wait-for are for --to-namespace")
        }
        if upload || download {
            guard options.handover == nil else { throw UsageError("--to-namespace is for transfers only") }
            options.tree = LocalTree(upload ? .upload : .download, directory: "", parts: [:])
        }
        options.setDefaults = setDefaults
        options.updatesClaimTemplates = updateClaimTemplates
        options.recordsEvents = !noEvents
        (options.isLive, options.copyFrom) = (true, try Check.copyFrom(copyFrom))
        options.destinationSize = try Check.percentage(destinationSize)
        return options
    }
}
