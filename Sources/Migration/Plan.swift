public import Kubernetes

/// What a run is to do, as far as it depends on the cluster: what a person reviews, and what has to be there still when
/// it is done.
///
/// Objects are told by their UIDs. A resourceVersion is checked of objects whose content goes along; of claims, volumes
/// and workloads it changes with their status, too, so that what matters of them is named instead.
public struct Plan: Codable, Sendable, Equatable {
    public struct Class: Codable, Sendable, Equatable {
        public var name: String
        public var uid: String
        public var provisioner: String
    }

    public struct Claim: Codable, Sendable, Equatable {
        public struct Destination: Codable, Sendable, Equatable {
            public var namespace: String
            public var name: String
            public var storageClass: String?
            public var size: String?
        }
        public var namespace: String
        public var name: String
        /// The UID of the source claim.
        public var uid: String
        public var volume: String?
        public var volumeUID: String?
        public var storageClass: String?
        public var size: String?
        public var method: String
        public var destination: Destination

        public var source: ObjectName { ObjectName(name, in: namespace) }
        fileprivate var title: String { "PersistentVolumeClaim \(name)" }
    }

    public struct Workload: Codable, Sendable, Equatable {
        public var kind: String
        public var namespace: String
        public var name: String
        /// The UID; nil for a pod, which is made anew.
        public var uid: String?
        /// The scale to which it is started again.
        public var replicas: Int
    }

    public struct Object: Codable, Sendable, Equatable {
        public var apiVersion: String
        public var kind: String
        public var namespace: String
        public var name: String
        public var uid: String
        /// The number that grows with its spec; nil for a kind without one, such as Secrets.
        public var generation: Int64?
        /// The version; nil where a generation tells more.
        public var resourceVersion: String?
        public var action: String
        /// The UID and the version of what is overwritten.
        public var overwritten: String?
        /// The fields that differ, without their values, or the reason to stay.
        public var details: String?

        fileprivate var title: String { "\(kind) \(name)" }
    }

    public var classes: [Class]
    public var claims: [Claim]
    public var workloads: [Workload]
    public var objects: [Object]

    /// Makes the plan of what a discovery has found.
    public init(_ discovery: Discovery, _ options: Options) {
        let states = discovery.units.flatMap(\.claims)
        claims = states.map(Claim.init).sorted { ($0.source, $0.destination.name) < ($1.source, $1.destination.name) }
        let names = Set(claims.flatMap { [$0.storageClass, $0.destination.storageClass] }.compactMap(\.self))
        classes = discovery.classes.filter { names.contains($0.metadata.name) }
            .map { Class(name: $0.metadata.name, uid: $0.metadata.uid, provisioner: $0.provisioner) }
            .sorted { $0.name < $1.name }
        workloads = discovery.units.flatMap(\.workloads).map(Workload.init)
        objects = discovery.objects.map(Object.init)
    }
}

extension Plan.Claim {
    fileprivate init(_ state: ClaimState) {
        let transfer = state.transfer
        (namespace, name) = (transfer.source.namespace ?? "", transfer.source.name)
        uid = transfer.sourceUID
        (volume, volumeUID) = (state.source?.metadata.name, state.source?.metadata.uid)
        storageClass = state.sourceClaim?.storageClassName
        // From the seal on the claim may be the new one, of another size.
        let isSealed = state.seal != nil
        (size, method) = (isSealed ? nil : state.sourceSize?.text, state.method.rawValue)
        destination = Destination(
            namespace: transfer.destination.namespace ?? "",
            name: transfer.destination.name,
            storageClass: transfer.storageClass,
            size: isSealed ? nil : state.size?.text
        )
    }
}

extension Plan.Workload {
    fileprivate init(_ workload: Workload) {
        (kind, namespace, name) = (workload.kind, workload.name.namespace ?? "", workload.name.name)
        uid = workload.resource == .pods ? nil : workload.metadata.uid
        // Discovery has refused a mark that is no scale.
        do { replicas = try workload.markedScale() ?? workload.replicas } catch { replicas = workload.replicas }
    }
}

extension Plan.Object {
    fileprivate init(_ object: PlannedObject) {
        (apiVersion, kind) = (object.resource.apiVersion, object.resource.kind)
        (namespace, name) = (object.source.namespace ?? "", object.source.name)
        (uid, generation) = (object.original.uid, object.original.generation)
        resourceVersion = generation == nil ? object.original.resourceVersion : nil
        (action, details) = (object.action.rawValue, object.details)
        guard object.action == .overwrite, let existing = object.existing else { return }
        overwritten = "\(existing.uid) \(existing.generation.map { "\($0)" } ?? existing.resourceVersion)"
    }
}

// MARK: Differences

extension Plan {
    /// Returns how the cluster differs from the plan.
    ///
    /// - Parameters:
    ///   - now: What would be planned now.
    ///   - done: The claims of the plan that have what they are to have already.
    func differences(from now: Plan, done: Set<ObjectName>) -> [Obstacle] {
        var found = classes.flatMap { $0.differences(from: now.classes) }
        for claim in claims where !done.contains(claim.source) { found += claim.differences(from: now.claims) }
        for claim in now.claims where !claims.contains(where: claim.isOfSameName) {
            found.append(Obstacle(namespace: claim.namespace, resource: claim.title, message: "is not in the plan"))
        }
        found += now.workloads.flatMap { $0.differences(from: workloads) }
        found += objects.flatMap { $0.differences(from: now.objects) }
        for object in now.objects where !objects.contains(where: object.isOfSameName) {
            found.append(Obstacle(namespace: object.namespace, resource: object.title, message: "is not in the plan"))
        }
        return found
    }

