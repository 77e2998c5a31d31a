/// A kind of object as the API serves it: `persistentvolumeclaims` of the core group, for example.
///
/// One reference wide, since keys are copied all the time. Two are equal when group and plural are.
public struct Resource: Hashable, Sendable {
    private final class Description: Sendable {
        let group, version, plural, singular, kind: String
        let namespaced: Bool
        let shortNames, categories, subresources: [String]
        let hash: Int

        init(
            _ group: String,
            _ version: String,
            _ plural: String,
            _ singular: String,
            _ kind: String,
            _ namespaced: Bool,
            _ shortNames: [String],
            _ categories: [String],
            _ subresources: [String]
        ) {
            self.group = group
            self.version = version
            self.plural = plural
            self.singular = singular
            self.kind = kind
            self.namespaced = namespaced
            self.shortNames = shortNames
            self.categories = categories
            self.subresources = subresources
            // Not Swift's own hash, which differs from run to run: the order of dictionaries must not matter, but a
            // stable one makes a mistake repeatable.
            var hash = 5381
            for byte in (plural + "." + group).utf8 { hash = (hash &* 33) ^ Int(byte) }
            self.hash = hash
        }
    }

    private let description: Description

    /// The API group; empty for the core group.
    public var group: String { description.group }
    public var version: String { description.version }
    /// The name in paths: `pods`.
    public var plural: String { description.plural }
    public var singular: String { description.singular }
    public var kind: String { description.kind }
    public var namespaced: Bool { description.namespaced }
    public var shortNames: [String] { description.shortNames }
    /// Groups of resources that kubectl knows, such as `all`.
    public var categories: [String] { description.categories }
    /// `status`, `scale` and so on.
    public var subresources: [String] { description.subresources }

    public init(
        group: String = "",
        version: String = "v1",
        _ plural: String,
        kind: String,
        namespaced: Bool = true,
        singular: String? = nil,
        shortNames: [String] = [],
        categories: [String] = [],
        subresources: [String] = []
    ) {
        description = Description(
            group,
            version,
            plural,
            singular ?? kind.lowercased(),
            kind,
            namespaced,
            shortNames,
            categories,
            subresources
        )
    }

    /// `v1` or `apps/v1`: what an object's `apiVersion` says.
    public var apiVersion: String { group.isEmpty ? version : group + "/" + version }

    /// `persistentvolumeclaims` or `statefulsets.apps`: how messages name it.
    public var qualifiedName: String { group.isEmpty ? plural : plural + "." + group }

    public static func == (left: Resource, right: Resource) -> Bool {
        left.description === right.description
            || (left.description.hash == right.description.hash && left.plural == right.plural
                && left.group == right.group)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(description.hash) }
}

/// Names one object of the cluster.
public struct ObjectKey: Hashable, Sendable {
    public var resource: Resource
    /// Nil for objects outside namespaces.
    public var namespace: String?
    public var name: String

    public init(_ resource: Resource, _ namespace: String?, _ name: String) {
        self.resource = resource
        self.namespace = namespace
        self.name = name
    }
}

extension Resource {
    public static let namespaces = Resource(
        "namespaces",
        kind: "Namespace",
        namespaced: false,
        shortNames: ["ns"],
        subresources: ["finalize", "status"]
    )
    public static let nodes = Resource(
        "nodes",
        kind: "Node",
        namespaced: false,
        shortNames: ["no"],
        subresources: ["proxy", "status"]
    )
    public static let pods = Resource(
        "pods",
        kind: "Pod",
        shortNames: ["po"],
        categories: ["all"],
        subresources: ["binding", "ephemeralcontainers", "eviction", "exec", "log", "status"]
    )
    public static let persistentVolumes = Resource(
        "persistentvolumes",
        kind: "PersistentVolume",
        namespaced: false,
        shortNames: ["pv"],
        subresources: ["status"]
    )
    public static let persistentVolumeClaims = Resource(
        "persistentvolumeclaims",
        kind: "PersistentVolumeClaim",
        shortNames: ["pvc"],
        subresources: ["status"]
    )
    public static let configMaps = Resource("configmaps", kind: "ConfigMap", shortNames: ["cm"])
    public static let secrets = Resource("secrets", kind: "Secret")
    public static let serviceAccounts = Resource(
        "serviceaccounts",
        kind: "ServiceAccount",
        shortNames: ["sa"],
        subresources: ["token"]
    )
    public static let services = Resource(
        "services",
        kind: "Service",
        shortNames: ["svc"],
        categories: ["all"],
        subresources: ["status"]
    )
    public static let endpoints = Resource("endpoints", kind: "Endpoints", singular: "endpoints", shortNames: ["ep"])
    public static let events = Resource("events", kind: "Event", shortNames: ["ev"])
    public static let limitRanges = Resource("limitranges", kind: "LimitRange", shortNames: ["limits"])
    public static let resourceQuotas = Resource(
        "resourcequotas",
        kind: "ResourceQuota",
        shortNames: ["quota"],
        subresources: ["status"]
    )
    public static let podTemplates = Resource("podtemplates", kind: "PodTemplate")
    public static let replicationControllers = Resource(
        "replicationcontrollers",
        kind: "ReplicationController",
        shortNames: ["rc"],
        categories: ["all"],
        subresources: ["scale", "status"]
    )

