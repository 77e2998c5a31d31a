import Kubernetes

/// One change of one object.
struct Change: Sendable {
    enum Kind: String, Sendable {
        case added = "ADDED"
        case modified = "MODIFIED"
        case deleted = "DELETED"
    }

    var kind: Kind
    /// The object as it is now; for a deletion its last state, with the deletion's resourceVersion.
    var object: StoredObject
    /// The object as it was before.
    var previous: StoredObject?
}

/// The latest changes, so that watches can go on from a resourceVersion; older ones are forgotten.
struct History: Sendable {
    /// How many changes of a resource are kept at least; twice as many at most.
    private static let kept = 200

    private struct Log: Sendable {
        /// Every change after this version is held.
        var floor: Int
        var changes: [Change] = []
    }

    private var logs: [Resource: Log] = [:]
    /// The version before which nothing is known of any resource.
    private var floor: Int

    init(floor: Int) { self.floor = floor }

    mutating func append(_ change: Change) {
        let resource = change.object.key.resource
        var log = logs.removeValue(forKey: resource) ?? Log(floor: floor)
        log.changes.append(change)
        if log.changes.count >= 2 * Self.kept {
            log.floor = log.changes[log.changes.count - Self.kept - 1].object.resourceVersion
            log.changes.removeFirst(log.changes.count - Self.kept)
        }
        logs[resource] = log
    }

    /// The version after which every change of a resource is known.
    func floor(of resource: Resource) -> Int { logs[resource]?.floor ?? floor }

    /// The changes of a resource after a version; nil where some of them are forgotten.
    func changes(of resource: Resource, after version: Int) -> ArraySlice<Change>? {
        guard let log = logs[resource] else { return version >= floor ? [] : nil }
        guard version >= log.floor else { return nil }
        var low = log.changes.startIndex
        var high = log.changes.endIndex
        while low < high {
            let middle = (low + high) / 2
            if log.changes[middle].object.resourceVersion <= version { low = middle + 1 } else { high = middle }
        }
        return log.changes[low...]
    }

    /// Forgets all changes up to a version, as etcd's compaction does.
    mutating func compact(upTo version: Int) {
        floor = max(floor, version)
        for (resource, log) in logs {
            logs[resource] = Log(
                floor: max(log.floor, version),
                changes: log.changes.filter { $0.object.resourceVersion > version }
            )
        }
    }
}

extension Cluster {
    /// Forgets the history, so that watches from before now get 410 Expired.
    public mutating func compactHistory() { history.compact(upTo: resourceVersion) }
}