    /// Returns the claims that are not to be migrated any more.
    func claims(missingIn now: Plan) -> [Claim] {
        claims.filter { !now.claims.contains(where: $0.isOfSameName) }
    }
}

extension Plan.Class {
    fileprivate func differences(from now: [Plan.Class]) -> [Obstacle] {
        // The class of claims that are all done is not looked up any more.
        guard let it = now.first(where: { $0.name == name }), it.uid != uid else { return [] }
        return [
            Obstacle(
                namespace: nil,
                resource: "StorageClass \(name)",
                message: "is another one than planned: its UID is \(it.uid), not \(uid)"
            )
        ]
    }
}

extension Plan.Claim {
    fileprivate func isOfSameName(_ other: Self) -> Bool {
        source == other.source && destination.namespace == other.destination.namespace
            && destination.name == other.destination.name
    }

    fileprivate func differences(from now: [Plan.Claim]) -> [Obstacle] {
        guard let it = now.first(where: isOfSameName) else {
            return [Obstacle(namespace: namespace, resource: title, message: "is not to be found any more")]
        }
        // What is half done lacks one or the other.
        let facts = [
            Fact("UID", planned: uid, now: it.uid), Fact("volume", planned: volume, now: it.volume),
            Fact("volume's UID", planned: volumeUID, now: it.volumeUID),
            Fact("StorageClass", planned: storageClass, now: it.storageClass),
            Fact("size", planned: size, now: it.size),
            Fact(
                "destination's StorageClass",
                planned: destination.storageClass,
                now: it.destination.storageClass
            ),
            Fact("destination's size", planned: destination.size, now: it.destination.size),
        ]
        return facts.differences.map { Obstacle(namespace: namespace, resource: title, message: $0) }
    }
}

extension Plan.Workload {
    fileprivate func differences(from planned: [Plan.Workload]) -> [Obstacle] {
        let it = planned.first { $0.kind == kind && $0.namespace == namespace && $0.name == name }
        let why =
            if let it {
                [
                    Fact("UID", planned: it.uid, now: uid),
                    Fact("scale", planned: String(it.replicas), now: String(replicas)),
                ]
                .differences
            } else {
                ["uses claims of the plan, and is not in it"]
            }
        return why.map { Obstacle(namespace: namespace, resource: "\(kind) \(name)", message: $0) }
    }
}

extension Plan.Object {
    fileprivate func isOfSameName(_ other: Self) -> Bool {
        kind == other.kind && apiVersion == other.apiVersion && namespace == other.namespace && name == other.name
    }

    fileprivate func differences(from now: [Plan.Object]) -> [Obstacle] {
        guard let it = now.first(where: isOfSameName) else {
            return [Obstacle(namespace: namespace, resource: title, message: "is not to be found any more")]
        }
        // What an earlier run of the plan has brought is the same by now.
        guard it.action != PlannedObject.Action.leave.rawValue else { return [] }
        let facts = [
            Fact("UID", planned: uid, now: it.uid),
            Fact("generation", planned: generation.map { "\($0)" }, now: it.generation.map { "\($0)" }),
            Fact("resourceVersion", planned: resourceVersion, now: it.resourceVersion),
            Fact("action", planned: action, now: it.action),
            Fact("details", planned: details ?? "none", now: it.details ?? "none"),
            Fact("namesake, which is overwritten,", planned: overwritten, now: it.overwritten),
        ]
        return facts.differences.map { Obstacle(namespace: namespace, resource: title, message: $0) }
    }
}

/// Something that is planned of an object, beside what it is now.
private struct Fact {
    var what: String
    var planned: String?
    var now: String?

    init(_ what: String, planned: String?, now: String?) { (self.what, self.planned, self.now) = (what, planned, now) }
}

extension [Fact] {
    /// The facts that are others now, in words. Where one of the two is unknown there is no difference.
    fileprivate var differences: [String] {
        compactMap { fact in
            guard let planned = fact.planned, let now = fact.now, planned != now else { return nil }
            // 10240Mi are 10Gi.
            if let one = Quantity(planned), let other = Quantity(now), one == other { return nil }
            return "its \(fact.what) is \(now), and \(planned) is planned"
        }
    }
}

// MARK: What is done already

/// Finds out which claims of a plan have what they are to have already.
struct PlanCheck: Sendable {
    private let destination: Client
    private let options: Options

    init(_ context: Context) { (destination, options) = (context.destination, context.options) }

    /// - Throws: `APIError`.
    func differences(of plan: Plan, _ discovery: Discovery) async throws -> [Obstacle] {
        let now = Plan(discovery, options)
        var done: Set<ObjectName> = []
        for claim in plan.claims(missingIn: now) {
            let name = ObjectName(claim.destination.name, in: claim.destination.namespace)
            let found = try await destination.find(PersistentVolumeClaim.self, name)
            guard let found, found.phase == .bound, found.metadata.uid != claim.uid else { continue }
            guard ClassChoice(name: claim.destination.storageClass).admits(found) else { continue }
            // In its own place nothing tells afterwards what a claim was made of but its class.
            let isInPlace = claim.source == name
            if isInPlace ? claim.destination.storageClass != nil : try await isMade(found, of: claim) {
                done.insert(claim.source)
            }
        }
        return plan.differences(from: now, done: done)
    }

    /// Returns true where a volume says that a transfer made its claim of the planned one.
    private func isMade(_ found: PersistentVolumeClaim, of claim: Plan.Claim) async throws -> Bool {
        let name = ObjectName(found.spec.volumeName ?? "", in: nil)
        let volume = try await destination.find(PersistentVolume.self, name)
        return volume.flatMap { Origin($0) }?.uid == claim.uid
    }
}
