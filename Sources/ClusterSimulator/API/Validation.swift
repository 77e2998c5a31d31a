import Kubernetes

/// What is wrong with an object, in the API server's own words.
enum Validation {
    static func problems(creating object: JSON, _ resource: Resource) -> [FieldProblem] {
        var problems = metadata(object, resource)
        switch resource {
        case .persistentVolumeClaims: problems += claimSpec(object["spec"], "spec")
        case .persistentVolumes: problems += volumeSpec(object["spec"])
        case .pods: problems += podSpec(object["spec"], "spec", claims: [])
        case .statefulSets, .deployments, .replicaSets, .daemonSets: problems += workload(object, resource)
        case .jobs: problems += podTemplate(object, restart: ["OnFailure", "Never"])
        case .customResourceDefinitions: problems += definition(object)
        case .storageClasses:
            if (object["provisioner"]?.string ?? "").isEmpty { problems.append(.required("provisioner")) }
        case .roleBindings, .clusterRoleBindings:
            if object["roleRef"]?["name"] == nil { problems.append(.required("roleRef.name")) }
        default: break
        }
        return problems
    }

    static func problems(changing old: JSON, to new: JSON, _ resource: Resource) -> [FieldProblem] {
        var problems = metadata(new, resource, isUpdate: true) + finalizers(old, new)
        guard new["spec"] != old["spec"] || resource == .storageClasses || resource.group.hasPrefix("rbac") else {
            return problems
        }
        switch resource {
        case .persistentVolumeClaims: problems += ClaimUpdate.problems(old, new)
        case .persistentVolumes: problems += volumeUpdate(old, new)
        case .pods: problems += podUpdate(old, new)
        case .statefulSets:
            problems += workload(new, resource)
            let mutable = [
                "replicas", "ordinals", "template", "updateStrategy", "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ]
            if without(mutable, old["spec"]) != without(mutable, new["spec"]) {
                problems.append(
                    .forbidden(
                        "spec",
                        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                            + "'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
                            + "forbidden"
                    )
                )
            }
        case .deployments, .replicaSets, .daemonSets:
            problems += workload(new, resource)
            if old["spec"]?["selector"] != new["spec"]?["selector"] {
                problems.append(immutable("spec.selector", new["spec"]?["selector"]))
            }
        case .jobs:
            for field in ["completions", "selector", "template", "completionMode"]
            where old["spec"]?[field] != new["spec"]?[field] && old["spec"]?["suspend"]?.bool != true {
                problems.append(immutable("spec." + field, new["spec"]?[field]))
            }
        case .storageClasses:
            for field in ["parameters", "provisioner"] where old[field] != new[field] {
                problems.append(.forbidden(field, "updates to \(field) are forbidden."))
            }
            for field in ["reclaimPolicy", "volumeBindingMode"] where old[field] != new[field] {
                problems.append(.forbidden(field, "updates to \(field) are forbidden."))
            }
        case .roleBindings, .clusterRoleBindings:
            if old["roleRef"] != new["roleRef"] {
                problems.append(immutable("roleRef", new["roleRef"], "cannot change roleRef"))
            }
        default: break
        }
        return problems
    }

    private static func finalizers(_ old: JSON, _ new: JSON) -> [FieldProblem] {
        let before = old["metadata"]?["finalizers"]?.array ?? []
        let added = (new["metadata"]?["finalizers"]?.array ?? []).filter { !before.contains($0) }
        guard new.isBeingDeleted, !added.isEmpty else { return [] }
        let list = added.compactMap(\.string).map { "\"\($0)\"" }.joined(separator: ", ")
        return [
            .forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{\(list)}"
            )
        ]
    }

    private static func definition(_ object: JSON) -> [FieldProblem] {
        let group = object["spec"]?["group"]?.string ?? ""
        let plural = object["spec"]?["names"]?["plural"]?.string ?? ""
        var problems: [FieldProblem] = []
        if group.isEmpty { problems.append(.required("spec.group")) }
        if !group.isEmpty, !group.contains(".") {
            problems.append(.invalid("spec.group", "\"\(group)\"", "should be a domain with at least one dot"))
        }
        if Resource.builtIn.contains(where: { $0.group == group }) {
            problems.append(.invalid("spec.group", "\"\(group)\"", "is served by the API server itself"))
        }
        if object["spec"]?["versions"]?.array?.isEmpty ?? true { problems.append(.required("spec.versions")) }
        if object.name != plural + "." + group {
            problems.append(
                .invalid("metadata.name", "\"\(object.name)\"", "must be spec.names.plural+\".\"+spec.group")
            )
        }
        return problems
    }

    static func without(_ fields: [String], _ value: JSON?) -> JSON? {
        var rest = value
        for field in fields { rest?[field] = nil }
        return rest
    }

