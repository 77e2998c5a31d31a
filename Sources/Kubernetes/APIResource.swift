/// A kind of object as the API server names it in paths and messages.
public struct APIResource: Hashable, Sendable {
    /// The API group; empty for the core group.
    public var group: String
    public var version: String
    public var kind: String
    /// The name in paths: `persistentvolumeclaims`.
    public var plural: String
    public var namespaced: Bool

    public init(group: String = "", version: String = "v1", kind: String, plural: String, namespaced: Bool = true) {
        self.group = group
        self.version = version
        self.kind = kind
        self.plural = plural
        self.namespaced = namespaced
    }

    /// What a manifest says in `apiVersion`.
    public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

    /// The path of a collection.
    ///
    /// - Parameter namespace: nil for all namespaces, and for objects that are in none.
    /// - Throws: `APIError`, `.invalid` for what no kind and no namespace can be named.
    public func path(namespace: String?) throws(APIError) -> String {
        var path = try Self.path(group: group, version: version)
        if namespaced, let namespace { path += "/namespaces/\(try PathPart.name(namespace, of: "namespaces"))" }
        return path + "/\(try PathPart.word(plural, of: kind))"
    }

    /// The path of one object.
    ///
    /// - Parameter subresource: `scale`, `log` and the like.
    /// - Throws: `APIError`, `.invalid` for what no name can be.
    func path(to name: ObjectName, subresource: String? = nil) throws(APIError) -> String {
        let title = "\(kind) \(name)"
        var path = "\(try path(namespace: name.namespace))/\(try PathPart.name(name.name, of: title))"
        for part in subresource.map({ $0.split(separator: "/", omittingEmptySubsequences: false) }) ?? [] {
            path += "/\(try PathPart.word(String(part), of: title))"
        }
        return path
    }

    /// The path of a group in a version.
    ///
    /// - Throws: `APIError`, `.invalid` for what neither can be named.
    static func path(group: String, version: String) throws(APIError) -> String {
        let version = try PathPart.word(version, of: "API versions")
        return group.isEmpty ? "/api/\(version)" : "/apis/\(try PathPart.word(group, of: "API groups"))/\(version)"
    }
}

extension APIResource {
    public static let claims = APIResource(kind: "PersistentVolumeClaim", plural: "persistentvolumeclaims")
    public static let volumes = APIResource(kind: "PersistentVolume", plural: "persistentvolumes", namespaced: false)
    public static let pods = APIResource(kind: "Pod", plural: "pods")
    public static let nodes = APIResource(kind: "Node", plural: "nodes", namespaced: false)
    public static let events = APIResource(kind: "Event", plural: "events")
    public static let namespaces = APIResource(kind: "Namespace", plural: "namespaces", namespaced: false)
    public static let storageClasses = APIResource(
        group: "storage.k8s.io",
        kind: "StorageClass",
        plural: "storageclasses",
        namespaced: false
    )
    public static let volumeAttachments = APIResource(
        group: "storage.k8s.io",
        kind: "VolumeAttachment",
        plural: "volumeattachments",
        namespaced: false
    )
    public static let statefulSets = APIResource(group: "apps", kind: "StatefulSet", plural: "statefulsets")
    public static let deployments = APIResource(group: "apps", kind: "Deployment", plural: "deployments")
    public static let replicaSets = APIResource(group: "apps", kind: "ReplicaSet", plural: "replicasets")
    public static let daemonSets = APIResource(group: "apps", kind: "DaemonSet", plural: "daemonsets")
    public static let replicationControllers = APIResource(
        kind: "ReplicationController",
        plural: "replicationcontrollers"
    )
    public static let jobs = APIResource(group: "batch", kind: "Job", plural: "jobs")
    public static let cronJobs = APIResource(group: "batch", kind: "CronJob", plural: "cronjobs")
    public static let leases = APIResource(group: "coordination.k8s.io", kind: "Lease", plural: "leases")
    public static let accessReviews = APIResource(
        group: "authorization.k8s.io",
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        namespaced: false
    )
}

/// The namespace and name of an object; the namespace is nil for objects that are in none.
public struct ObjectName: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var namespace: String?
    public var name: String

    public init(_ name: String, in namespace: String?) {
        self.namespace = namespace
        self.name = name
    }

    public var description: String { namespace.map { "\($0)/\(name)" } ?? name }

    public static func < (left: ObjectName, right: ObjectName) -> Bool {
        (left.namespace ?? "", left.name) < (right.namespace ?? "", right.name)
    }
}
