import Kubernetes

extension Resource {
    /// Whether `metadata.generation` counts the changes of the spec.
    var countsGenerations: Bool {
        !isBuiltIn
            || [
                .deployments, .statefulSets, .replicaSets, .replicationControllers, .daemonSets, .jobs, .cronJobs,
                .podDisruptionBudgets, .networkPolicies, .ingresses, .customResourceDefinitions,
            ].contains(self)
    }

    /// Whether a user's write leaves the status alone, since it has a subresource of its own.
    var separatesStatus: Bool { subresources.contains("status") }
}

extension Cluster {
    /// Everything that happens to an object between the request and its storage: metadata, defaults, admission and
    /// validation, in the API server's order.
    mutating func prepareForCreation(
        _ object: inout JSON,
        _ resource: Resource,
        namespace: String?,
        as user: User?
    ) throws(Refusal) {
        var metadata = object["metadata"]?.object ?? [:]
        if let version = metadata["resourceVersion"]?.string, !version.isEmpty {
            throw Refusal(500, "", "resourceVersion should not be set on objects to be created")
        }
        for field in [
            "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink",
        ] {
            metadata[field] = nil
        }
        metadata["namespace"] = namespace.map(JSON.string)
        if (metadata["name"]?.string ?? "").isEmpty, let prefix = metadata["generateName"]?.string {
            metadata["name"] = .string(String(prefix.prefix(58)) + makeSuffix())
        }
        metadata["uid"] = .string(makeUID())
        metadata["creationTimestamp"] = .string(timestamp)
        metadata["generation"] = resource.countsGenerations ? 1 : nil
        object["metadata"] = .object(metadata)
        object["kind"] = .string(resource.kind)
        object["apiVersion"] = .string(resource.apiVersion)
        if resource.separatesStatus, resource != .nodes { object["status"] = nil }

        try checkNamespace(of: object, resource, namespace)
        Defaults.apply(to: &object, resource)
        complete(&object, resource)
        try admit(&object, resource)
        let problems = Validation.problems(creating: object, resource)
        if !problems.isEmpty { throw .invalid(resource, object.name, problems) }
        try checkOwners(of: object, before: nil, resource, user)
        try checkAdmission(of: object, resource)
    }

    /// What the types' own strategies set at creation.
    private func complete(_ object: inout JSON, _ resource: Resource) {
        switch resource {
        case .pods:
            object["status"] = ["phase": "Pending", "qosClass": .string(Self.qosClass(of: object))]
        case .persistentVolumes: object[path: ["status", "lastPhaseTransitionTime"]] = .string(timestamp)
        case .namespaces:
            object[path: ["spec", "finalizers"]] = ["kubernetes"]
            object[path: ["metadata", "labels", "kubernetes.io/metadata.name"]] = .string(object.name)
            object["status"] = ["phase": "Active"]
        case .resourceQuotas: object["status"] = [:]
        case .volumeAttachments: object["status"] = ["attached": false]
        case .podDisruptionBudgets:
            object["status"] = [
                "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
            ]
        case .daemonSets:
            object[path: ["metadata", "annotations", "deprecated.daemonset.template.generation"]] = "1"
        case .customResourceDefinitions: completeDefinition(&object)
        case .jobs where object["spec"]?["manualSelector"]?.bool != true:
            let uid = JSON.string(object.uid)
            let name = JSON.string(object.name)
            for path in [["metadata"], ["spec", "template", "metadata"]] {
                object[path: path + ["labels", "batch.kubernetes.io/controller-uid"]] = uid
                object[path: path + ["labels", "batch.kubernetes.io/job-name"]] = name
                object[path: path + ["labels", "controller-uid"]] = uid
                object[path: path + ["labels", "job-name"]] = name
            }
            object[path: ["spec", "selector"]] = ["matchLabels": ["batch.kubernetes.io/controller-uid": uid]]
        default: break
        }
    }

    private static func qosClass(of pod: JSON) -> String {
        let containers = (pod["spec"]?["containers"]?.array ?? []) + (pod["spec"]?["initContainers"]?.array ?? [])
        func amounts(_ container: JSON, _ kind: String) -> [String: JSON] {
            (container["resources"]?[kind]?.object ?? [:]).filter { ["cpu", "memory"].contains($0.key) }
        }
        if containers.allSatisfy({ amounts($0, "requests").isEmpty && amounts($0, "limits").isEmpty }) {
            return "BestEffort"
        }
        let guaranteed = containers.allSatisfy {
            amounts($0, "limits").count == 2 && amounts($0, "limits") == amounts($0, "requests")
        }
        return guaranteed ? "Guaranteed" : "Burstable"
    }

    /// Creating in a namespace that is missing or on its way out is refused.
    private func checkNamespace(of object: JSON, _ resource: Resource, _ namespace: String?) throws(Refusal) {
        guard resource.namespaced else { return }
        let name = namespace ?? ""
        guard let found = get(ObjectKey(.namespaces, nil, name)) else { throw .notFound(.namespaces, name) }
        guard found.isBeingDeleted else { return }
        throw .forbidden(
            resource,
            object.name,
            "unable to create new content in namespace \(name) because it is being terminated",
            causes: [
                [
                    "reason": "NamespaceTerminating",
                    "message": .string("namespace \(name) is being terminated"), "field": "metadata.namespace",
                ]
            ]
        )
    }

