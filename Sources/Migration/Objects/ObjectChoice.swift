import Kubernetes

/// What `--include` or `--exclude` names of the objects that hold state: all of a kind, or one.
public struct ObjectChoice: Sendable, Hashable, CustomStringConvertible {
    /// The kind or its plural, as it was given: `secrets`, `Secret`.
    public var kind: String
    /// The API group; nil for the core group.
    public var group: String?
    /// The only object's name; nil for all.
    public var name: String?

    /// Reads `KIND`, `KIND/NAME` and `PLURAL.GROUP`, as kubectl names resources; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), let first = parts.first else { return nil }
        let words = first.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let kind = words.first, !kind.isEmpty, kind.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) })
        else { return nil }
        self.kind = kind
        group = words.count == 2 ? words[1] : nil
        name = parts.count == 2 ? parts[1] : nil
        if let group, !group.isObjectName { return nil }
        if let name, !name.isObjectName { return nil }
    }

    public var description: String {
        kind + (group.map { ".\($0)" } ?? "") + (name.map { "/\($0)" } ?? "")
    }

    /// Returns true where the choice is of a kind of objects.
    func isOf(_ resource: APIResource) -> Bool {
        let words = [resource.plural, resource.kind.lowercased()]
        return words.contains(kind.lowercased()) && (group ?? "") == resource.group
    }

    /// The kind without the API's discovery: of a kind as it is written, the plural is guessed.
    var guess: APIResource {
        let lower = kind.lowercased()
        return APIResource(group: group ?? "", kind: kind, plural: lower.hasSuffix("s") ? lower : lower + "s")
    }
}
