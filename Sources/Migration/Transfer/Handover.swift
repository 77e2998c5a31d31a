public import Kubernetes

/// A transfer of claims to another namespace, as a person asks for it.
public struct Handover: Sendable, Equatable {
    /// The namespace that the claims go to.
    public var namespace: String
    /// What becomes of the source claims: they are copied, or given away.
    public var ending: Transfer.Ending
    /// The new names of claims; the others keep theirs.
    public var names: [ObjectName: String] = [:]
    /// The destination classes, by the source claims' classes; the others keep theirs.
    public var classes: [String: String] = [:]
    /// The destination class of all other claims; nil to keep theirs.
    public var storageClass: String?
    /// True where the workloads of the source stay stopped.
    public var leavesStopped = false
    /// True where the namespace may be created.
    public var createsNamespace = false
    /// The objects besides claims that go along.
    public var included: [ObjectChoice] = []
    /// Those of them that stay.
    public var excluded: [ObjectChoice] = []
    /// The objects of the other namespace that must be there before anything is stopped, each with its name.
    public var awaited: [ObjectChoice] = []
    /// True where objects that are there already, and differ, are made the same.
    public var overwrites = false

    public init(to namespace: String, ending: Transfer.Ending) {
        (self.namespace, self.ending) = (namespace, ending)
    }

    /// Returns the destination of a claim.
    func destination(of source: ObjectName) -> ObjectName {
        ObjectName(names[source] ?? source.name, in: namespace)
    }

    /// Returns the class of the destination of a claim; nil for a claim without a class that keeps none.
    func storageClass(for source: String?) -> String? {
        let source = source.flatMap { $0.isEmpty ? nil : $0 }
        return source.flatMap { classes[$0] } ?? storageClass ?? source
    }

    /// True where no volume is made: the source volumes themselves get other claims.
    var handsVolumesOver: Bool { ending == .move }
}

extension Options {
    /// Returns the end and the destination that are asked for a source claim.
    func plan(for source: ObjectName) -> TransferPlan {
        handover.map { TransferPlan(destination: $0.destination(of: source), ending: $0.ending) }
            ?? TransferPlan(destination: source, ending: .replace)
    }

    /// Returns the class that is asked for the destination of a claim.
    func storageClass(for source: String?) -> String? {
        guard tree == nil else { return nil }
        return handover.map { $0.storageClass(for: source) } ?? destinationClass
    }

    /// Returns true where a seal is of a transfer that is asked for.
    func asks(for seal: Seal) -> Bool { plan(for: seal.name) == seal.plan }

    /// The names of both classes; of a transfer, those of the namespaces.
    public var endsInWords: (source: String, destination: String) {
        if let tree {
            let only = tree.parts.count == 1 ? tree.parts.keys.first : nil
            let claims = only.map { "\($0)" } ?? "\(tree.parts.count) claims"
            return tree.direction == .upload ? (tree.directory, claims) : (claims, tree.directory)
        }
        guard let handover else { return (sourceClass, destinationClass) }
        return (selection.namespaces.sorted().joined(separator: ", "), handover.namespace)
    }

    /// The classes, for messages: `from StorageClass slow to fast`; of a transfer, the namespaces.
    var wayInWords: String {
        let kind = hasClasses ? "StorageClass " : handover == nil ? "" : "the namespace "
        return "from \(kind)\(endsInWords.source) to \(endsInWords.destination)"
    }
}
