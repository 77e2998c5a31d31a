import ArgumentParser
import Kubernetes
import Migration

/// Which claims a command is about; each flag but --selector may come several times.
struct SelectionArguments: ParsableArguments {
    /// Above these flags in a command's help.
    static let title = "Which claims"

    @Option(
        name: [.customShort("n"), .customLong("namespace")],
        help: ArgumentHelp("Only the claims of these namespaces. (default: all)", valueName: "names")
    )
    var namespace: [String] = []

    @Option(help: ArgumentHelp("Not the claims of these namespaces.", valueName: "names"))
    var excludeNamespace: [String] = []

    @Option(
        name: [.customShort("l"), .customLong("selector")],
        help: ArgumentHelp("Only the claims with these labels, as kubectl selects them.", valueName: "labels")
    )
    var selector: String?

    @Option(help: ArgumentHelp("Only this claim; may be given several times.", valueName: "namespace/name"))
    var pvc: [String] = []

    @Option(help: ArgumentHelp("Not this claim; may be given several times.", valueName: "namespace/name"))
    var exclude: [String] = []

    func checked() throws(UsageError) -> Selection {
        var selection = Selection()
        selection.namespaces = try Check.namespaces(namespace, "--namespace")
        selection.excludedNamespaces = try Check.namespaces(excludeNamespace, "--exclude-namespace")
        for name in pvc { selection.claims.insert(try Check.claim(name, "--pvc")) }
        for name in exclude { selection.excludedClaims.insert(try Check.claim(name, "--exclude")) }
        if let selector, selector.allSatisfy(\.isWhitespace) { throw UsageError("--selector is empty") }
        selection.labels = selector
        // What contradicts itself is a slip, and would look as if there were nothing to do.
        if let both = selection.namespaces.intersection(selection.excludedNamespaces).min() {
            throw UsageError("the namespace \(both) is both in --namespace and in --exclude-namespace")
        }
        for claim in selection.claims.sorted() {
            if let filter = selection.whatLeavesOut(claim) { throw UsageError("--pvc \(claim) is \(filter)") }
        }
        return selection
    }
}

/// Which migration a command makes, takes back or tells of.
struct MigrationArguments: ParsableArguments {
    @Option(
        name: .customLong("source-sc"),
        help: ArgumentHelp("The StorageClass to migrate from. Required.", valueName: "name")
    )
    var sourceClass: String?

    @Option(
        name: .customLong("dest-sc"),
        help: ArgumentHelp("The StorageClass to migrate to. Required.", valueName: "name")
    )
    var destinationClass: String?

    @OptionGroup var selection: SelectionArguments

    func checked() throws(UsageError) -> Options {
        let (sourceClass, destinationClass) = try Check.classNames(sourceClass, destinationClass)
        guard let sourceClass else { throw UsageError("--source-sc is missing") }
        guard let destinationClass else { throw UsageError("--dest-sc is missing") }
        var options = Options(sourceClass: sourceClass, destinationClass: destinationClass)
        options.selection = try selection.checked()
        return options
    }
}
