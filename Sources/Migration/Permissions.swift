public import Kubernetes

/// Something that a run asks the API server for.
public struct Permission: Sendable, Equatable {
    public var resource: APIResource
    public var subresource: String?
    public var verbs: [String]
    /// The only namespace that it is needed in; nil for those that are migrated, or for the whole cluster where the
    /// kind is in no namespace.
    public var namespace: String?
    /// True where only `--set-defaults` needs it.
    public var isForDefaultClass = false
    /// What a run does without it; nil where it can't do without.
    public var otherwise: String?

    /// What is permitted as RBAC spells it: `pods/log`.
    var title: String { resource.plural + (subresource.map { "/\($0)" } ?? "") }
}

/// Everything that a run may ask the API server for: what preflight reviews, and what `pvmigrate rbac` grants.
public enum Permissions {
    /// A wait lists and watches, so whatever is waited for is listed and watched.
    public static let all = [
        Permission(resource: .storageClasses, verbs: ["list"]),
        Permission(resource: .storageClasses, verbs: ["patch"], isForDefaultClass: true),
        Permission(resource: .volumes, verbs: ["get", "list", "watch", "patch", "delete"]),
        Permission(resource: .claims, verbs: ["get", "list", "watch", "create", "patch", "delete"]),
        Permission(resource: .pods, verbs: ["get", "list", "watch", "create", "delete"]),
        Permission(resource: .pods, subresource: "log", verbs: ["get"]),
        Permission(resource: .statefulSets, verbs: ["get", "list", "watch", "patch"]),
        Permission(resource: .deployments, verbs: ["get", "list", "watch", "patch"]),
        Permission(resource: .replicaSets, verbs: ["get"]),
        Permission(
            resource: .events,
            verbs: ["list"],
            otherwise: "failures are reported without the cluster's own reasons"
        ),
        Permission(
            resource: .resourceQuotas,
            verbs: ["list"],
            otherwise: "quotas are checked for each claim alone, not for all together"
        ),
        Permission(
            resource: .horizontalPodAutoscalers,
            verbs: ["list"],
            otherwise: "the autoscalers of workloads are not named"
        ),
        Permission(
            resource: .scaledObjects,
            verbs: ["list"],
            otherwise: "KEDA is not named where it scales a workload"
        ),
        Permission(
            resource: .leases,
            verbs: ["get", "list", "watch", "create", "patch", "delete"],
            namespace: Migrator.lockNamespace,
            otherwise: "nothing keeps a second run from migrating the same class"
        ),
    ]

    /// What a run of these options needs.
    public static func needed(for options: Options) -> [Permission] {
        all.filter { options.setDefaults || !$0.isForDefaultClass }
    }

    /// A manifest for `kubectl apply` that lets a ServiceAccount do all that a run of these options needs, and no more.
    ///
    /// - Parameter account: the ServiceAccount; the roles and their bindings bear its name too.
    /// - Returns: YAML of the ServiceAccount, a ClusterRole, the Roles that are needed in single namespaces, and their
    ///   bindings.
    public static func rbac(
        for options: Options,
        account: ObjectName = ObjectName("pvmigrate", in: Migrator.lockNamespace)
    ) -> String {
        /// The rules by namespace, nil for those that hold in the whole cluster.
        var rules: [String?: [String]] = [:]
        for permission in needed(for: options) {
            let namespace =
                permission.resource.namespaced ? permission.namespace ?? options.namespace : nil
            rules[namespace, default: []].append(rule(permission))
        }
        var documents = [
            """
            apiVersion: v1
            kind: ServiceAccount
            metadata:
              name: \(account.name)
              namespace: \(account.namespace ?? "default")
            """
        ]
        for namespace in rules.keys.sorted(by: { ($0 ?? "") < ($1 ?? "") }) {
            documents += role(in: namespace, rules[namespace] ?? [], for: account)
        }
        return documents.joined(separator: "\n---\n") + "\n"
    }

    private static func rule(_ permission: Permission) -> String {
        """
        - apiGroups: ["\(permission.resource.group)"]
          resources: ["\(permission.title)"]
          verbs: [\(permission.verbs.map { "\"\($0)\"" }.joined(separator: ", "))]
        """
    }

    /// A role with its binding: of a namespace, or of the whole cluster.
    private static func role(in namespace: String?, _ rules: [String], for account: ObjectName) -> [String] {
        let kind = namespace == nil ? "ClusterRole" : "Role"
        let metadata = "metadata:\n  name: \(account.name)" + (namespace.map { "\n  namespace: \($0)" } ?? "")
        let role = """
            apiVersion: rbac.authorization.k8s.io/v1
            kind: \(kind)
            \(metadata)
            rules:
            \(rules.joined(separator: "\n"))
            """
        let binding = """
            apiVersion: rbac.authorization.k8s.io/v1
            kind: \(kind)Binding
            \(metadata)
            roleRef:
              apiGroup: rbac.authorization.k8s.io
              kind: \(kind)
              name: \(account.name)
            subjects:
            - kind: ServiceAccount
              name: \(account.name)
              namespace: \(account.namespace ?? "default")
            """
        return [role, binding]
    }
}
