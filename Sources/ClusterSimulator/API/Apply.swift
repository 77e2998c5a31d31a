import FoundationEssentials
import Kubernetes

/// Which manager owns which fields of an object by server-side apply.
struct AppliedFields: Sendable {
    /// Paths of leaves, such as `.data.k` and `.spec.containers[name="x"].image`.
    var byManager: [String: Set<String>] = [:]
}

extension Cluster {
    /// Server-side apply, with conflicts between managers.
    ///
    /// Fields that were last written otherwise (POST, PUT, other patches) belong to nobody, unless an applier owned
    /// them: that one loses them to the writer.
    mutating func answerApply(_ target: Target, _ context: inout RequestContext) throws(Refusal) -> Response {
        guard let manager = context.info.query["fieldManager"], !manager.isEmpty else {
            throw Refusal(
                422,
                "Invalid",
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
            )
        }
        // A real server answers in these words, without its parser's.
        guard var applied = try? JSON(parsing: context.request.body ?? Data()), applied.object != nil else {
            throw .badRequest("error decoding YAML: the body is no object")
        }
        let key = target.key
        if let kind = applied["kind"]?.string, kind != key.resource.kind {
            throw .badRequest("failed to create typed patch object: kind \(kind) does not match \(key.resource.kind)")
        }
        let unknown = Schema.prune(&applied, key.resource)
        try context.report(unknown, in: key.resource)
        let leaves = Self.leaves(of: applied)
        let force = context.info.flag("force")
        guard let existing = get(key) else {
            applied[path: ["metadata", "name"]] = .string(key.name)
            let created = try create(key.resource, namespace: key.namespace, applied, as: context.user)
            appliedFields[created.uid, default: AppliedFields()].byManager[manager] = Set(leaves.keys)
            return respond(key, created, context, status: 201)
        }
        var owners = appliedFields[existing.uid] ?? AppliedFields()
        let current = Self.leaves(of: existing)
        var conflicts: [(String, String)] = []
        for (path, value) in leaves.sorted(by: { $0.key < $1.key }) where current[path] != value {
            for (other, paths) in owners.byManager.sorted(by: { $0.key < $1.key })
            where other != manager && paths.contains(path) { conflicts.append((other, path)) }
        }
        if !conflicts.isEmpty, !force { throw Self.applyConflict(conflicts) }
        for (other, path) in conflicts { owners.byManager[other]?.remove(path) }
        // What this manager applied before and does not any more goes, unless somebody else owns it too.
        let dropped = (owners.byManager[manager] ?? []).subtracting(leaves.keys).filter { path in
            !owners.byManager.contains { $0.key != manager && $0.value.contains(path) }
        }
        owners.byManager[manager] = Set(leaves.keys)
        applied["metadata"]?["name"] = nil
        applied["metadata"]?["namespace"] = nil
        let updated = try update(key, subresource: target.subresource, as: context.user) { object in
            object = StrategicMerge.applied(applied, to: object)
            for path in dropped { Self.remove(path, from: &object) }
        }
        appliedFields[existing.uid] = owners
        return respond(key, updated, context)
    }

    private static func applyConflict(_ conflicts: [(String, String)]) -> Refusal {
        let causes = conflicts.map { manager, path in
            [
                "reason": "FieldManagerConflict", "message": .string("conflict with \"\(manager)\""),
                "field": .string(path),
            ] as JSON
        }
        let message: String
        if conflicts.count == 1 {
            message = "Apply failed with 1 conflict: conflict with \"\(conflicts[0].0)\": \(conflicts[0].1)"
        } else {
            let groups = Dictionary(grouping: conflicts, by: \.0).sorted { $0.key < $1.key }
            message =
                "Apply failed with \(conflicts.count) conflicts: "
                + groups.map { manager, fields in
                    "conflicts with \"\(manager)\":\n" + fields.map { "- " + $0.1 }.joined(separator: "\n")
                }.joined(separator: "\n")
        }
        return Refusal(409, "Conflict", message, details: ["causes": .array(causes)])
    }

    /// Takes fields that another write changed away from those who applied them.
    mutating func noteOwnership(of key: ObjectKey, before: JSON?, after: JSON, _ context: RequestContext) {
        guard let before, var owners = appliedFields[before.uid] else { return }
        let old = Self.leaves(of: before)
        let new = Self.leaves(of: after)
        let changed = Set(new.filter { old[$0.key] != $0.value }.keys).union(old.keys.filter { new[$0] == nil })
        for manager in owners.byManager.keys { owners.byManager[manager]?.subtract(changed) }
        appliedFields[before.uid] = owners
    }

    /// Every leaf of an object with its path; elements of lists of named things go by their names.
    private static func leaves(of object: JSON) -> [String: JSON] {
        var found: [String: JSON] = [:]
        func walk(_ value: JSON, _ path: String, _ field: String) {
            switch value {
            case .object(let members) where !members.isEmpty:
                for (key, member) in members { walk(member, path + "." + key, key) }
            case .array(let elements):
                guard let key = StrategicMerge.mergeKey(field, elements) else {
                    found[path] = value
                    return
                }
                for element in elements {
                    let name = element[key].map { String(decoding: $0.compactText, as: UTF8.self) } ?? ""
                    walk(element, "\(path)[\(key)=\(name)]", "")
                }
            default: found[path] = value
            }
        }
        for (key, member) in object.object ?? [:] where !["apiVersion", "kind", "status"].contains(key) {
            walk(member, "." + key, key)
        }
        for path in [".metadata.name", ".metadata.namespace", ".metadata.uid", ".metadata.resourceVersion"] {
            found[path] = nil
        }
        return found
    }

    /// Removes a leaf; parts of lists stay, since their owner's other fields go one by one.
    private static func remove(_ path: String, from object: inout JSON) {
        if path.contains("[") { return }
        object[path: path.split(separator: ".").map(String.init)] = nil
    }
}
