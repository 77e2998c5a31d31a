public import Kubernetes

/// An object that goes to another namespace, and what is to be done for that.
public struct PlannedObject: Sendable, Equatable {
    public enum Action: String, Sendable, CaseIterable {
        case create
        /// It is there already, the same in all that it brings.
        case leave = "same"
        /// Another one is there.
        case conflict
        /// Another one is there, and is made the same by a patch.
        case overwrite
        /// It stays where it is.
        case stay
    }

    public var resource: APIResource
    /// The object of the source namespace, as it was read.
    let original: ObjectMeta
    public var destination: ObjectName
    public var action: Action
    /// The reason to stay.
    var reason: String?
    /// The fields in which the object that is there differs. No value is ever told.
    var differing: [String] = []
    /// The object as it is to be; nil where it stays.
    var manifest: JSON?
    /// The object that is there.
    var existing: ObjectMeta?
    /// What makes the existing one the same.
    var patch: JSON?

    public var source: ObjectName { ObjectName(original.name, in: original.namespace) }

    /// The fields that differ, or the reason to stay; nil where there is none.
    public var details: String? { reason ?? (differing.isEmpty ? nil : differing.joined(separator: ", ")) }

    /// The kind and the name in messages.
    public var title: String { "\(resource.kind) \(destination)" }

    /// True for what nothing acts on by itself. Of other kinds a controller may make claims of its own as soon as they are
    /// there, so they come after the claims.
    var comesFirst: Bool { resource.group.isEmpty && ["secrets", "configmaps"].contains(resource.plural) }

    /// True where something is to be written.
    public var isWritten: Bool {
        switch action {
        case .create, .overwrite: true
        case .leave, .conflict, .stay: false
        }
    }
}

extension PlannedObject {
    /// Plans an object: compares what it brings with what is there.
    ///
    /// - Parameters:
    ///   - existing: The object of its name in the other namespace; nil where there is none.
    ///   - overwrites: True where another one may be changed.
    init(
        _ object: StateObject,
        of resource: APIResource,
        to namespace: String,
        existing: StateObject?,
        overwrites: Bool
    ) {
        let manifest = object.manifest(of: resource, in: namespace)
        self.init(
            resource: resource,
            original: object.metadata,
            destination: ObjectName(object.metadata.name, in: namespace),
            action: .create,
            manifest: manifest,
            existing: existing?.metadata
        )
        guard let existing else { return }
        guard !existing.metadata.isTerminating else {
            (action, differing) = (.conflict, ["metadata.deletionTimestamp"])
            return
        }
        let patch = Self.patch(making: existing.whole, like: manifest)
        (self.patch, differing) = (patch, Self.paths(in: patch))
        action = differing.isEmpty ? .leave : overwrites ? .overwrite : .conflict
    }

    /// Returns the merge patch (RFC 7386) that makes an object what a manifest says. Labels and annotations that the manifest
    /// does not name stay: they are the other namespace's.
    static func patch(making existing: JSON, like manifest: JSON) -> JSON {
        var patch: JSON = [:]
        for part in ["labels", "annotations"] {
            for (key, value) in manifest[path: ["metadata", part]]?.object ?? [:]
            where existing[path: ["metadata", part, key]] != value {
                patch[path: ["metadata", part, key]] = value
            }
        }
        let ours = ["apiVersion", "kind", "metadata", "status"]
        let keys = Set((manifest.object ?? [:]).keys).union((existing.object ?? [:]).keys).subtracting(ours)
        for key in keys {
            patch[key] = change(from: existing[key], to: manifest[key])
        }
        return patch
    }

    /// Returns what a merge patch says of a value; nil where the two are the same.
    private static func change(from existing: JSON?, to wanted: JSON?) -> JSON? {
        guard existing != wanted else { return nil }
        guard let wanted else { return .null }
        guard let new = wanted.object, let old = existing?.object else { return wanted }
        var change: JSON = [:]
        for key in Set(new.keys).union(old.keys) { change[key] = Self.change(from: old[key], to: new[key]) }
        return change
    }

    /// Returns the paths of a patch's leaves, sorted: the names of what differs, and never a value.
    static func paths(in patch: JSON, below path: String = "") -> [String] {
        guard let members = patch.object, !members.isEmpty || path.isEmpty else { return [path] }
        return members.sorted { $0.key < $1.key }.flatMap { key, value in
            paths(in: value, below: path.isEmpty ? key : "\(path).\(key)")
        }
    }
}