    static func immutable(_ field: String, _ value: JSON?, _ why: String = "field is immutable") -> FieldProblem {
        .invalid(field, value.map { String(decoding: $0.compactText, as: UTF8.self) } ?? "null", why)
    }

    // MARK: Volumes

    private static let accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

    private static func accessModeProblems(_ spec: JSON?, _ path: String) -> [FieldProblem] {
        let modes = (spec?["accessModes"]?.array ?? []).compactMap(\.string)
        if modes.isEmpty { return [.required(path, "at least 1 access mode is required")] }
        var problems = modes.filter { !accessModes.contains($0) }.map {
            FieldProblem.notSupported(path, $0, accessModes)
        }
        if modes.contains("ReadWriteOncePod"), modes.count > 1 {
            problems.append(.forbidden(path, "may not use ReadWriteOncePod with other access modes"))
        }
        return problems
    }

    static func claimSpec(_ spec: JSON?, _ path: String) -> [FieldProblem] {
        var problems = accessModeProblems(spec, path + ".accessModes")
        if let storage = spec?["resources"]?["requests"]?["storage"] {
            if let amount = storage.string.flatMap(Amount.init), amount <= .zero {
                problems.append(
                    .invalid(path + ".resources[storage]", "\"\(amount)\"", "must be greater than zero")
                )
            }
        } else {
            problems.append(.required(path + ".resources[storage]"))
        }
        if let mode = spec?["volumeMode"]?.string, !["Block", "Filesystem"].contains(mode) {
            problems.append(.notSupported(path + ".volumeMode", mode, ["Block", "Filesystem"]))
        }
        if let name = spec?["storageClassName"]?.string, !name.isEmpty, let problem = Names.subdomainProblem(name) {
            problems.append(.invalid(path + ".storageClassName", "\"\(name)\"", problem))
        }
        return problems
    }

    /// The fields of a volume's spec that are no source.
    private static let volumeFields = [
        "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
        "storageClassName", "volumeAttributesClassName", "volumeMode",
    ]

    private static func volumeSpec(_ spec: JSON?) -> [FieldProblem] {
        var problems = accessModeProblems(spec, "spec.accessModes")
        if spec?["capacity"]?.object?.isEmpty ?? true { problems.append(.required("spec.capacity")) }
        if without(volumeFields, spec)?.object?.isEmpty ?? true {
            problems.append(.required("spec", "must specify a volume type"))
        }
        return problems
    }

    private static func volumeUpdate(_ old: JSON, _ new: JSON) -> [FieldProblem] {
        var problems = volumeSpec(new["spec"])
        if without(volumeFields, old["spec"]) != without(volumeFields, new["spec"]) {
            problems.append(
                .forbidden(
                    "spec.persistentvolumesource",
                    "spec.persistentvolumesource is immutable after creation"
                )
            )
        }
        if old["spec"]?["volumeMode"] != new["spec"]?["volumeMode"] {
            problems.append(immutable("spec.volumeMode", new["spec"]?["volumeMode"]))
        }
        if let affinity = old["spec"]?["nodeAffinity"], affinity != new["spec"]?["nodeAffinity"] {
            problems.append(immutable("spec.nodeAffinity", new["spec"]?["nodeAffinity"]))
        }
        return problems
    }

    // MARK: Pods and workloads

