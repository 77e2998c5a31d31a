import FoundationEssentials
import Kubernetes

extension Cluster {
    mutating func answerSubresource(
        _ subresource: String,
        _ target: Target,
        _ context: inout RequestContext
    ) throws(Refusal) -> Response {
        if context.request.method != .get, try context.isDryRun() {
            var copy = self
            return try copy.performSubresource(subresource, target, &context)
        }
        return try performSubresource(subresource, target, &context)
    }

    private mutating func performSubresource(
        _ subresource: String,
        _ target: Target,
        _ context: inout RequestContext
    ) throws(Refusal) -> Response {
        guard let object = stored(target.key) else { throw .notFound(target.resource, target.key.name) }
        switch (subresource, context.request.method) {
        case ("scale", .get):
            try checkScale(of: object)
            return .json(200, scale(of: object))
        case ("scale", .put), ("scale", .patch): return try answerScale(object, &context)
        case ("log", .get):
            return try LogQuery(context.info.query, pod: object.json, in: self).answer(in: self)
        case ("exec", .get), ("exec", .post):
            _ = try ExecQuery(context.info, pod: object.json)
            throw .badRequest("Upgrade request required")
        case ("eviction", .post): return try answerEviction(object, &context)
        case ("binding", .post): return try answerBinding(object, &context)
        case ("proxy", .get): return try answerProxy(object, target)
        case ("finalize", .put):
            let body = try decodeObject(&context, as: target.resource)
            let changed = try update(target.key, subresource: "finalize") {
                $0[path: ["spec", "finalizers"]] = body["spec"]?["finalizers"]
            }
            return respond(target.key, changed, context)
        case ("token", .post):
            return .json(
                201,
                [
                    "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": [:],
                    "status": [
                        "token": .string(issueToken(for: target.key.name, in: target.key.namespace ?? "")),
                        "expirationTimestamp": .string(Timestamp.text(epoch + Int(now.components.seconds) + 3600)),
                    ],
                ]
            )
        default:
            throw Refusal(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
                details: [:]
            )
        }
    }

    /// A bearer token for a service account.
    mutating func issueToken(for account: String, in namespace: String) -> String {
        let token = "simulated." + makeUID()
        tokens[token] = User(
            "system:serviceaccount:\(namespace):\(account)",
            groups: ["system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"]
        )
        return token
    }

    // MARK: Scale

    private func scalePaths(of resource: Resource) -> CustomScale {
        resources.customScales[resource]
            ?? CustomScale(specReplicas: ["spec", "replicas"], statusReplicas: ["status", "replicas"])
    }

    /// A custom resource without a number of replicas has no scale that could be read, though one can be set.
    private func checkScale(of object: StoredObject) throws(Refusal) {
        let path = scalePaths(of: object.key.resource).specReplicas
        if object.json[path: path] != nil { return }
        throw .internalError("the spec replicas field \".\(path.joined(separator: "."))\" does not exist")
    }

