public import Kubernetes

/// A permission that a run asks the API server for.
public struct Permission: Sendable, Equatable {
    /// The use of a permission.
    public enum Purpose: Sendable, Equatable {
        case always
        /// Only `--set-defaults` needs it.
        case defaultClass
        /// Only `--update-claim-templates` needs it.
        case claimTemplates
        /// Only workloads that KEDA scales need it.
        case keda
        /// Only claims whose volumes no common node can mount need it.
        case networkCopy
        /// Only `--copy-from snapshot` needs it, and passes over claims that no second pod can mount.
        case snapshots
        /// It lets movers stand ready before the workloads stop.
        case commands
        /// Only `--retype` needs it.
        case retype
        /// It tells how full the volumes are that are to become smaller.
        case usage
        /// It lets `kubectl describe` tell the story of claims and workloads; `--no-events` drops it.
        case story
        /// It lets a run make a claim anew that its owner blocks, where the cluster demands it (OpenShift). The dry run
        /// tells.
        case owners
        /// It lets a run stop a custom resource of a kind that only the cluster knows.
        case custom
    }

    public var resource: APIResource
    public var subresource: String?
    public var verbs: [String]
    /// The only namespace that needs it; nil for the migrated namespaces, or for the whole cluster where the kind is
    /// not namespaced.
    public var namespace: String?
    public var purpose = Purpose.always
    /// The way that a run does without it; nil where it cannot.
    public var otherwise: String?

    /// The permitted resource as RBAC spells it: `pods/log`.
    public var title: String { resource.plural + (subresource.map { "/\($0)" } ?? "") }

    /// Returns the namespaces that need it; only nil for the whole cluster.
    func places(in selection: Selection) -> [String?] {
        guard resource.namespaced else { return [nil] }
        return namespace.map { [$0] } ?? selection.places
    }
}

