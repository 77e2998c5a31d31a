import FoundationEssentials
import Kubernetes

extension Cluster {
    /// Answers what is no object: versions, health, discovery, OpenAPI.
    func answerNonResource(_ context: RequestContext) throws(Refusal) -> Response? {
        let info = context.info
        guard info.parts.count < 4 || info.parts.first == "openapi" || info.parts.first?.hasSuffix("z") == true,
            info.parts.first != "api" || info.parts.count < 3
        else { return nil }
        guard isAllowed(context.user, path: info.path) else {
            throw Refusal(
                403,
                "Forbidden",
                "forbidden: User \"\(context.user.name)\" cannot \(context.request.method.rawValue.lowercased()) path "
                    + "\"\(info.path)\"",
                details: [:]
            )
        }
        let aggregated = context.request.header("accept")?.contains("as=APIGroupDiscoveryList") ?? false
        switch info.parts.first {
        case nil:
            let paths = ["/api", "/api/v1", "/apis"] + groups.map { "/apis/" + $0.name } + ["/healthz", "/version"]
            return .json(200, ["paths": .array(paths.map(JSON.string))])
        case "version": return .json(200, Self.version)
        case "healthz", "livez", "readyz": return .text(200, "ok")
        case "openapi": return openAPI(info)
        case "api" where info.parts.count == 1:
            if aggregated { return aggregatedDiscovery([Group(name: "", versions: ["v1"])]) }
            return .json(
                200,
                [
                    "kind": "APIVersions", "versions": ["v1"],
                    "serverAddressByClientCIDRs": [["clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"]],
                ]
            )
        case "api" where info.parts == ["api", "v1"]: return .json(200, resourceList(group: "", version: "v1"))
        case "apis" where info.parts.count == 1:
            if aggregated { return aggregatedDiscovery(groups) }
            return .json(
                200,
                [
                    "kind": "APIGroupList", "apiVersion": "v1",
                    "groups": .array(groups.map { $0.description(isAlone: false) }),
                ]
            )
        case "apis" where info.parts.count == 2:
            guard let group = groups.first(where: { $0.name == info.parts[1] }) else { throw notServed(info) }
            return .json(200, group.description(isAlone: true))
        case "apis" where info.parts.count == 3:
            guard groups.contains(where: { $0.name == info.parts[1] && $0.versions.contains(info.parts[2]) }) else {
                throw notServed(info)
            }
            return .json(200, resourceList(group: info.parts[1], version: info.parts[2]))
        default: throw Refusal(404, "", "404 page not found\n")
        }
    }

    private static let version: JSON = [
        "major": "1", "minor": "32", "gitVersion": "v1.32.13", "gitCommit": "simulated", "gitTreeState": "clean",
        "buildDate": "2026-08-20T00:00:00Z", "goVersion": "go1.24.11", "compiler": "gc", "platform": "linux/amd64",
    ]

    struct Group {
        var name: String
        var versions: [String]

        func description(isAlone: Bool) -> JSON {
            let versions: [JSON] = versions.map {
                ["groupVersion": .string(name + "/" + $0), "version": .string($0)]
            }
            var group: JSON = [
                "name": .string(name), "versions": .array(versions), "preferredVersion": versions[0],
            ]
            if isAlone {
                group["kind"] = "APIGroup"
                group["apiVersion"] = "v1"
            }
            return group
        }
    }

    private static let reviews = [
        Resource(
            group: "authorization.k8s.io",
            "selfsubjectaccessreviews",
            kind: "SelfSubjectAccessReview",
            namespaced: false
        ),
        Resource(
            group: "authorization.k8s.io",
            "selfsubjectrulesreviews",
            kind: "SelfSubjectRulesReview",
            namespaced: false
        ),
        Resource(
            group: "authentication.k8s.io",
            "selfsubjectreviews",
            kind: "SelfSubjectReview",
            namespaced: false
        ),
    ]

    /// All groups but the core group, in the order in which they appeared.
    var groups: [Group] {
        var groups: [Group] = []
        for resource in resources.all + Self.reviews where !resource.group.isEmpty {
            if let index = groups.firstIndex(where: { $0.name == resource.group }) {
                if !groups[index].versions.contains(resource.version) {
                    groups[index].versions.append(resource.version)
                }
            } else {
                groups.append(Group(name: resource.group, versions: [resource.version]))
            }
        }
        return groups
    }

    private func served(group: String, version: String) -> [Resource] {
        (resources.all + Self.reviews).filter { $0.group == group && $0.version == version }.sorted {
            $0.plural < $1.plural
        }
    }

