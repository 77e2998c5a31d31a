/// A change to send.
///
/// There is no other way to change an object: what is not named in the patch stays as it is.
public enum Patch: Sendable, Equatable {
    /// RFC 7396: members are set, `null` removes. With `metadata.resourceVersion` in it the server refuses the patch
    /// with a conflict where the object has changed since.
    case merge(JSON)
    /// RFC 6902: operations in order; a failed `test` refuses the whole patch (the API server answers 422 then).
    case json([JSON])

    var contentType: String {
        switch self {
        case .merge: "application/merge-patch+json"
        case .json: "application/json-patch+json"
        }
    }

    var body: JSON {
        switch self {
        case .merge(let value): value
        case .json(let operations): .array(operations)
        }
    }

    /// A merge patch that only applies to the object as it was read.
    public static func merge(onto meta: ObjectMeta, _ change: JSON) -> Patch {
        var change = change
        change[path: ["metadata", "resourceVersion"]] = .string(meta.resourceVersion)
        change[path: ["metadata", "uid"]] = .string(meta.uid)
        return .merge(change)
    }
}

extension JSON {
    /// True where a merge patch would change nothing.
    public func isUnchanged(by patch: JSON) -> Bool {
        guard case .object(let members) = patch else { return self == patch }
        guard case .object = self else { return false }
        return members.allSatisfy { key, value in
            if value == .null { return self[key] == nil }
            return self[key]?.isUnchanged(by: value) ?? false
        }
    }

    /// The merge patch that takes back what another one is going to change.
    public func inverse(of patch: JSON) -> JSON {
        guard case .object(let changes) = patch, case .object = self else { return self }
        return .object(
            Dictionary(
                uniqueKeysWithValues: changes.map { key, change in (key, self[key]?.inverse(of: change) ?? .null) }
            )
        )
    }
}
