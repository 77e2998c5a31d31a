import ArgumentParser
import Kubernetes
import Migration

/// Which claims go to which other namespace, and what becomes of them here.
struct HandoverArguments: ParsableArguments {
    @Option(
        name: [.customShort("n"), .customLong("namespace")],
        help: ArgumentHelp("The namespace of the claims. Required.", valueName: "name")
    )
    var namespace: String?

    @Option(help: ArgumentHelp("The namespace that they go to. Required.", valueName: "name"))
    var toNamespace: String?

    @Option(
        help: ArgumentHelp(
            "Only this claim; may be given several times. With a new name: shop/data=data-2.",
            valueName: "namespace/name[=newname]"
        )
    )
    var pvc: [String] = []

    @Option(
        help: ArgumentHelp(
            "Not this claim, or not this object of --include (KIND/NAME); may be given several times.",
            valueName: "namespace/name"
        )
    )
    var exclude: [String] = []

    @Option(
        name: [.customShort("l"), .customLong("selector")],
        help: ArgumentHelp("Only the claims with these labels, as kubectl selects them.", valueName: "labels")
    )
    var selector: String?

    @Option(
        name: .customLong("dest-sc"),
        help: ArgumentHelp("The StorageClass of the copies. (default: each as its source)", valueName: "name")
    )
    var destinationClass: String?

    @Option(
        name: .customLong("class"),
        help: ArgumentHelp(
            "The StorageClass of the copies of one class; may be given several times.",
            valueName: "old=new"
        )
    )
    var classes: [String] = []

    @Option(
        help: ArgumentHelp(
            "What becomes of the claims here: copy or move.",
            discussion:
                "copy leaves them, and starts their workloads again. move gives their volumes away, and copies nothing.",
            valueName: "how"
        )
    )
    var ending = Transfer.Ending.copy.rawValue

    /// - Throws: `UsageError` with the first thing that is wrong.
    func checked() throws(UsageError) -> Options {
        guard let namespace else { throw UsageError("--namespace is missing") }
        guard let toNamespace else { throw UsageError("--to-namespace is missing") }
        let name = try Check.namespace(namespace, "--namespace")
        guard let ending = Transfer.Ending.ofHandovers.first(where: { $0.rawValue == ending }) else {
            throw UsageError("--ending must be copy or move, not \"\(self.ending)\"")
        }
        var handover = Handover(to: try Check.namespace(toNamespace, "--to-namespace"), ending: ending)
        (_, handover.storageClass) = try Check.classNames(nil, destinationClass)
        for text in classes {
            let (old, new) = try Check.classMapping(text)
            guard handover.classes.updateValue(new, forKey: old) == nil else {
                throw UsageError("--class names \(old) twice")
            }
        }
        var selection = SelectionArguments()
        let others = exclude.filter { !$0.hasPrefix(name + "/") }
        for text in others { handover.excluded.append(try Check.objectChoice(text, "--exclude")) }
        (selection.namespace, selection.excludeNamespace) = ([name], [])
        selection.exclude = exclude.filter { !others.contains($0) }
        (selection.selector, selection.pvc) = (selector, [])
        for text in pvc {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            selection.pvc.append(parts[0])
            guard parts.count == 2 else { continue }
            let source = try Check.claim(parts[0], "--pvc")
            let new = try Check.claim("\(name)/\(parts[1])", "--pvc").name
            guard !handover.names.values.contains(new) else { throw UsageError("--pvc gives the name \(new) twice") }
            guard handover.names.updateValue(new, forKey: source) == nil else {
                throw UsageError("--pvc gives \(source) two names")
            }
        }
        var options = Options(sourceClass: "", destinationClass: "")
        (options.selection, options.handover) = (try selection.checked(), handover)
        if handover.namespace == name, handover.names.count < max(1, pvc.count) {
            throw UsageError(
                "--to-namespace is the claims' own, so each needs a new name: --pvc NAMESPACE/NAME=NEWNAME"
            )
        }
        return options
    }
}
