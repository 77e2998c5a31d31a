import FoundationEssentials
import Kubernetes
import Synchronization

/// A whole Kubernetes cluster as one value: objects, their history, controllers, kubelets, logs and time.
///
/// Copying it forks the world, and the same seed gives the same run. Nothing happens by itself: requests come in
/// through `handle`, and `advance` lets time pass, in which controllers do the work that is due.
public struct Cluster: Sendable {
    /// Virtual time since the cluster's start.
    public internal(set) var now: Duration = .zero
    /// The start, in seconds since 1970.
    let epoch: Int
    /// For every choice that a real cluster leaves to chance.
    var random: SeededGenerator
    /// For uids and generated names, apart from `random` so that one more choice elsewhere does not rename everything.
    var names: SeededGenerator

    /// What is served, by group and plural; custom resources join and leave.
    var resources: ResourceTable
    var stores: [Resource: Store] = [:]
    /// Which object has a uid.
    var keysByUID: [String: ObjectKey] = [:]
    /// The objects that name an owner's uid in their owner references.
    var dependentsByOwner: [String: Set<ObjectKey>] = [:]
    /// The version of the latest change.
    public internal(set) var resourceVersion = 6760
    /// What has happened, for watches.
    var history = History(floor: 6760)

    /// Bearer tokens and whose they are.
    public var tokens: [String: User] = [:]
    /// Who changed which field by server-side apply.
    var appliedFields: [String: AppliedFields] = [:]
    /// The names of events by what they say, so that a repeated one is counted.
    var recordedEvents: [String: String] = [:]
    /// How many events were recorded.
    var eventNumber = 0
    /// When Events are forgotten, the next one first; one that was changed since is forgotten later.
    var eventEnds: ArraySlice<(end: Duration, event: ObjectKey, resourceVersion: Int)> = []
    /// Container logs by pod uid.
    var logs: [String: [String: ContainerLogs]] = [:]
    /// Counts what was written to any log, or by a command, so that followers can be woken.
    var logPieces = 0

    var queue = WorkQueue()
    /// What the controllers and kubelets keep.
    public internal(set) var controllers = ControllerState()
    /// What the kubelets want of the container runtime, taken out by `ClusterSimulator`.
    var runtimeCommands: [RuntimeCommand] = []

    /// An empty cluster with only what every cluster has.
    ///
    /// - Parameters:
    ///   - seed: decides every choice that a real cluster leaves to chance.
    ///   - epoch: the start in seconds since 1970.
    public init(seed: UInt64 = 1, epoch: Int = 1_795_238_400) {
        self.epoch = epoch
        random = SeededGenerator(seed: seed)
        names = SeededGenerator(seed: ~seed)
        resources = ResourceTable()
        addDefaultObjects()
    }

    /// Makes every choice from now on another one, as if the cluster had been made with this seed.
    public mutating func reseed(_ seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// Takes what the kubelets want of the container runtime out of the cluster.
    mutating func takeRuntimeCommands() -> [RuntimeCommand] {
        defer { runtimeCommands = [] }
        return runtimeCommands
    }

    /// The present as the API writes it: whole seconds (RFC 3339).
    public var timestamp: String { Timestamp.text(epoch + Int(now.components.seconds)) }

    /// The present with microseconds, as Leases have it.
    public var microTimestamp: String {
        let (seconds, attoseconds) = now.components
        let digits = String(attoseconds / 1_000_000_000_000)
        return String(Timestamp.text(epoch + Int(seconds)).dropLast()) + "."
            + String(repeating: "0", count: 6 - digits.count) + digits + "Z"
    }

    /// A new uid (RFC 9562, version 4).
    mutating func makeUID() -> String {
        let high = (names.next() & ~0xf000) | 0x4000
        let low = (names.next() & ~(0b11 << 62)) | (0b10 << 62)
        func hex(_ value: UInt64, _ digits: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: digits - text.count) + text
        }
        return hex(high >> 32, 8) + "-" + hex((high >> 16) & 0xffff, 4) + "-" + hex(high & 0xffff, 4) + "-"
            + hex(low >> 48, 4) + "-" + hex(low & 0xffff_ffff_ffff, 12)
    }

    /// A random ending for a generated name, of the letters that Kubernetes uses for it.
    mutating func makeSuffix(length: Int = 5) -> String {
        let letters = Array("bcdfghjklmnpqrstvwxz2456789")
        return String((0..<length).map { _ in letters[Int(names.next() % UInt64(letters.count))] })
    }
}

