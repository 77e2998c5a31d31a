public import Kubernetes

/// What happens to an object's dependents when it is deleted.
public enum Propagation: String, Sendable {
    case orphan = "Orphan"
    case background = "Background"
    case foreground = "Foreground"
}

/// What must still be true of an object for it to be deleted.
public struct Preconditions: Sendable {
    public var uid: String?
    public var resourceVersion: String?

    public init(uid: String? = nil, resourceVersion: String? = nil) {
        self.uid = uid
        self.resourceVersion = resourceVersion
    }
}

extension Cluster {
    // MARK: Reading

    /// An object as it is now, or nil.
    public func get(_ key: ObjectKey) -> JSON? { stored(key)?.json }

    /// The objects of a resource by namespace and name; of all namespaces where none is given.
    public func list(_ resource: Resource, namespace: String? = nil) -> [JSON] {
        storedObjects(resource, namespace: namespace).map(\.json)
    }

    /// The object with a uid.
    func object(uid: String) -> (key: ObjectKey, json: JSON)? {
        guard let key = keysByUID[uid], let json = get(key) else { return nil }
        return (key, json)
    }

    /// The objects that name an owner's uid in their owner references, in a fixed order.
    func dependents(of uid: String) -> [ObjectKey] {
        (dependentsByOwner[uid] ?? []).sorted {
            ($0.resource.qualifiedName, $0.namespace ?? "", $0.name)
                < ($1.resource.qualifiedName, $1.namespace ?? "", $1.name)
        }
    }

    func stored(_ key: ObjectKey) -> StoredObject? {
        stores[key.resource]?[key.namespace, key.name]
    }

    func storedObjects(_ resource: Resource, namespace: String?) -> [StoredObject] {
        guard let store = stores[resource] else { return [] }
        return namespace.map(store.objects(in:)) ?? store.objects
    }

    // MARK: Writing

    /// Creates an object as the API server does: defaults, admission, validation, then storage.
    ///
    /// - Parameter user: who asks for it; nil for the cluster's own parts, which may do everything.
    /// - Returns: the object as it was stored.
    @discardableResult
    public mutating func create(
        _ resource: Resource,
        namespace: String? = nil,
        _ object: JSON,
        as user: User? = nil
    ) throws(Refusal) -> JSON {
        var object = object
        let namespace = resource.namespaced ? namespace ?? object["metadata"]?["namespace"]?.string : nil
        try prepareForCreation(&object, resource, namespace: namespace, as: user)
        let name = object.name
        let key = ObjectKey(resource, namespace, name)
        if let existing = stored(key) {
            throw .alreadyExists(resource, name, beingDeleted: existing.json.isBeingDeleted)
        }
        let stored = commit(.added, key, old: nil, new: object)
        afterCreation(stored)
        return stored.json
    }

    /// Changes an object; a change that changes nothing writes nothing. An object that is being deleted goes away with
    /// its last finalizer.
    ///
    /// - Parameters:
    ///   - subresource: `status` changes nothing but the status and some metadata; without it the status stays.
    ///   - resourceVersion: the change is refused with a conflict where the object has another one.
    ///   - user: who asks for it; nil for the cluster's own parts, which may do everything.
    /// - Returns: the object as it is then.
    @discardableResult
    public mutating func update(
        _ key: ObjectKey,
        subresource: String? = nil,
        expecting resourceVersion: String? = nil,
        as user: User? = nil,
        _ change: (inout JSON) throws(Refusal) -> Void
    ) throws(Refusal) -> JSON {
        guard let old = stored(key) else { throw .notFound(key.resource, key.name) }
        if let resourceVersion, resourceVersion != old.json["metadata"]?["resourceVersion"]?.string {
            throw .conflict(key.resource, key.name)
        }
        var new = old.json
        try change(&new)
        try prepareForUpdate(&new, old: old.json, key, subresource: subresource, as: user)
        if new == old.json { return new }
        if new.isBeingDeleted, isFinished(new, key) {
            remove(old)
            return new
        }
        return commit(.modified, key, old: old, new: new).json
    }