    public static let deployments = Resource(
        group: "apps",
        "deployments",
        kind: "Deployment",
        shortNames: ["deploy"],
        categories: ["all"],
        subresources: ["scale", "status"]
    )
    public static let replicaSets = Resource(
        group: "apps",
        "replicasets",
        kind: "ReplicaSet",
        shortNames: ["rs"],
        categories: ["all"],
        subresources: ["scale", "status"]
    )
    public static let statefulSets = Resource(
        group: "apps",
        "statefulsets",
        kind: "StatefulSet",
        shortNames: ["sts"],
        categories: ["all"],
        subresources: ["scale", "status"]
    )
    public static let daemonSets = Resource(
        group: "apps",
        "daemonsets",
        kind: "DaemonSet",
        shortNames: ["ds"],
        categories: ["all"],
        subresources: ["status"]
    )
    public static let controllerRevisions = Resource(
        group: "apps",
        "controllerrevisions",
        kind: "ControllerRevision"
    )
    public static let jobs = Resource(
        group: "batch",
        "jobs",
        kind: "Job",
        categories: ["all"],
        subresources: ["status"]
    )
    public static let cronJobs = Resource(
        group: "batch",
        "cronjobs",
        kind: "CronJob",
        shortNames: ["cj"],
        categories: ["all"],
        subresources: ["status"]
    )
    public static let horizontalPodAutoscalers = Resource(
        group: "autoscaling",
        version: "v2",
        "horizontalpodautoscalers",
        kind: "HorizontalPodAutoscaler",
        shortNames: ["hpa"],
        categories: ["all"],
        subresources: ["status"]
    )

    public static let storageClasses = Resource(
        group: "storage.k8s.io",
        "storageclasses",
        kind: "StorageClass",
        namespaced: false,
        shortNames: ["sc"]
    )
    public static let volumeAttachments = Resource(
        group: "storage.k8s.io",
        "volumeattachments",
        kind: "VolumeAttachment",
        namespaced: false,
        subresources: ["status"]
    )
    public static let csiDrivers = Resource(
        group: "storage.k8s.io",
        "csidrivers",
        kind: "CSIDriver",
        namespaced: false
    )
    public static let csiNodes = Resource(group: "storage.k8s.io", "csinodes", kind: "CSINode", namespaced: false)
    public static let csiStorageCapacities = Resource(
        group: "storage.k8s.io",
        "csistoragecapacities",
        kind: "CSIStorageCapacity"
    )

    public static let leases = Resource(group: "coordination.k8s.io", "leases", kind: "Lease")
    public static let podDisruptionBudgets = Resource(
        group: "policy",
        "poddisruptionbudgets",
        kind: "PodDisruptionBudget",
        shortNames: ["pdb"],
        subresources: ["status"]
    )
    public static let networkPolicies = Resource(
        group: "networking.k8s.io",
        "networkpolicies",
        kind: "NetworkPolicy",
        shortNames: ["netpol"]
    )
    public static let ingresses = Resource(
        group: "networking.k8s.io",
        "ingresses",
        kind: "Ingress",
        shortNames: ["ing"],
        subresources: ["status"]
    )
    public static let priorityClasses = Resource(
        group: "scheduling.k8s.io",
        "priorityclasses",
        kind: "PriorityClass",
        namespaced: false,
        shortNames: ["pc"]
    )
    public static let roles = Resource(group: "rbac.authorization.k8s.io", "roles", kind: "Role")
    public static let roleBindings = Resource(
        group: "rbac.authorization.k8s.io",
        "rolebindings",
        kind: "RoleBinding"
    )
    public static let clusterRoles = Resource(
        group: "rbac.authorization.k8s.io",
        "clusterroles",
        kind: "ClusterRole",
        namespaced: false
    )
    public static let clusterRoleBindings = Resource(
        group: "rbac.authorization.k8s.io",
        "clusterrolebindings",
        kind: "ClusterRoleBinding",
        namespaced: false
    )
    public static let customResourceDefinitions = Resource(
        group: "apiextensions.k8s.io",
        "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        namespaced: false,
        shortNames: ["crd", "crds"],
        categories: ["api-extensions"],
        subresources: ["status"]
    )

    /// Every resource that is stored and served from the start; custom ones join at run time (`Cluster.resources`).
    public static let builtIn: [Resource] = [
        namespaces, nodes, pods, persistentVolumes, persistentVolumeClaims, configMaps, secrets, serviceAccounts,
        services, endpoints, events, limitRanges, resourceQuotas, podTemplates, replicationControllers, deployments,
        replicaSets, statefulSets, daemonSets, controllerRevisions, jobs, cronJobs, horizontalPodAutoscalers,
        storageClasses, volumeAttachments, csiDrivers, csiNodes, csiStorageCapacities, leases, podDisruptionBudgets,
        networkPolicies, ingresses, priorityClasses, roles, roleBindings, clusterRoles, clusterRoleBindings,
        customResourceDefinitions,
    ]
}