/// The objects of one resource.
struct Store: Sendable {
    private struct Shelf: Sendable {
        var objects: [String: StoredObject] = [:]
        /// In their order, since all of them are asked for far more often than one comes or goes.
        var names: [String] = []

        /// Where a name is, or would be.
        func place(of name: String) -> Int {
            var (low, high) = (0, names.count)
            while low < high {
                let middle = (low + high) / 2
                if names[middle] < name { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    /// By namespace; "" for objects outside namespaces.
    private var shelves: [String: Shelf] = [:]

    subscript(namespace: String?, name: String) -> StoredObject? {
        shelves[namespace ?? ""]?.objects[name]
    }

    mutating func put(_ object: StoredObject) {
        let (namespace, name) = (object.key.namespace ?? "", object.key.name)
        guard shelves[namespace, default: Shelf()].objects.updateValue(object, forKey: name) == nil else { return }
        let place = shelves[namespace]?.place(of: name) ?? 0
        shelves[namespace]?.names.insert(name, at: place)
    }

    mutating func remove(_ key: ObjectKey) {
        let namespace = key.namespace ?? ""
        guard shelves[namespace]?.objects.removeValue(forKey: key.name) != nil else { return }
        if let place = shelves[namespace]?.place(of: key.name) { shelves[namespace]?.names.remove(at: place) }
        if shelves[namespace]?.names.isEmpty == true { shelves[namespace] = nil }
    }

    /// The objects of a namespace, by name.
    func objects(in namespace: String) -> [StoredObject] {
        guard let shelf = shelves[namespace] else { return [] }
        return shelf.names.compactMap { shelf.objects[$0] }
    }

    /// All objects, by namespace and name.
    var objects: [StoredObject] { shelves.keys.sorted().flatMap(objects(in:)) }
}

/// One version of an object, as stored. Its text is made once, when it is first asked for.
final class StoredObject: Sendable {
    let key: ObjectKey
    let json: JSON
    let resourceVersion: Int
    private let encoded = Mutex<Data?>(nil)

    init(key: ObjectKey, json: JSON, resourceVersion: Int) {
        self.key = key
        self.json = json
        self.resourceVersion = resourceVersion
    }

    /// The object as a list's item: built-in types leave out kind and API version there.
    var itemText: Data {
        encoded.withLock { cached in
            if let cached { return cached }
            var json = json
            if key.resource.isBuiltIn {
                json["kind"] = nil
                json["apiVersion"] = nil
            }
            let text = json.compactText
            cached = text
            return text
        }
    }

    /// The object on its own.
    var fullText: Data {
        guard key.resource.isBuiltIn else { return itemText }
        var text = Data("{\"kind\":\"\(key.resource.kind)\",\"apiVersion\":\"\(key.resource.apiVersion)\",".utf8)
        text.append(itemText.dropFirst())
        return text
    }
}

/// The resources that are served.
struct ResourceTable: Sendable {
    private(set) var all: [Resource] = Resource.builtIn
    private var byGroup: [String: [String: Resource]] = [:]
    /// Where a custom resource keeps its scale.
    var customScales: [Resource: CustomScale] = [:]

    init() {
        for resource in all { byGroup[resource.group, default: [:]][resource.plural] = resource }
    }

    func find(group: String, version: String, plural: String) -> Resource? {
        guard let resource = byGroup[group]?[plural], resource.version == version else { return nil }
        return resource
    }

    func find(apiVersion: String, kind: String) -> Resource? {
        all.first { $0.kind == kind && $0.apiVersion == apiVersion }
    }

    mutating func add(_ resource: Resource) {
        all.removeAll { $0 == resource }
        all.append(resource)
        byGroup[resource.group, default: [:]][resource.plural] = resource
    }

    mutating func remove(_ resource: Resource) {
        all.removeAll { $0 == resource }
        byGroup[resource.group]?[resource.plural] = nil
        if byGroup[resource.group]?.isEmpty == true { byGroup[resource.group] = nil }
        customScales[resource] = nil
    }
}

/// The paths of a custom resource's scale subresource.
struct CustomScale: Sendable {
    var specReplicas, statusReplicas: [String]
    var labelSelector: [String]?
}
