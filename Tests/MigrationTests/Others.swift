import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// Somebody who does something at the first moment that it fits, and then no more.
func once(
    when isMoment: @escaping @Sendable (Request?, Cluster) -> Bool,
    _ act: @escaping @Sendable (inout Cluster) throws -> Void
) -> Meddler {
    let isDone = Mutex(false)
    return { request, cluster in
        guard !isDone.withLock({ $0 }), isMoment(request, cluster) else { return }
        isDone.withLock { $0 = true }
        do { try act(&cluster) } catch { Issue.record("somebody could not meddle: \(error)") }
    }
}

/// Somebody who does something whenever it fits.
func always(
    when isMoment: @escaping @Sendable (Request?, Cluster) -> Bool,
    _ act: @escaping @Sendable (inout Cluster) throws -> Void
) -> Meddler {
    { request, cluster in
        guard isMoment(request, cluster) else { return }
        do { try act(&cluster) } catch { Issue.record("somebody could not meddle: \(error)") }
    }
}

/// A world in which somebody meddles, run after run; every run is watched.
struct Others {
    var world: World
    let invariants: Invariants
    /// What the invariants may find, since it is somebody else's doing.
    var forgiven: [String] = []
    private(set) var runs: [World.Run] = []

    init(_ world: World) {
        self.world = world
        invariants = Invariants(of: world)
    }

    static let deployment = ObjectKey(.deployments, "shop", "web")
    static let claim = ObjectKey(.persistentVolumeClaims, "shop", "data")
    static let staging = ObjectKey(.persistentVolumeClaims, "shop", "data-pvcmigrate")

    /// A Deployment of one pod that writes into one claim.
    init() { self.init(Scenario.deployment.world(alone: true)) }

    /// Everything that was said.
    var story: String {
        runs.map { $0.messages.joined(separator: "\n") + ($0.failure.map { "\n\($0)" } ?? "") }
            .joined(separator: "\n-- again:\n")
    }

    /// True once a workload was stopped in any of the runs.
    var hasStopped: Bool { story.contains("stopped: scale") }

    /// The longest that a workload stood still in the last run.
    var outage: Duration { (runs.last?.report?.claims ?? []).compactMap(\.outage).max() ?? .zero }

    /// Runs a migration while somebody meddles.
    @discardableResult
    mutating func migrate(_ meddler: Meddler? = nil) -> World.Run {
        let run = world.migrate(
            as: "run \(runs.count + 1)",
            observer: invariants.observer,
            meddler: meddler
        )
        runs.append(run)
        world = run.world
        return run
    }

    /// What a run would find now.
    func discover() -> Discovery {
        let found = Mutex(Discovery())
        let run = world.migrate(work: { migrator, _ in
            let discovery = try await migrator.discover()
            found.withLock { $0 = discovery }
            return Report()
        })
        if let failure = run.failure { Issue.record("nothing could be found: \(failure)") }
        return found.withLock { $0 }
    }

    /// Changes the cluster between runs.
    mutating func change(_ body: (inout Cluster) throws -> Void) {
        do { try body(&world.cluster) } catch { Issue.record("the world could not be changed: \(error)") }
    }

    /// The source claim is deleted too early.
    static let deletion = ": 4: the source claim"

    private var violations: [String] {
        invariants.violations.filter { violation in !forgiven.contains { violation.contains($0) } }
    }

    /// Puts a file into the source volume that takes some seconds to copy.
    mutating func addLargeFile() {
        let volume = world.cluster.get(Self.claim)?[path: ["spec", "volumeName"]]?.string ?? ""
        world.cluster.write(["large": File(size: 1 << 30)], toVolumeNamed: volume, node: "node-2")
    }

    /// Lets time pass.
    mutating func wait(_ time: Duration) {
        let end = world.cluster.now + time
        while world.cluster.now < end { world.cluster.advance(to: world.cluster.now + .seconds(1)) }
    }

    /// Expects that the last run failed with words like these, and left things safe: data and scales are kept, and the
    /// report says of every workload that it left at zero.
    func expectFailure(
        stopped: [String] = [],
        saying words: [String],
        _ location: SourceLocation = #_sourceLocation
    ) {
        let run = runs.last
        let report = run?.report
        #expect(report?.succeeded == false, "\(story)", sourceLocation: location)
        #expect(report?.stopped ?? [] == stopped, "\(story)", sourceLocation: location)
        let problems = world.unsafety(after: report) + violations
        #expect(problems.isEmpty, "\(story)", sourceLocation: location)
        let said = (run?.messages ?? []).joined(separator: "\n")
        for word in words where !said.contains(word) {
            Issue.record("nobody said \"\(word)\":\n\(story)", sourceLocation: location)
        }
        if Self.isLoud { print("\n\(story)") }
    }

