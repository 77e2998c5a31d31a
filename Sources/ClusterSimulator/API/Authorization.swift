import FoundationEssentials
import Kubernetes

/// What a user wants to do.
struct AccessAttributes {
    var verb: String
    var group: String
    /// With a subresource: `pods/log`.
    var resource: String
    var namespace: String?
    var name: String?
}

extension Cluster {
    func authorize(_ user: User, _ verb: String, _ target: Target) throws(Refusal) {
        let resource = target.resource.plural + (target.subresource.map { "/" + $0 } ?? "")
        let isNamespace = target.resource == .namespaces
        let attributes = AccessAttributes(
            verb: verb,
            group: target.resource.group,
            resource: resource,
            namespace: isNamespace ? target.name : target.namespace,
            name: target.name
        )
        if isAllowed(user, attributes) { return }
        let scope = target.namespace.map { "in the namespace \"\($0)\"" } ?? "at the cluster scope"
        throw .forbidden(
            target.resource,
            verb == "create" && target.subresource == nil ? "" : target.name ?? "",
            "User \"\(user.name)\" cannot \(verb) resource \"\(resource)\" in API group "
                + "\"\(target.resource.group)\" \(scope)"
        )
    }

    /// Role-based access control: whether any rule bound to the user allows it.
    func isAllowed(_ user: User, _ wanted: AccessAttributes) -> Bool {
        if behaviour.denied.contains("\(wanted.verb) \(wanted.resource)") { return false }
        if user.groups.contains("system:masters") { return true }
        return rules(of: user, namespace: wanted.namespace).contains { Self.allows($0, wanted) }
    }

    func isAllowed(_ user: User, path: String) -> Bool {
        if ["/healthz", "/livez", "/readyz", "/version", "/version/"].contains(path) { return true }
        if user.groups.contains("system:masters") || user.groups.contains("system:authenticated") { return true }
        return false
    }

    /// The rules that hold for a user everywhere and, where one is given, in a namespace.
    func rules(of user: User, namespace: String?) -> [JSON] {
        var rules: [JSON] = []
        if user.groups.contains("system:authenticated") {
            rules += [
                [
                    "verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
                    "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                ],
                ["verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]],
            ]
        }
        for binding in list(.clusterRoleBindings) where Self.binds(binding, user) {
            rules += self.rules(of: binding["roleRef"], namespace: nil)
        }
        if let namespace {
            for binding in list(.roleBindings, namespace: namespace) where Self.binds(binding, user) {
                rules += self.rules(of: binding["roleRef"], namespace: namespace)
            }
        }
        return rules
    }

    private func rules(of role: JSON?, namespace: String?) -> [JSON] {
        let name = role?["name"]?.string ?? ""
        let isClusterRole = role?["kind"]?.string == "ClusterRole"
        let key = isClusterRole ? ObjectKey(.clusterRoles, nil, name) : ObjectKey(.roles, namespace, name)
        return get(key)?["rules"]?.array ?? []
    }

    private static func binds(_ binding: JSON, _ user: User) -> Bool {
        (binding["subjects"]?.array ?? []).contains { subject in
            let name = subject["name"]?.string ?? ""
            switch subject["kind"]?.string {
            case "User": return name == user.name
            case "Group": return user.groups.contains(name)
            default: return user.name == "system:serviceaccount:\(subject["namespace"]?.string ?? ""):\(name)"
            }
        }
    }

    private static func allows(_ rule: JSON, _ wanted: AccessAttributes) -> Bool {
        func contains(_ field: String, _ values: String...) -> Bool {
            (rule[field]?.array ?? []).contains { element in
                guard let text = element.string else { return false }
                return text == "*" || values.contains(text)
            }
        }
        let subresource = wanted.resource.split(separator: "/").dropFirst().first.map { "*/" + $0 }
        let names = rule["resourceNames"]?.array ?? []
        return contains("verbs", wanted.verb) && contains("apiGroups", wanted.group)
            && contains("resources", wanted.resource, subresource ?? wanted.resource)
            && (names.isEmpty || names.contains { $0.string == wanted.name && wanted.name != nil })
    }

    // MARK: Reviews

    /// Answers the reviews, which are created and never stored.
    mutating func answerReview(_ context: inout RequestContext) throws(Refusal) -> Response? {
        let parts = context.info.parts
        guard context.request.method == .post, parts.count == 4, parts[0] == "apis", parts[2] == "v1" else {
            return nil
        }
        let (group, plural) = (parts[1], parts[3])
        let kind: String
        switch (group, plural) {
        case ("authorization.k8s.io", "selfsubjectaccessreviews"): kind = "SelfSubjectAccessReview"
        case ("authorization.k8s.io", "selfsubjectrulesreviews"): kind = "SelfSubjectRulesReview"
        case ("authentication.k8s.io", "selfsubjectreviews"): kind = "SelfSubjectReview"
        default: return nil
        }
        let resource = Resource(group: group, plural, kind: kind, namespaced: false)
        let user = context.user
        guard user.groups.contains("system:authenticated") || user.groups.contains("system:masters") else {
            throw .forbidden(
                resource,
                "",
                "User \"\(user.name)\" cannot create resource \"\(plural)\" in API group \"\(group)\" at the cluster "
                    + "scope"
            )
        }
        var review = try decodeObject(&context, as: resource)
        review["metadata"] = ["creationTimestamp": nil]
        switch kind {
        case "SelfSubjectAccessReview": review["status"] = accessReview(review["spec"], user)
        case "SelfSubjectRulesReview":
            let rules = rules(of: user, namespace: review["spec"]?["namespace"]?.string)
            review["status"] = [
                "resourceRules": .array(
                    user.groups.contains("system:masters")
                        ? [["verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]]] + rules : rules
                ),
                "nonResourceRules": [], "incomplete": false,
            ]
        default:
            review["status"] = [
                "userInfo": ["username": .string(user.name), "groups": .array(user.groups.map(JSON.string))]
            ]
        }
        for key in review["spec"]?["resourceAttributes"]?.object?.keys.sorted() ?? []
        where review["spec"]?["resourceAttributes"]?[key] == "" {
            review[path: ["spec", "resourceAttributes", key]] = nil
        }
        return .json(201, review)
    }

    private func accessReview(_ spec: JSON?, _ user: User) -> JSON {
        if let path = spec?["nonResourceAttributes"]?["path"]?.string {
            return ["allowed": .bool(isAllowed(user, path: path))]
        }
        let attributes = spec?["resourceAttributes"]
        func text(_ field: String) -> String? {
            let value = attributes?[field]?.string
            return value?.isEmpty == true ? nil : value
        }
        let resource = (text("resource") ?? "") + (text("subresource").map { "/" + $0 } ?? "")
        let allowed = isAllowed(
            user,
            AccessAttributes(
                verb: text("verb") ?? "",
                group: text("group") ?? "",
                resource: resource,
                namespace: text("namespace"),
                name: text("name")
            )
        )
        return ["allowed": .bool(allowed)]
    }
}