    static func podSpec(_ spec: JSON?, _ path: String, claims: [String]) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        var volumes = Set(claims)
        for (index, volume) in (spec?["volumes"]?.array ?? []).enumerated() {
            let name = volume["name"]?.string ?? ""
            let field = "\(path).volumes[\(index)].name"
            if name.isEmpty { problems.append(.required(field)) }
            if !volumes.insert(name).inserted, !claims.contains(name) {
                problems.append(FieldProblem(reason: .duplicate, field: field, message: "Duplicate value: \"\(name)\""))
            }
            if let problem = Names.labelProblem(name), !name.isEmpty {
                problems.append(.invalid(field, "\"\(name)\"", problem))
            }
            if volume["persistentVolumeClaim"] != nil,
                (volume["persistentVolumeClaim"]?["claimName"]?.string ?? "").isEmpty
            {
                problems.append(.required("\(path).volumes[\(index)].persistentVolumeClaim.claimName"))
            }
        }
        for list in ["containers", "initContainers"] {
            let containers = spec?[list]?.array ?? []
            if list == "containers", containers.isEmpty { problems.append(.required(path + ".containers")) }
            for (index, container) in containers.enumerated() {
                problems += containerProblems(container, "\(path).\(list)[\(index)]", volumes)
            }
        }
        if let seconds = spec?["activeDeadlineSeconds"]?.integer, seconds < 1 {
            problems.append(
                .invalid(
                    path + ".activeDeadlineSeconds",
                    String(seconds),
                    "must be between 1 and 2147483647, inclusive"
                )
            )
        }
        if let policy = spec?["restartPolicy"]?.string, !["Always", "OnFailure", "Never"].contains(policy) {
            problems.append(.notSupported(path + ".restartPolicy", policy, ["Always", "OnFailure", "Never"]))
        }
        return problems
    }

    private static func containerProblems(
        _ container: JSON,
        _ path: String,
        _ volumes: Set<String>
    ) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let name = container["name"]?.string ?? ""
        if name.isEmpty {
            problems.append(.required(path + ".name"))
        } else if let problem = Names.labelProblem(name) {
            problems.append(.invalid(path + ".name", "\"\(name)\"", problem))
        }
        if (container["image"]?.string ?? "").isEmpty { problems.append(.required(path + ".image")) }
        if let policy = container["imagePullPolicy"]?.string, !["Always", "IfNotPresent", "Never"].contains(policy) {
            problems.append(.notSupported(path + ".imagePullPolicy", policy, ["Always", "IfNotPresent", "Never"]))
        }
        var paths: Set<String> = []
        for (index, device) in (container["volumeDevices"]?.array ?? []).enumerated() {
            let field = "\(path).volumeDevices[\(index)]"
            let name = device["name"]?.string ?? ""
            if !volumes.contains(name) {
                problems.append(
                    FieldProblem(reason: .notFound, field: field + ".name", message: "Not found: \"\(name)\"")
                )
            }
            let devicePath = device["devicePath"]?.string ?? ""
            if devicePath.isEmpty {
                problems.append(.required(field + ".devicePath"))
            } else if !paths.insert(devicePath).inserted {
                problems.append(.invalid(field + ".devicePath", "\"\(devicePath)\"", "must be unique"))
            }
        }
        for (index, mount) in (container["volumeMounts"]?.array ?? []).enumerated() {
            let field = "\(path).volumeMounts[\(index)]"
            let name = mount["name"]?.string ?? ""
            if !volumes.contains(name) {
                problems.append(
                    FieldProblem(reason: .notFound, field: field + ".name", message: "Not found: \"\(name)\"")
                )
            }
            let mountPath = mount["mountPath"]?.string ?? ""
            if mountPath.isEmpty {
                problems.append(.required(field + ".mountPath"))
            } else if !paths.insert(mountPath).inserted {
                problems.append(.invalid(field + ".mountPath", "\"\(mountPath)\"", "must be unique"))
            }
        }
        return problems
    }

    private static func podUpdate(_ old: JSON, _ new: JSON) -> [FieldProblem] {
        func fixed(_ pod: JSON) -> JSON? {
            var spec = without(["activeDeadlineSeconds", "tolerations", "nodeName"], pod["spec"])
            for list in ["containers", "initContainers"] {
                guard let containers = spec?[list]?.array else { continue }
                spec?[list] = .array(containers.map { without(["image"], $0) ?? $0 })
            }
            return spec
        }
        let moved = old["spec"]?["nodeName"] != nil && old["spec"]?["nodeName"] != new["spec"]?["nodeName"]
        guard fixed(old) != fixed(new) || moved else { return [] }
        return [
            .forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,"
                    + "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
                    + "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
                    + "previously negative)"
            )
        ]
    }

    private static func podTemplate(_ object: JSON, restart: [String]) -> [FieldProblem] {
        let claims = (object["spec"]?["volumeClaimTemplates"]?.array ?? []).map(\.name)
        let spec = object["spec"]?["template"]?["spec"]
        var problems = podSpec(spec, "spec.template.spec", claims: claims)
        if let policy = spec?["restartPolicy"]?.string, !restart.contains(policy) {
            problems.append(.notSupported("spec.template.spec.restartPolicy", policy, restart))
        }
        return problems
    }

    private static func workload(_ object: JSON, _ resource: Resource) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let spec = object["spec"]
        if let replicas = spec?["replicas"]?.integer, replicas < 0 {
            problems.append(
                .invalid("spec.replicas", String(replicas), "must be greater than or equal to 0")
            )
        }
        let selector = spec?["selector"]
        if selector?.object?.isEmpty ?? true {
            problems.append(.required("spec.selector"))
        } else {
            let labels = spec?["template"]?["metadata"]?["labels"]
            if !LabelSelector(selector).matches(labels) {
                problems.append(
                    .invalid(
                        "spec.template.metadata.labels",
                        String(decoding: (labels ?? .null).compactText, as: UTF8.self),
                        "`selector` does not match template `labels`"
                    )
                )
            }
        }
        problems += podTemplate(object, restart: ["Always"])
        return problems
    }
}