    /// Deletes an object, or marks it as being deleted where finalizers or a pod's grace period hold it.
    ///
    /// - Returns: the object's last state.
    @discardableResult
    public mutating func delete(
        _ key: ObjectKey,
        preconditions: Preconditions = Preconditions(),
        propagation: Propagation? = nil,
        gracePeriodSeconds: Int? = nil
    ) throws(Refusal) -> JSON {
        guard let old = stored(key) else { throw .notFound(key.resource, key.name) }
        try check(preconditions, of: old)
        var new = old.json
        let finalizers = finalizers(of: new, with: propagation)
        new["metadata"]?["finalizers"] = finalizers.isEmpty ? nil : .array(finalizers.map(JSON.string))
        let grace = gracePeriod(of: new, key, asked: gracePeriodSeconds)
        if !new.isBeingDeleted {
            new["metadata"]?["deletionTimestamp"] = .string(Timestamp.text(epoch + Int(now.components.seconds) + grace))
            if key.resource == .namespaces {
                new["status"] = ["phase": "Terminating"]
            } else {
                new["metadata"]?["deletionGracePeriodSeconds"] = .integer(Int64(grace))
            }
            if let generation = new["metadata"]?["generation"]?.integer {
                new["metadata"]?["generation"] = .integer(generation + 1)
            }
        } else if let before = new["metadata"]?["deletionGracePeriodSeconds"]?.integer, grace < before {
            new["metadata"]?["deletionTimestamp"] = .string(Timestamp.text(epoch + Int(now.components.seconds) + grace))
            new["metadata"]?["deletionGracePeriodSeconds"] = .integer(Int64(grace))
        }
        guard isFinished(new, key) else {
            if new == old.json { return new }
            if key.resource == .customResourceDefinitions { markTerminating(&new, old: old.json) }
            let marked = commit(.modified, key, old: old, new: new)
            if key.resource == .customResourceDefinitions { cleanUp(marked) }
            return marked.json
        }
        // A pod is marked even when it goes at once.
        guard key.resource == .pods else { return remove(old) }
        let marked = new == old.json ? old : commit(.modified, key, old: old, new: new)
        return stored(key) == nil ? marked.json : remove(marked)
    }

    /// Whether an object that is being deleted has nothing that holds it any more.
    private func isFinished(_ object: JSON, _ key: ObjectKey) -> Bool {
        guard (object["metadata"]?["finalizers"]?.array ?? []).isEmpty else { return false }
        if key.resource == .namespaces { return (object["spec"]?["finalizers"]?.array ?? []).isEmpty }
        return (object["metadata"]?["deletionGracePeriodSeconds"]?.integer ?? 0) == 0
    }

    private func check(_ preconditions: Preconditions, of object: StoredObject) throws(Refusal) {
        let metadata = object.json["metadata"]
        let why: String
        if let uid = preconditions.uid, let record = metadata?["uid"]?.string, uid != record {
            why =
                "the UID in the precondition (\(uid)) does not match the UID in record (\(record)). "
                + "The object might have been deleted and then recreated"
        } else if let version = preconditions.resourceVersion, let record = metadata?["resourceVersion"]?.string,
            version != record
        {
            why =
                "the ResourceVersion in the precondition (\(version)) does not match the ResourceVersion in record "
                + "(\(record)). The object might have been modified"
        } else {
            return
        }
        let resource = object.key.resource
        let kind = resource.group.isEmpty ? resource.kind : resource.kind + "." + resource.group
        throw Refusal(
            409,
            "Conflict",
            "Operation cannot be fulfilled on \(kind) \"\(object.key.name)\": \(why)",
            details: Refusal.details(resource, name: object.key.name, kind: resource.kind)
        )
    }

    private func finalizers(of object: JSON, with propagation: Propagation?) -> [String] {
        var finalizers = (object["metadata"]?["finalizers"]?.array ?? []).compactMap(\.string)
        guard let propagation else { return finalizers }
        let wanted: String? =
            switch propagation {
            case .orphan: "orphan"
            case .foreground: "foregroundDeletion"
            case .background: nil
            }
        finalizers.removeAll { ($0 == "orphan" || $0 == "foregroundDeletion") && $0 != wanted }
        if let wanted, !finalizers.contains(wanted) { finalizers.append(wanted) }
        return finalizers
    }

