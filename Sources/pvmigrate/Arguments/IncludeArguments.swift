import ArgumentParser
import Migration

/// The objects besides claims that a transfer takes along.
struct IncludeArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Also these objects that hold state: secrets,configmaps, KIND/NAME or PLURAL.GROUP; may be given several times.",
            valueName: "objects"
        )
    )
    var include: [String] = []

    @Flag(help: "Make objects that exist already, and differ, the same as those here.")
    var overwrite = false

    /// - Throws: `UsageError` for what no kind and no name can be.
    func apply(to handover: inout Handover) throws(UsageError) {
        for text in include.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
            handover.included.append(try Check.objectChoice(String(text), "--include"))
        }
        if overwrite, include.isEmpty { throw UsageError("--overwrite is for the objects of --include") }
        handover.overwrites = overwrite
    }
}
