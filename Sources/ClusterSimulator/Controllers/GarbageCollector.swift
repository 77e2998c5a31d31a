import Kubernetes

/// Deletes what has lost its owners, and lets go or takes along dependents of what is deleted
/// (`pkg/controller/garbagecollector`).
enum GarbageCollector {
    private static let orphan = "orphan"
    private static let foreground = "foregroundDeletion"

    static func changed(_ old: JSON?, _ new: JSON?, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard let new else {
            guard let old else { return }
            for dependent in cluster.dependents(of: old.uid) { cluster.soon(.sync(.garbage, dependent), 3...25) }
            for reference in old.list("metadata", "ownerReferences") {
                guard let owner = cluster.object(uid: reference.text("uid")), owner.json.isBeingDeleted else {
                    continue
                }
                cluster.soon(.sync(.garbage, owner.key), 2...10)
            }
            if let namespace = key.namespace {
                let namespace = ObjectKey(.namespaces, nil, namespace)
                if cluster.get(namespace)?.isBeingDeleted == true { cluster.soon(.sync(.namespace, namespace), 5...20) }
            }
            return
        }
        let references = new.at("metadata", "ownerReferences")
        let held = new.isBeingDeleted && !new.finalizers.isEmpty
        if held || (references != nil && references != old?.at("metadata", "ownerReferences")) {
            cluster.soon(.sync(.garbage, key), 3...20)
        }
    }

    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let object = cluster.get(key) else { return }
        if object.isBeingDeleted {
            if object.finalizers.contains(orphan) {
                for dependent in cluster.dependents(of: object.uid) { disown(dependent, from: object.uid, &cluster) }
                release(key, orphan, &cluster)
            } else if object.finalizers.contains(foreground) {
                deleteDependents(of: object, key, &cluster)
            }
            return
        }
        let references = object.list("metadata", "ownerReferences")
        if references.isEmpty { return }
        var solid = false
        var gone: [String] = []
        for reference in references {
            if let owner = cluster.object(uid: reference.text("uid")) {
                let waits = owner.json.isBeingDeleted && owner.json.finalizers.contains(foreground)
                if !waits || reference["blockOwnerDeletion"] != true { solid = true }
            } else {
                gone.append(reference.text("uid"))
            }
        }
        if solid {
            for uid in gone { disown(key, from: uid, &cluster) }
        } else {
            cluster.remove(key, uid: object.uid)
        }
    }

    private static func deleteDependents(of object: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        var blocked = false
        for dependent in cluster.dependents(of: object.uid) {
            guard let json = cluster.get(dependent) else { continue }
            let reference = json.list("metadata", "ownerReferences").first { $0.text("uid") == object.uid }
            if reference?["blockOwnerDeletion"] == true { blocked = true }
            if !json.isBeingDeleted { cluster.remove(dependent, uid: json.uid) }
        }
        blocked =
            blocked
            && cluster.dependents(of: object.uid).contains { dependent in
                cluster.get(dependent)?.list("metadata", "ownerReferences")
                    .contains { $0.text("uid") == object.uid && $0["blockOwnerDeletion"] == true } ?? false
            }
        if !blocked { release(key, foreground, &cluster) }
    }

    private static func disown(_ key: ObjectKey, from uid: String, _ cluster: inout Cluster) {
        cluster.write(key) { object in
            let rest = object.list("metadata", "ownerReferences").filter { $0.text("uid") != uid }
            object.put(rest.isEmpty ? nil : .array(rest), "metadata", "ownerReferences")
        }
    }

    private static func release(_ key: ObjectKey, _ finalizer: String, _ cluster: inout Cluster) {
        cluster.write(key) { object in object.setFinalizers(object.finalizers.filter { $0 != finalizer }) }
    }
}

/// Empties a namespace that is being deleted, then lets it go.
enum NamespaceController {
    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let namespace = cluster.get(key), namespace.isBeingDeleted else { return }
        var empty = true
        for resource in cluster.resources.all where resource.namespaced {
            for stored in cluster.storedObjects(resource, namespace: key.name) {
                if !stored.json.isBeingDeleted { cluster.remove(stored.key, uid: stored.json.uid) }
                if cluster.get(stored.key) != nil { empty = false }
            }
        }
        if empty { cluster.write(key, subresource: "finalize") { $0.put([], "spec", "finalizers") } }
    }
}