    /// How long a pod has to end; all else goes at once. A pod that runs nowhere or is over needs no time either.
    private func gracePeriod(of object: JSON, _ key: ObjectKey, asked: Int?) -> Int {
        guard key.resource == .pods, object["spec"]?["nodeName"] != nil else { return 0 }
        let phase = object["status"]?["phase"]?.string
        if phase == "Succeeded" || phase == "Failed" { return 0 }
        let grace = asked ?? Int(object["spec"]?["terminationGracePeriodSeconds"]?.integer ?? 30)
        // No more than Go's clock can hold in such a sum.
        return min(max(0, grace), 1 << 31)
    }

    // MARK: Storage

    /// Writes a new version of an object and tells watchers and controllers.
    private mutating func commit(
        _ kind: Change.Kind,
        _ key: ObjectKey,
        old: StoredObject?,
        new: JSON
    ) -> StoredObject {
        var new = new
        resourceVersion += 1
        new["metadata"]?["resourceVersion"] = .string(String(resourceVersion))
        let object = StoredObject(key: key, json: new, resourceVersion: resourceVersion)
        stores[key.resource, default: Store()].put(object)
        if old == nil { keysByUID[new.uid] = key }
        reindexOwners(key, old: old?.json, new: new)
        history.append(Change(kind: kind, object: object, previous: old))
        if key.resource != .resourceQuotas || old == nil { refreshQuotas(key.namespace) }
        if key.resource == .events { eventEnds.append((now + Self.eventLife, key, resourceVersion)) }
        Controllers.changed(old?.json, new, key, &self)
        return object
    }

    /// How long an API server keeps an Event after its last change, unless it is told otherwise (`--event-ttl`).
    private static let eventLife: Duration = .seconds(3600)

    /// Forgets the Events whose time is over.
    mutating func expireEvents() {
        while let first = eventEnds.first, first.end <= now {
            eventEnds.removeFirst()
            guard let event = stored(first.event), event.resourceVersion == first.resourceVersion else { continue }
            remove(event)
        }
    }

    /// Takes an object out of storage.
    ///
    /// - Returns: its last stored state with the version of the deletion, as watchers see it.
    @discardableResult
    private mutating func remove(_ old: StoredObject) -> JSON {
        let key = old.key
        var last = old.json
        resourceVersion += 1
        last["metadata"]?["resourceVersion"] = .string(String(resourceVersion))
        stores[key.resource]?.remove(key)
        let uid = old.json.uid
        keysByUID[uid] = nil
        appliedFields[uid] = nil
        if key.resource == .pods { logs[uid] = nil }
        reindexOwners(key, old: old.json, new: nil)
        let object = StoredObject(key: key, json: last, resourceVersion: resourceVersion)
        history.append(Change(kind: .deleted, object: object, previous: old))
        refreshQuotas(key.namespace)
        Controllers.changed(old.json, nil, key, &self)
        return last
    }

    private mutating func reindexOwners(_ key: ObjectKey, old: JSON?, new: JSON?) {
        let before = old?["metadata"]?["ownerReferences"]
        let after = new?["metadata"]?["ownerReferences"]
        if before == after { return }
        for reference in before?.array ?? [] {
            guard let uid = reference["uid"]?.string else { continue }
            dependentsByOwner[uid]?.remove(key)
            if dependentsByOwner[uid]?.isEmpty == true { dependentsByOwner[uid] = nil }
        }
        for reference in after?.array ?? [] {
            if let uid = reference["uid"]?.string { dependentsByOwner[uid, default: []].insert(key) }
        }
    }
}

extension JSON {
    /// `metadata.name`, empty where there is none.
    var name: String { self["metadata"]?["name"]?.string ?? "" }
    /// `metadata.namespace`, empty where there is none.
    var namespace: String { self["metadata"]?["namespace"]?.string ?? "" }
    /// `metadata.uid`, empty where there is none.
    var uid: String { self["metadata"]?["uid"]?.string ?? "" }
    var isBeingDeleted: Bool { self["metadata"]?["deletionTimestamp"] != nil }
}