    /// Expects that the last run migrated everything, and that nothing is lost or left behind.
    func expectSuccess(saying words: [String] = [], _ location: SourceLocation = #_sourceLocation) {
        var world = world
        // What the run did not wait for: the controllers free the old storage.
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        let shortcomings =
            violations
            + world.shortcomings(keepsLines: Invariants(of: world)).filter { shortcoming in
                !forgiven.contains { shortcoming.contains($0) }
            }
        #expect(runs.last?.report?.succeeded == true, "\(story)", sourceLocation: location)
        #expect(shortcomings.isEmpty, "\(story)", sourceLocation: location)
        let said = (runs.last?.messages ?? []).joined(separator: "\n")
        for word in words where !said.contains(word) {
            Issue.record("nobody said \"\(word)\":\n\(story)", sourceLocation: location)
        }
        if Self.isLoud { print("\n\(story)") }
    }

    /// Expects that the last run migrated everything, and kept the old volumes, as nobody can tell whether something was
    /// written to them since the copy: which is said, and no success.
    func expectKept(saying words: [String] = [], _ location: SourceLocation = #_sourceLocation) {
        let report = runs.last?.report
        #expect(report?.claims.allSatisfy { $0.result == .migrated } == true, "\(story)", sourceLocation: location)
        #expect(report?.stopped == [], sourceLocation: location)
        let said = report?.failures ?? []
        #expect(
            !said.isEmpty && said.allSatisfy { $0.contains("was started after the copy") },
            sourceLocation: location
        )
        do {
            let kept = try world.keptVolumes()
            #expect(kept.contains { $0.reason == .disturbed }, sourceLocation: location)
        } catch {
            Issue.record(error, sourceLocation: location)
        }
        for word in words where !story.contains(word) {
            Issue.record("nobody said \"\(word)\":\n\(story)", sourceLocation: location)
        }
        #expect(violations.isEmpty, "\(story)", sourceLocation: location)
    }

    private static let isLoud = ProcessInfo.processInfo.environment["LOUD"] != nil
}

extension Cluster {
    /// True while a mover has a node, and is not done.
    var isCopying: Bool { movers.contains { $0[path: ["spec", "nodeName"]] != nil && $0.phase != "Succeeded" } }

    /// The movers that copy what nobody writes to any more.
    var movers: [JSON] {
        allMovers.filter { $0.namesOfContainers == ["copy", "check"] }
    }

    /// These, and those that try, make passes, or stand.
    var allMovers: [JSON] {
        list(.pods, namespace: "shop").filter {
            $0[path: ["metadata", "annotations", Marks.kind]]?.string == Marks.Kind.mover
        }
    }

    /// True while rsync runs in a mover, and it is said so.
    var isTransferring: Bool {
        movers.contains { mover in
            (mover[path: ["status", "initContainerStatuses"]]?.array ?? []).contains {
                $0[path: ["state", "running"]] != nil
            }
        }
    }

    /// True once the source volume is protected, with the workload still at work.
    var isProtected: Bool {
        replicas(Others.deployment) == 1
            && list(.persistentVolumes).contains {
                $0[path: ["metadata", "annotations", Marks.sourceUID]] != nil
            }
    }

    /// The mover that there is.
    var moverKey: ObjectKey { ObjectKey(.pods, "shop", movers.first?[path: ["metadata", "name"]]?.string ?? "") }

    /// True once a mover has copied and checked, and is gone again.
    var isCopied: Bool {
        guard allMovers.isEmpty, let staging = get(Others.staging)?[path: ["spec", "volumeName"]]?.string else {
            return false
        }
        return content(ofVolumeNamed: staging)?.isEmpty == false
    }

    /// True once some destination volume carries a seal.
    var isSealed: Bool {
        list(.persistentVolumes).contains { $0[path: ["metadata", "annotations", Marks.manifest]] != nil }
    }

    /// Sets a workload's scale, as `kubectl scale` does.
    mutating func scale(_ key: ObjectKey, to replicas: Int64) throws {
        try update(key) { $0[path: ["spec", "replicas"]] = .integer(replicas) }
    }

    func replicas(_ key: ObjectKey) -> Int64? { get(key)?[path: ["spec", "replicas"]]?.integer }
}

extension JSON {
    var phase: String { self[path: ["status", "phase"]]?.string ?? "" }
}

extension JSON {
    /// The names of a pod's containers, in the order in which they run.
    var namesOfContainers: [String] {
        ["initContainers", "containers"].flatMap { self[path: ["spec", $0]]?.array ?? [] }.compactMap {
            $0["name"]?.string
        }
    }
}
