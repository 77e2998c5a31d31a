public import Kubernetes

/// An object that owns pods, or keeps them going, and can be stopped and started again.
public struct Workload: Sendable, Equatable {
    /// The way in which a workload is stopped.
    public enum Brake: Sendable, Equatable {
        /// `spec.replicas` is set to 0.
        case replicas
        /// The pods get a node selector that no node meets.
        case nodeSelector
        /// `spec.suspend` is set.
        case suspension
        // The following brakes leave no room for a mark in the change that stops the workload: a volume bears it.
        /// The scale subresource is set to 0, because only the API server knows its field.
        case scale
        /// A person's merge patch pauses the workload, and its inverse resumes it.
        case pause(patch: JSON, inverse: JSON)
        /// The workload is deleted, and created again from this manifest.
        case removal(manifest: JSON)
    }

    public var resource: APIResource
    public var metadata: ObjectMeta
    public var brake: Brake
    /// The requested number of pods. Where there is no such number, 1 while the workload runs and 0 while it is
    /// stopped.
    public var replicas: Int
    /// The names of the claims that its pods mount at its present or its former scale. Of the claims of claim
    /// templates, only those that exist.
    public var claimNames: Set<String>
    /// True where scaling it down would delete its claims (a StatefulSet's `whenScaled: Delete`).
    public var deletesClaims = false
    /// The classes that a StatefulSet's claim templates name, by the templates' names; empty for none.
    public var templateClasses: [String: String] = [:]
    /// The ordinals of a StatefulSet's pods. Their claims bear them too.
    var ordinals = 0..<0
    /// The template of its pods.
    public var template: PodSpec?
    /// True when all pods run and are ready, at its present scale.
    public var isReady = true
    /// The volume that bears or will bear its record while it is stopped, as last read.
    var bearer: PersistentVolume?
    /// The record of the workload while it is stopped.
    var record: StoppedRecord?

    public var kind: String { resource.kind }
    public var name: ObjectName { ObjectName(metadata.name, in: metadata.namespace) }
    public var title: String { "\(kind) \(name)" }

    /// True where a migration stopped it, or was about to.
    public var isMarked: Bool { mark != nil }

    /// True where a volume bears its record while it is stopped.
    var needsRecord: Bool { brake.stopping == nil }

    /// The mark of a migration that stopped it.
    var mark: String? {
        record.map { String($0.scale) } ?? (hasCopiedMark ? nil : metadata.annotation(Marks.scale))
    }

    /// Returns the scale before a migration stopped it; nil where none did.
    ///
    /// - Throws: `Refusal` where the mark is no scale.
    public func markedScale() throws(Refusal) -> Int? {
        guard let text = mark else { return nil }
        // The API has a scale as int32.
        guard let scale = Int32(text), scale >= 0 else {
            throw Refusal(
                "the annotation \(Marks.scale) is \"\(text.shortened(to: 100))\", which is no number of replicas"
            )
        }
        return Int(scale)
    }

    /// The number that grows with every change of its spec, where it is reliable (API conventions, "Metadata"). In a
    /// custom resource a change of the status may count too.
    var generation: Int64? { needsRecord ? nil : metadata.generation }

    /// True where it must be stopped before others, because it would start them again.
    private var isAbove: Bool {
        if case .pause = brake { return true }
        return resource == .cronJobs
    }

    /// Returns true where the left workload is stopped first. Workloads are started in the reverse order.
    static func stopsBefore(_ left: Workload, _ right: Workload) -> Bool {
        (left.isAbove ? 0 : 1, left.name, left.kind) < (right.isAbove ? 0 : 1, right.name, right.kind)
    }

    /// Returns the one patch that records the scale and sets it to zero; nil where the workload is stopped.
    ///
    /// A mark on a running workload is outdated, because somebody has set the present scale since.
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

    /// Returns the one patch that restores the scale and removes the mark; nil without a mark.
    ///
    /// - Throws: `Refusal` where the mark is no number.
    func startPatch() throws(Refusal) -> Patch? {
        guard let scale = try markedScale() else { return nil }
        // Where somebody started it meanwhile, the scale is theirs.
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

    /// Returns the change that starts it again.
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
    /// The kinds of Kubernetes' own that one patch can stop and mark.
    public static let ownKinds: [APIResource] = [
        .statefulSets, .deployments, .daemonSets, .replicaSets, .replicationControllers, .cronJobs, .jobs,
    ]

    /// Reads an object of one of these kinds; nil for another kind, or a finished workload.
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

/// The listed workloads and the unreadable ones. It is a struct, because with tuples the optimiser of Swift 6.3 made
/// programs that trapped.
struct ListedWorkloads: Sendable {
    var workloads: [Workload]
    var unreadable: [Unreadable]
}
