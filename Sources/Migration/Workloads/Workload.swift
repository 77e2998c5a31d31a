public import Kubernetes

/// What owns pods, or keeps them going, and can be stopped and started again.
public struct Workload: Sendable, Equatable {
    /// How it is stopped.
    public enum Brake: Sendable, Equatable {
        /// Its `spec.replicas` is set to 0.
        case replicas
        /// Its pods get a node selector that no node meets.
        case nodeSelector
        /// Its `spec.suspend` is set.
        case suspension
        // What follows can't bear its own mark in the change that stops it: a volume bears it.
        /// Its scale subresource is set to 0, since only the API server knows which field that is.
        case scale
        /// A person's merge patch pauses it, and its inverse lets it go on.
        case pause(patch: JSON, inverse: JSON)
        /// It is deleted, and created again from this manifest.
        case removal(manifest: JSON)
    }

    public var resource: APIResource
    public var metadata: ObjectMeta
    public var brake: Brake
    /// How many pods it is to have; where it has no such number, 1 while it goes and 0 while it is stopped.
    public var replicas: Int
    /// The names of the claims that its pods mount at its scale, or would at the scale that it had; of those that come
    /// from claim templates, the ones that there are.
    public var claimNames: Set<String>
    /// True where scaling it down would delete its claims (a StatefulSet's `whenScaled: Delete`).
    public var deletesClaims = false
    /// The classes that a StatefulSet's claim templates name, by the templates' names; empty for none.
    public var templateClasses: [String: String] = [:]
    /// The ordinals of a StatefulSet's pods, which their claims bear too.
    var ordinals = 0..<0
    /// What its pods are made from.
    public var template: PodSpec?
    /// True when all its pods run and are ready, at the scale that it has now.
    public var isReady = true
    /// The volume that bears what is kept of it while it is stopped, or is to bear it, as it was last read.
    var bearer: PersistentVolume?
    /// What is kept of it while it is stopped.
    var record: StoppedRecord?

    public var kind: String { resource.kind }
    public var name: ObjectName { ObjectName(metadata.name, in: metadata.namespace) }
    public var title: String { "\(kind) \(name)" }

    /// True where a migration has stopped it, or was about to.
    public var isMarked: Bool { mark != nil }

    /// True where a volume bears a record of it while it is stopped.
    var needsRecord: Bool { brake.stopping == nil }

    /// The mark of having been stopped by a migration.
    var mark: String? {
        record.map { String($0.scale) } ?? (hasCopiedMark ? nil : metadata.annotation(Marks.scale))
    }

    /// The scale that it had before it was stopped, where it was stopped by a migration.
    ///
    /// - Throws: `Refusal` where somebody wrote something else there.
    public func markedScale() throws(Refusal) -> Int? {
        guard let text = mark else { return nil }
        // As a scale is an int32 to the API.
        guard let scale = Int32(text), scale >= 0 else {
            throw Refusal(
                "the annotation \(Marks.scale) is \"\(text.shortened(to: 100))\", which is no number of replicas"
            )
        }
        return Int(scale)
    }

    /// What grows with every change of its spec, where it can be relied on (API conventions, "Metadata"): in a custom
    /// resource a change of the status may count too.
    var generation: Int64? { needsRecord ? nil : metadata.generation }

    /// True of what has to be stopped before the others, since it would start them again.
    private var isAbove: Bool {
        if case .pause = brake { return true }
        return resource == .cronJobs
    }

    /// The order in which workloads are stopped; they are started the other way round.
    static func stopsBefore(_ left: Workload, _ right: Workload) -> Bool {
        (left.isAbove ? 0 : 1, left.name, left.kind) < (right.isAbove ? 0 : 1, right.name, right.kind)
    }

    /// The one patch that stops it: the scale is written down and set to zero. Nil where it is stopped already.
    ///
    /// One that was written down before is outdated: somebody has given it the present one since.
    func stopPatch() -> Patch? {
        guard replicas > 0, var change = brake.stopping else { return nil }
        var annotations: [String: JSON] = [Marks.scale: .string(String(replicas))]
        if deletesClaims {
            annotations[Marks.whenScaled] = "Delete"
            change[path: ["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"]] = "Retain"
        }
        change[path: ["metadata", "annotations"]] = .object(annotations)
        return .merge(onto: metadata, change)
    }

    /// The one patch that starts it again and removes the mark. Nil where it bears none.
    ///
    /// - Throws: `Refusal` where the mark is no number.
    func startPatch() throws(Refusal) -> Patch? {
        guard let scale = try markedScale() else { return nil }
        // Where somebody has started it in the meantime, the scale is theirs.
        var change = replicas == 0 ? brake.starting(scale) : [:]
        change[path: ["metadata", "annotations", Marks.scale]] = .null
        if metadata.annotation(Marks.whenScaled) == "Delete" {
            change[path: ["metadata", "annotations", Marks.whenScaled]] = .null
            change[path: ["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"]] = "Delete"
        }
        return .merge(onto: metadata, change)
    }
}

extension Workload.Brake {
    /// The change of the object that stops it; nil where a record is kept instead.
    fileprivate var stopping: JSON? {
        switch self {
        case .replicas: ["spec": ["replicas": 0]]
        case .nodeSelector: ["spec": ["template": ["spec": ["nodeSelector": [Marks.nowhere: "stopped"]]]]]
        case .suspension: ["spec": ["suspend": true]]
        case .scale, .pause, .removal: nil
        }
    }

    /// The change that starts it again.
    fileprivate func starting(_ scale: Int) -> JSON {
        switch self {
        case .replicas: ["spec": ["replicas": .integer(Int64(scale))]]
        case .nodeSelector: ["spec": ["template": ["spec": ["nodeSelector": [Marks.nowhere: .null]]]]]
        case .suspension: ["spec": ["suspend": false]]
        case .scale, .pause, .removal: [:]
        }
    }
}

extension Workload {
    /// The kinds of Kubernetes' own that can be stopped by one patch, which bears the mark too.
    public static let ownKinds: [APIResource] = [
        .statefulSets, .deployments, .daemonSets, .replicaSets, .replicationControllers, .cronJobs, .jobs,
    ]

    /// Reads an object of one of these kinds; nil for another kind, and for what is over and done with.
    public init?(_ object: WorkloadObject, of resource: APIResource) {
        switch resource {
        case .statefulSets: self.init(statefulSet: object)
        case .deployments, .replicaSets, .replicationControllers: self.init(replicated: object, of: resource)
        case .daemonSets: self.init(daemonSet: object)
        case .cronJobs: self.init(cronJob: object)
        case .jobs: self.init(job: object)
        default: return nil
        }
    }
}

/// Workloads, and what of those that were listed can't be read. A struct: with tuples the optimiser of Swift 6.3 made
/// programs that trapped.
struct ListedWorkloads: Sendable {
    var workloads: [Workload]
    var unreadable: [Unreadable]
}