    private static func verbs(_ resource: Resource) -> [String] {
        if reviews.contains(resource) { return ["create"] }
        return resource.isBuiltIn
            ? ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
            : ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
    }

    private static func verbs(ofSubresource name: String) -> [String] {
        switch name {
        case "log": ["get"]
        case "exec": ["create", "get"]
        case "eviction", "binding", "token": ["create"]
        case "finalize": ["update"]
        case "proxy": ["create", "delete", "get", "patch", "update"]
        default: ["get", "patch", "update"]
        }
    }

    private static func subresourceKind(_ name: String, _ resource: Resource) -> (
        group: String, version: String, kind: String
    )? {
        switch name {
        case "scale": ("autoscaling", "v1", "Scale")
        case "eviction": ("policy", "v1", "Eviction")
        case "binding": ("", "v1", "Binding")
        case "exec": ("", "v1", "PodExecOptions")
        case "token": ("authentication.k8s.io", "v1", "TokenRequest")
        default: nil
        }
    }

    private func resourceList(group: String, version: String) -> JSON {
        var entries: [JSON] = []
        for resource in served(group: group, version: version) {
            var entry: JSON = [
                "name": .string(resource.plural), "singularName": .string(resource.singular),
                "namespaced": .bool(resource.namespaced), "kind": .string(resource.kind),
                "verbs": .array(Self.verbs(resource).map(JSON.string)),
            ]
            if !resource.shortNames.isEmpty { entry["shortNames"] = .array(resource.shortNames.map(JSON.string)) }
            if !resource.categories.isEmpty { entry["categories"] = .array(resource.categories.map(JSON.string)) }
            entries.append(entry)
            for name in resource.subresources {
                var entry: JSON = [
                    "name": .string(resource.plural + "/" + name), "singularName": "",
                    "namespaced": .bool(resource.namespaced), "kind": .string(resource.kind),
                    "verbs": .array(Self.verbs(ofSubresource: name).map(JSON.string)),
                ]
                if let other = Self.subresourceKind(name, resource) {
                    // Only of another group is it said which.
                    if other.group != group {
                        entry["group"] = .string(other.group)
                        entry["version"] = .string(other.version)
                    }
                    entry["kind"] = .string(other.kind)
                }
                entries.append(entry)
            }
        }
        return [
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": .string(group.isEmpty ? version : group + "/" + version), "resources": .array(entries),
        ]
    }

    /// Everything in one answer (`apidiscovery.k8s.io/v2`), as kubectl asks for it.
    private func aggregatedDiscovery(_ groups: [Group]) -> Response {
        let items: [JSON] = groups.map { group in
            let versions: [JSON] = group.versions.map { version in
                let resources: [JSON] = served(group: group.name, version: version).map { resource in
                    var entry: JSON = [
                        "resource": .string(resource.plural),
                        "responseKind": [
                            "group": .string(group.name), "version": .string(version), "kind": .string(resource.kind),
                        ],
                        "scope": resource.namespaced ? "Namespaced" : "Cluster",
                        "singularResource": .string(resource.singular),
                        "verbs": .array(Self.verbs(resource).map(JSON.string)),
                    ]
                    if !resource.shortNames.isEmpty {
                        entry["shortNames"] = .array(resource.shortNames.map(JSON.string))
                    }
                    if !resource.categories.isEmpty {
                        entry["categories"] = .array(resource.categories.map(JSON.string))
                    }
                    let subresources: [JSON] = resource.subresources.map { name in
                        let kind =
                            Self.subresourceKind(name, resource) ?? (group.name, version, resource.kind)
                        return [
                            "subresource": .string(name),
                            "responseKind": [
                                "group": .string(kind.group), "version": .string(kind.version),
                                "kind": .string(kind.kind),
                            ],
                            "verbs": .array(Self.verbs(ofSubresource: name).map(JSON.string)),
                        ]
                    }
                    if !subresources.isEmpty { entry["subresources"] = .array(subresources) }
                    return entry
                }
                return ["version": .string(version), "resources": .array(resources), "freshness": "Current"]
            }
            var metadata: JSON = ["creationTimestamp": nil]
            if !group.name.isEmpty { metadata["name"] = .string(group.name) }
            return ["metadata": metadata, "versions": .array(versions)]
        }
        let list: JSON = [
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": [:],
            "items": .array(items),
        ]
        var response = Response.json(200, list)
        response.headers = [
            ("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        ]
        return response
    }
}
