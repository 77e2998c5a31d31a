import Kubernetes

extension Cluster {
    /// As much of OpenAPI v3 as kubectl looks at: which kinds there are, and that writes take `fieldValidation`.
    ///
    /// The schemas say "any object", so that kubectl leaves the validation to the server.
    func openAPI(_ info: RequestInfo) -> Response {
        guard info.parts.count >= 2, info.parts[1] == "v3" else { return .text(404, "404 page not found\n") }
        if info.parts.count == 2 {
            var paths: JSON = [:]
            for name in ["api/v1"] + groups.flatMap({ group in group.versions.map { "apis/\(group.name)/\($0)" } }) {
                paths[name] = ["serverRelativeURL": .string("/openapi/v3/\(name)?hash=simulated")]
            }
            return .json(200, ["paths": paths])
        }
        let (group, version): (String, String)
        switch (info.parts[2], info.parts.count) {
        case ("api", 4): (group, version) = ("", info.parts[3])
        case ("apis", 5): (group, version) = (info.parts[3], info.parts[4])
        default: return .text(404, "404 page not found\n")
        }
        var paths: JSON = [:]
        var schemas: JSON = [:]
        for resource in resources.all where resource.group == group && resource.version == version {
            let kind: JSON = [
                "group": .string(group), "version": .string(version), "kind": .string(resource.kind),
            ]
            let root = group.isEmpty ? "/api/\(version)/" : "/apis/\(group)/\(version)/"
            let collection = root + (resource.namespaced ? "namespaces/{namespace}/" : "") + resource.plural
            func operation(_ action: String) -> JSON {
                [
                    "operationId": .string(action + resource.kind), "x-kubernetes-action": .string(action),
                    "x-kubernetes-group-version-kind": kind,
                    "parameters": .array(
                        ["dryRun", "fieldManager", "fieldValidation", "force"].map {
                            ["name": .string($0), "in": "query", "schema": ["type": "string"]]
                        }
                    ),
                    "responses": ["200": ["description": "OK"]],
                ]
            }
            paths[collection] = ["get": operation("list"), "post": operation("post")]
            paths[collection + "/{name}"] = [
                "get": operation("get"), "put": operation("put"), "patch": operation("patch"),
                "delete": operation("delete"),
            ]
            schemas[Self.schemaName(resource)] = [
                "type": "object", "description": .string(resource.kind),
                "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-group-version-kind": [kind],
            ]
        }
        return .json(
            200,
            [
                "openapi": "3.0.0", "info": ["title": "Kubernetes", "version": "v1.32.13"], "paths": paths,
                "components": ["schemas": schemas],
            ]
        )
    }

    private static func schemaName(_ resource: Resource) -> String {
        let group = resource.group.isEmpty ? "core" : String(resource.group.prefix { $0 != "." })
        return resource.isBuiltIn
            ? "io.k8s.api.\(group).\(resource.version).\(resource.kind)"
            : resource.group.split(separator: ".").reversed().joined(separator: ".")
                + ".\(resource.version).\(resource.kind)"
    }
}
