import Kubernetes

extension Cluster {
    /// What the API server fills in of a definition of a custom resource.
    func completeDefinition(_ definition: inout JSON) {
        let kind = definition["spec"]?["names"]?["kind"]?.string ?? ""
        if definition["spec"]?["names"]?["listKind"] == nil {
            definition[path: ["spec", "names", "listKind"]] = .string(kind + "List")
        }
        if definition["spec"]?["names"]?["singular"] == nil {
            definition[path: ["spec", "names", "singular"]] = .string(kind.lowercased())
        }
        if definition["spec"]?["conversion"] == nil {
            definition[path: ["spec", "conversion"]] = ["strategy": "None"]
        }
        definition["status"] = [
            "acceptedNames": ["plural": "", "kind": ""],
            "storedVersions": .array([Self.version(of: definition)["name"] ?? "v1"]),
        ]
    }

    /// Serves what a new definition defines.
    mutating func establish(_ key: ObjectKey) {
        guard let definition = get(key) else { return }
        register(definition)
        let moment = JSON.string(timestamp)
        do {
            try update(key, subresource: "status") { definition in
                definition[path: ["status", "acceptedNames"]] = definition["spec"]?["names"]
                definition[path: ["status", "conditions"]] = [
                    [
                        "type": "NamesAccepted", "status": "True", "lastTransitionTime": moment,
                        "reason": "NoConflicts", "message": "no conflicts found",
                    ],
                    [
                        "type": "Established", "status": "True", "lastTransitionTime": moment,
                        "reason": "InitialNamesAccepted", "message": "the initial names have been accepted",
                    ],
                ]
                definition[path: ["metadata", "finalizers"]] = [.string(Self.cleanUpFinalizer)]
            }
        } catch {
            preconditionFailure("the status of a definition was refused: \(error)")
        }
    }

    private static let cleanUpFinalizer = "customresourcecleanup.apiextensions.k8s.io"

    func markTerminating(_ definition: inout JSON, old: JSON) {
        definition["metadata"]?["deletionGracePeriodSeconds"] = nil
        definition["metadata"]?["generation"] = old["metadata"]?["generation"]
        let conditions = definition["status"]?["conditions"]?.array ?? []
        definition[path: ["status", "conditions"]] = .array(
            conditions + [
                [
                    "type": "Terminating", "status": "True", "lastTransitionTime": .string(timestamp),
                    "reason": "InstanceDeletionPending",
                    "message":
                        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
                ]
            ]
        )
    }

    /// Removes the objects of a definition that is being deleted, and then it.
    mutating func cleanUp(_ definition: StoredObject) {
        unregister(definition.json)
        do {
            try update(definition.key) { definition in
                let others = (definition["metadata"]?["finalizers"]?.array ?? []).filter {
                    $0.string != Self.cleanUpFinalizer
                }
                definition[path: ["metadata", "finalizers"]] = others.isEmpty ? nil : .array(others)
            }
        } catch {
            preconditionFailure("a deleted definition stays: \(error)")
        }
    }

    /// Takes a definition's resource among those that are served, or takes in its changes.
    mutating func register(_ definition: JSON) {
        let (resource, scale) = Self.resource(of: definition)
        resources.add(resource)
        resources.customScales[resource] = scale
    }

    /// Stops serving a definition's resource; its objects go with it.
    mutating func unregister(_ definition: JSON) {
        let (resource, _) = Self.resource(of: definition)
        for object in storedObjects(resource, namespace: nil) {
            do {
                try update(object.key) { $0[path: ["metadata", "finalizers"]] = nil }
                if stored(object.key) != nil { try delete(object.key) }
            } catch {
                preconditionFailure("an object of a deleted definition stays: \(error)")
            }
        }
        resources.remove(resource)
    }

    private static func version(of definition: JSON) -> JSON {
        let versions = definition["spec"]?["versions"]?.array ?? []
        return versions.first { $0["storage"]?.bool == true } ?? versions.first ?? [:]
    }

    private static func resource(of definition: JSON) -> (Resource, CustomScale?) {
        let spec = definition["spec"]
        let names = spec?["names"]
        let version = version(of: definition)
        let scale = version["subresources"]?["scale"]
        var subresources: [String] = []
        if version["subresources"]?["status"] != nil { subresources.append("status") }
        if scale != nil { subresources.append("scale") }
        let resource = Resource(
            group: spec?["group"]?.string ?? "",
            version: version["name"]?.string ?? "v1",
            names?["plural"]?.string ?? "",
            kind: names?["kind"]?.string ?? "",
            namespaced: spec?["scope"]?.string != "Cluster",
            singular: names?["singular"]?.string,
            shortNames: (names?["shortNames"]?.array ?? []).compactMap(\.string),
            categories: (names?["categories"]?.array ?? []).compactMap(\.string),
            subresources: subresources
        )
        func path(_ field: String) -> [String]? {
            scale?[field]?.string.map { $0.split(separator: ".").map(String.init) }
        }
        guard let specReplicas = path("specReplicasPath"), let statusReplicas = path("statusReplicasPath") else {
            return (resource, nil)
        }
        return (
            resource,
            CustomScale(
                specReplicas: specReplicas,
                statusReplicas: statusReplicas,
                labelSelector: path("labelSelectorPath")
            )
        )
    }
}