/// The permissions that a run may need. Preflight reviews them, and `pvmigrate rbac` grants them.
public enum Permissions {
    /// A wait lists and watches, so every kind that is waited for has both verbs.
    public static let all =
        [
            Permission(resource: .storageClasses, verbs: ["list"]),
            Permission(resource: .storageClasses, verbs: ["patch"], purpose: .defaultClass),
            Permission(resource: .volumes, verbs: ["get", "list", "watch", "patch", "delete"]),
            Permission(resource: .volumes, verbs: ["create"], purpose: .retype),
            Permission(resource: .volumeAttachments, verbs: ["list", "watch"], purpose: .retype),
            Permission(resource: .claims, verbs: ["get", "list", "watch", "create", "patch", "delete"]),
            Permission(resource: .pods, verbs: ["get", "list", "watch", "create", "delete"]),
            Permission(resource: .pods, subresource: "log", verbs: ["get"]),
            // Kubernetes asks for `get` where a WebSocket is opened, and from 1.35 on for `create` too.
            Permission(resource: .pods, subresource: "exec", verbs: ["get", "create"], purpose: .commands),
        ] + Workload.ownKinds.map { Permission(resource: $0, verbs: ["get", "list", "watch", "patch"]) } + [
            Permission(resource: .statefulSets, verbs: ["create", "delete"], purpose: .claimTemplates),
            Permission(resource: .statefulSets, subresource: "finalizers", verbs: ["update"], purpose: .owners),
            Permission(resource: .scaledObjects, verbs: ["get", "watch", "patch"], purpose: .keda),
            // A run never reads a Secret.
            Permission(resource: .secrets, verbs: ["create", "delete"], purpose: .networkCopy),
            Permission(
                resource: .networkPolicies,
                verbs: ["list"],
                purpose: .networkCopy,
                otherwise: "policies that cut copies over the network are not named"
            ),
            Permission(
                resource: VolumeSnapshot.resource,
                verbs: ["get", "list", "watch", "create", "delete"],
                purpose: .snapshots
            ),
            Permission(resource: VolumeSnapshotClass.resource, verbs: ["list"], purpose: .snapshots),
            Permission(
                resource: .nodes,
                verbs: ["list"],
                otherwise:
                    "whether a node can mount both volumes is seen only when a mover does not start, and whether pods find "
                    + "one with their new volumes only when they are started"
            ),
            Permission(
                resource: .volumeAttachments,
                verbs: ["list", "watch"],
                otherwise:
                    "a mover may be started before its volume is detached from another node, and then waits for that"
            ),
            Permission(
                resource: .events,
                verbs: ["list", "watch"],
                otherwise: "failures are reported without the cluster's own reasons, and a pod whose node may not read "
                    + "its claim for a moment is 12 to 15 s late"
            ),
            Permission(
                resource: .events,
                verbs: ["create"],
                purpose: .story,
                otherwise: "kubectl describe does not tell what happens to claims and workloads"
            ),
            Permission(
                resource: VolumeAttributesClass.resource,
                verbs: ["list"],
                otherwise: "whether volumes could be modified in place is not told"
            ),
            Permission(
                resource: .resourceQuotas,
                verbs: ["list"],
                otherwise: "quotas are checked for each claim alone, not for all together"
            ),
            Permission(
                resource: LimitRange.resource,
                verbs: ["list"],
                otherwise: "claims that are smaller than their namespace allows by now are refused, not made larger"
            ),
            Permission(
                resource: .nodes,
                subresource: "proxy",
                verbs: ["get"],
                purpose: .usage,
                otherwise: "how full volumes are is not known, and none is made smaller"
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

    /// Returns the permissions that a run of these options needs, whatever it finds.
    public static func needed(for options: Options) -> [Permission] {
        if let tree = options.tree { return ofTree(tree.direction, recordsEvents: options.recordsEvents) }
        let atTarget = options.handover.map(ofTransfer) ?? []
        return atTarget
            + all.filter {
                switch $0.purpose {
                case .always: true
                case .defaultClass: options.setDefaults
                case .claimTemplates: options.updatesClaimTemplates
                case .usage: options.makesSmaller
                case .retype: options.pipeline.retypes
                case .story: options.recordsEvents
                case .snapshots: options.makesPasses && options.copyFrom == .snapshot
                case .keda, .networkCopy, .custom, .owners, .commands: false
                }
            }
    }

    /// Returns the permissions that a copy to or from this computer needs. Nothing is made for it but movers.
    private static func ofTree(_ direction: LocalTree.Direction, recordsEvents: Bool) -> [Permission] {
        let dropped: [APIResource: Set<String>] = [
            .volumes: ["watch", "delete"],
            .claims: direction == .upload ? ["create", "delete"] : ["create", "delete", "patch"],
        ]
        return all.compactMap { permission in
            switch permission.purpose {
            case .commands: break
            case .always where permission.subresource != "log" && permission.resource != VolumeAttributesClass.resource:
                break
            case .story where recordsEvents: break
            default: return nil
            }
            var permission = permission
            permission.verbs.removeAll { dropped[permission.resource]?.contains($0) == true }
            return permission
        }
    }

    /// Returns the permissions that a transfer needs for its other namespace.
    private static func ofTransfer(_ handover: Handover) -> [Permission] {
        [
            Permission(
                resource: .claims,
                verbs: ["get", "list", "watch", "create", "patch", "delete"],
                namespace: handover.namespace
            ),
            Permission(
                resource: .namespaces,
                verbs: ["get"],
                otherwise: "whether the other namespace exists is seen only when a claim is made there"
            ),
            Permission(
                resource: .resourceQuotas,
                verbs: ["list"],
                namespace: handover.namespace,
                otherwise: "the quotas of the other namespace are checked for each claim alone, not for all together"
            ),
        ] + (handover.createsNamespace ? [Permission(resource: .namespaces, verbs: ["create"])] : [])
            + handover.awaited.map {
                Permission(
                    resource: $0.ownWorkload ?? $0.guess,
                    verbs: ["get", "list", "watch"],
                    namespace: handover.namespace
                )
            }
    }

    private static func ofIncluded(_ handover: Handover) -> [Permission] {
        handover.included.flatMap { ofObjects($0.guess, isListed: $0.name == nil, handover) }
    }

    /// Returns the permissions that objects need that go along with claims.
    private static func ofObjects(_ resource: APIResource, isListed: Bool, _ handover: Handover) -> [Permission] {
        [
            Permission(resource: resource, verbs: isListed ? ["get", "list"] : ["get"]),
            Permission(
                resource: resource,
                verbs: ["get", "create"] + (handover.overwrites ? ["patch"] : []),
                namespace: handover.namespace
            ),
        ]
    }

    /// Returns the further permissions that a discovery needs.
    static func needed(for discovery: Discovery, _ options: Options) -> [Permission] {
        let recorded = discovery.units.flatMap(\.workloads).filter(\.needsRecord)
        let resources = Set(recorded.map(\.resource))
        let own = all.filter {
            switch $0.purpose {
            case .always, .defaultClass, .claimTemplates, .snapshots, .usage, .story, .custom, .owners, .commands,
                .retype:
                false
            case .keda: resources.contains(.scaledObjects)
            case .networkCopy: discovery.routes.values.contains { $0.source != nil }
            }
        }
        // These are kinds that only the cluster knows.
        let custom = recorded.filter { ![.pods, .scaledObjects].contains($0.resource) }
        let objects = Set(discovery.objects.map(\.resource)).sorted { $0.plural < $1.plural }.flatMap { resource in
            options.handover.map { ofObjects(resource, isListed: false, $0) } ?? []
        }
        return own + objects
            + Set(custom.map(\.resource)).sorted { $0.plural < $1.plural }.flatMap { resource in
                let isScaled = custom.contains { $0.resource == resource && $0.brake == .scale }
                let isPaused = custom.contains { $0.resource == resource && $0.brake != .scale }
                let object = Permission(
                    resource: resource,
                    verbs: ["get", "list", "watch"] + (isPaused ? ["patch"] : []),
                    purpose: .custom
                )
                let scale = Permission(
                    resource: resource,
                    subresource: "scale",
                    verbs: ["get", "patch"],
                    purpose: .custom
                )
                return isScaled ? [object, scale] : [object]
            }
    }

    /// Returns a manifest for `kubectl apply` that grants a ServiceAccount all that a run of these options needs, and
    /// no more.
    ///
    /// - Parameters:
    ///   - copiesOverNetwork: True to include claims whose volumes no common node can mount.
    ///   - runsCommands: True to include the commands by which movers stand ready before workloads stop.
    ///   - retypes: True to include the new volume objects of a retype.
    ///   - account: The ServiceAccount. The roles and their bindings bear its name too.
    /// - Returns: YAML of the ServiceAccount, a ClusterRole, the Roles that are needed in single namespaces, and their
    ///   bindings, with a comment on what they amount to.
    public static func rbac(
        for options: Options,
        copiesOverNetwork: Bool = false,
        runsCommands: Bool = false,
        retypes: Bool = false,
        account: ObjectName = ObjectName("pvmigrate", in: Migrator.lockNamespace)
    ) -> String {
        // Permissions that depend on the findings are granted too.
        let ofTree = options.tree.map { _ in needed(for: options) } ?? []
        let granted =
            (options.handover.map(ofTransfer) ?? []) + (options.handover.map(ofIncluded) ?? []) + ofTree
            + all.filter { permission in
                switch permission.purpose {
                case .keda, .owners: true
                case _ where options.tree != nil: false
                case .networkCopy: copiesOverNetwork
                case .commands: runsCommands
                case .retype: retypes
                default: needed(for: options).contains(permission)
                }
            }
        /// The rules by namespace, nil for those of the whole cluster.
        var rules: [String?: [String]] = [:]
        for permission in granted {
            for namespace in permission.places(in: options.selection) {
                rules[namespace, default: []].append(rule(permission))
            }
        }
        var documents = [
            """
            \(meaning(of: granted, options))
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

    /// Returns comments on what the rights amount to, which is more than their names say.
    private static func meaning(of granted: [Permission], _ options: Options) -> String {
        let namespaces = options.selection.namespaces.sorted()
        let places =
            namespaces.isEmpty
            ? "any namespace"
            : "the namespace\(namespaces.count == 1 ? "" : "s") " + namespaces.joined(separator: ", ")
        var lines = [
            "Whoever can act as this ServiceAccount can do more than the rules seem to say:",
            "- create pods in \(places): read each Secret and act as each ServiceAccount there",
            "- patch\(options.tree == nil ? " and delete" : "") persistentvolumes: free the storage of any claim of the cluster, or take it over",
        ]
        if granted.contains(where: { $0.title == "nodes/proxy" }) {
            lines.append("- get nodes/proxy: run commands in any container of any node")
        }
        if granted.contains(where: { $0.title == "pods/exec" }) {
            lines.append("- create pods/exec in \(places): run commands in any container there")
        }
        if let handover = options.handover, !handover.included.isEmpty {
            let kinds = Set(handover.included.map(\.guess.plural)).sorted().joined(separator: ", ")
            lines.append("- get \(kinds) in \(places), and create them in the namespace \(handover.namespace)")
        }
        if granted.contains(where: { $0.resource == .secrets && $0.verbs.contains("delete") }) {
            lines.append("- delete secrets in \(places): any Secret there, too")
        }
        lines += [
            "So take it back when the migration is done: the same command, with \"| kubectl delete -f -\" in place of",
            "\"| kubectl apply -f -\".",
        ]
        return lines.map { "# \($0)" }.joined(separator: "\n")
    }

    private static func rule(_ permission: Permission) -> String {
        """
        - apiGroups: ["\(permission.resource.group)"]
          resources: ["\(permission.title)"]
          verbs: [\(permission.verbs.map { "\"\($0)\"" }.joined(separator: ", "))]
        """
    }

    /// Returns a role with its binding, for a namespace or for the whole cluster.
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