    /// Everything that happens to a changed object before it is stored.
    mutating func prepareForUpdate(
        _ object: inout JSON,
        old: JSON,
        _ key: ObjectKey,
        subresource: String?,
        as user: User?
    ) throws(Refusal) {
        let resource = key.resource
        if object == old { return }
        object["kind"] = old["kind"]
        object["apiVersion"] = old["apiVersion"]
        try keepMetadata(&object, old, key)
        switch subresource {
        case "status":
            for field in (old.object ?? [:]).merging(object.object ?? [:], uniquingKeysWith: { a, _ in a }).keys
            where field != "status" && field != "metadata" { object[field] = old[field] }
            if !resource.isBuiltIn { object["metadata"] = old["metadata"] }
        case "finalize": break
        case "binding":
            // The assignment and the condition that tells of it are one write.
            var conditions = (old["status"]?["conditions"]?.array ?? []).filter { $0["type"] != "PodScheduled" }
            conditions.append([
                "type": "PodScheduled", "status": "True", "lastProbeTime": nil,
                "lastTransitionTime": .string(timestamp),
            ])
            object["status"] = old["status"]
            object[path: ["status", "conditions"]] = .array(conditions)
        default:
            if resource.separatesStatus { object["status"] = old["status"] }
            if resource == .namespaces { object["spec"] = old["spec"] }
        }
        Defaults.apply(to: &object, resource)
        if object == old { return }
        if resource.countsGenerations, subresource != "status", Self.content(object) != Self.content(old) {
            object[path: ["metadata", "generation"]] = .integer((old["metadata"]?["generation"]?.integer ?? 0) + 1)
        }
        if resource == .daemonSets, object["spec"]?["template"] != old["spec"]?["template"] {
            let field = ["metadata", "annotations", "deprecated.daemonset.template.generation"]
            object[path: field] = .string(String((old[path: field]?.string.flatMap { Int($0) } ?? 0) + 1))
        }
        guard subresource == nil || subresource == "scale" else { return }
        try checkResize(from: old, to: object, resource)
        let problems = Validation.problems(changing: old, to: object, resource)
        if !problems.isEmpty { throw .invalid(resource, key.name, problems) }
        try checkOwners(of: object, before: old, resource, user)
        if resource == .customResourceDefinitions, !object.isBeingDeleted { register(object) }
    }

    private static func content(_ object: JSON) -> JSON {
        var content = object
        content["metadata"] = nil
        content["status"] = nil
        return content
    }

    /// Gives an object back the metadata that nobody may change.
    private func keepMetadata(_ object: inout JSON, _ old: JSON, _ key: ObjectKey) throws(Refusal) {
        var problems: [FieldProblem] = []
        for field in ["name", "namespace", "uid"] {
            guard let value = object["metadata"]?[field]?.string, !value.isEmpty,
                value != old["metadata"]?[field]?.string
            else { continue }
            if field == "namespace" {
                throw .badRequest(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            }
            if field == "name" {
                throw .badRequest(
                    "the name of the object (\(value)) does not match the name on the URL (\(key.name))"
                )
            }
            problems.append(.invalid("metadata." + field, "\"\(value)\"", "field is immutable"))
        }
        if !problems.isEmpty { throw .invalid(key.resource, key.name, problems) }
        for field in [
            "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
            "generation", "generateName", "resourceVersion",
        ] { object[path: ["metadata", field]] = old["metadata"]?[field] }
        object[path: ["metadata", "managedFields"]] = nil
    }

    /// What follows a creation at once.
    mutating func afterCreation(_ object: StoredObject) {
        switch object.key.resource {
        case .namespaces: addNamespaceContent(object.key.name)
        case .customResourceDefinitions: establish(object.key)
        default: break
        }
    }

    // MARK: What every cluster has

    mutating func addDefaultObjects() {
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            seed(.namespaces, nil, ["metadata": ["name": .string(name)]])
        }
        for (name, value) in [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)]
            as [(String, Int64)]
        {
            seed(.priorityClasses, nil, ["metadata": ["name": .string(name)], "value": .integer(value)])
        }
        let everything: JSON = [["verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]]]
        let reading: JSON = [
            [
                "verbs": ["get", "list", "watch"], "apiGroups": ["", "apps", "batch", "storage.k8s.io"],
                "resources": ["*"],
            ]
        ]
        for (name, rules) in [
            ("cluster-admin", everything), ("admin", everything), ("edit", everything), ("view", reading),
        ] {
            seed(.clusterRoles, nil, ["metadata": ["name": .string(name)], "rules": rules])
        }
        seed(
            .clusterRoleBindings,
            nil,
            [
                "metadata": ["name": "cluster-admin"],
                "roleRef": [
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin",
                ],
                "subjects": [
                    ["kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:masters"]
                ],
            ]
        )
    }

    /// A namespace's own service account and the certificate that its pods trust.
    private mutating func addNamespaceContent(_ namespace: String) {
        seed(.serviceAccounts, namespace, ["metadata": ["name": "default"]])
        seed(.configMaps, namespace, ["metadata": ["name": "kube-root-ca.crt"], "data": ["ca.crt": ""]])
    }

    private mutating func seed(_ resource: Resource, _ namespace: String?, _ object: JSON) {
        do {
            try create(resource, namespace: namespace, object)
        } catch {
            preconditionFailure("a cluster's own object was refused: \(error)")
        }
    }
}