    private func scale(of object: StoredObject) -> JSON {
        let paths = scalePaths(of: object.key.resource)
        let json = object.json
        var scale: JSON = [
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": [:], "spec": [:], "status": [:],
        ]
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            scale[path: ["metadata", field]] = json["metadata"]?[field]
        }
        if let replicas = json[path: paths.specReplicas]?.integer, replicas != 0 {
            scale[path: ["spec", "replicas"]] = .integer(replicas)
        }
        scale[path: ["status", "replicas"]] = json[path: paths.statusReplicas] ?? 0
        if let path = paths.labelSelector {
            scale[path: ["status", "selector"]] = json[path: path]
        } else if let labels = json["spec"]?["selector"]?["matchLabels"]?.object {
            let text = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.string ?? "")" }
            scale[path: ["status", "selector"]] = .string(text.joined(separator: ","))
        }
        return scale
    }

    private mutating func answerScale(
        _ object: StoredObject,
        _ context: inout RequestContext
    ) throws(Refusal) -> Response {
        let before = scale(of: object)
        let resource = Resource(group: "autoscaling", "scales", kind: "Scale")
        let changed: JSON
        if context.request.method == .put {
            changed = try decodeObject(&context, as: resource)
        } else {
            let type = context.request.header("content-type")?.split(separator: ";").first.map(String.init) ?? ""
            let patch = try Patch(type: type, body: context.request.body ?? Data(), object.key.resource)
            changed = try patch.applied(to: before, object.key)
        }
        let version = changed["metadata"]?["resourceVersion"]?.string
        let replicas = changed["spec"]?["replicas"] ?? 0
        guard let count = replicas.integer, count >= 0 else {
            throw .invalid(
                resource,
                object.key.name,
                [
                    .invalid(
                        "spec.replicas",
                        String(decoding: replicas.compactText, as: UTF8.self),
                        "must be greater than or equal to 0"
                    )
                ]
            )
        }
        let path = scalePaths(of: object.key.resource).specReplicas
        try update(
            object.key,
            subresource: "scale",
            expecting: version?.isEmpty == true ? nil : version
        ) { $0[path: path] = replicas }
        guard let after = stored(object.key) else { throw .notFound(object.key.resource, object.key.name) }
        return .json(200, scale(of: after))
    }

    // MARK: Pods

    private mutating func answerEviction(
        _ pod: StoredObject,
        _ context: inout RequestContext
    ) throws(Refusal) -> Response {
        let eviction = try decodeObject(&context, as: Resource(group: "policy", "evictions", kind: "Eviction"))
        let options = eviction["deleteOptions"]
        let phase = pod.json["status"]?["phase"]?.string
        let budgets = storedObjects(.podDisruptionBudgets, namespace: pod.key.namespace).filter {
            LabelSelector($0.json["spec"]?["selector"]).matches(pod.json["metadata"]?["labels"])
        }
        if let budget = budgets.first, phase == "Running" || phase == "Pending" {
            let state = budgetState(budget.json)
            if state.healthy - 1 < state.needed {
                throw Refusal(
                    429,
                    "TooManyRequests",
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                    details: [
                        "causes": [
                            [
                                "reason": "DisruptionBudget",
                                "message": .string(
                                    "The disruption budget \(budget.key.name) needs \(state.needed) healthy pods and "
                                        + "has \(state.healthy) currently"
                                ),
                            ]
                        ]
                    ]
                )
            }
        }
        try delete(
            pod.key,
            preconditions: Preconditions(
                uid: options?["preconditions"]?["uid"]?.string,
                resourceVersion: options?["preconditions"]?["resourceVersion"]?.string
            ),
            gracePeriodSeconds: options?["gracePeriodSeconds"]?.integer.map(Int.init)
        )
        return .json(
            201,
            ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success"]
        )
    }

    /// How many healthy pods a disruption budget demands, and how many there are.
    func budgetState(_ budget: JSON) -> (needed: Int, healthy: Int, expected: Int) {
        let selector = LabelSelector(budget["spec"]?["selector"])
        let pods = list(.pods, namespace: budget.namespace).filter {
            selector.matches($0["metadata"]?["labels"])
                && !["Succeeded", "Failed"].contains($0["status"]?["phase"]?.string)
        }
        let healthy = pods.filter { pod in
            !pod.isBeingDeleted
                && (pod["status"]?["conditions"]?.array ?? []).contains {
                    $0["type"] == "Ready" && $0["status"] == "True"
                }
        }
        func count(_ value: JSON?) -> Int? {
            if let count = value?.integer { return Int(count) }
            guard let text = value?.string, text.hasSuffix("%"), let share = Int(text.dropLast()) else { return nil }
            return (pods.count * share + 99) / 100
        }
        let needed =
            count(budget["spec"]?["minAvailable"])
            ?? count(budget["spec"]?["maxUnavailable"]).map { max(0, pods.count - $0) } ?? 0
        return (needed, healthy.count, pods.count)
    }

    private mutating func answerBinding(
        _ pod: StoredObject,
        _ context: inout RequestContext
    ) throws(Refusal) -> Response {
        let binding = try decodeObject(&context, as: Resource("bindings", kind: "Binding"))
        let node = binding["target"]?["name"]?.string ?? ""
        if let bound = pod.json["spec"]?["nodeName"]?.string {
            throw .conflict(.pods, pod.key.name, "pod \(pod.key.name) is already assigned to node \"\(bound)\"")
        }
        try update(pod.key, subresource: "binding") { $0[path: ["spec", "nodeName"]] = .string(node) }
        return .json(201, ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success"])
    }

    // MARK: Nodes

    private func answerProxy(_ node: StoredObject, _ target: Target) throws(Refusal) -> Response {
        guard target.rest == ["stats", "summary"] else { throw Refusal(404, "", "404 page not found\n") }
        return .json(200, statsSummary(node: node.key.name))
    }
}
