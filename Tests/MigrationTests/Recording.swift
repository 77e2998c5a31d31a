import ClusterSimulator
import Kubernetes
import Synchronization

@testable import Migration

/// A moment at which a process dies, with the world as it is then.
struct CrashPoint: Sendable {
    var world: World
    /// At which request each process died so far, and whether the server had seen it.
    var crashes: [String]
}

/// A run with every moment at which it can die: before and after each of its requests.
///
/// The cluster is one value, so the one after each request is kept, and the world is taken up from there.
final class Recording: Sendable {
    private struct Moment {
        var request: String
        /// The cluster after the request before this one.
        var before: Cluster
        var after: Cluster
    }

    private let start: CrashPoint
    private let seed: UInt64
    private let moments = Mutex<[Moment]>([])

    init(from start: CrashPoint, seed: UInt64) { (self.start, self.seed) = (start, seed) }

    var observer: Observer {
        { [self] request, _, cluster in
            moments.withLock { moments in
                moments.append(
                    Moment(
                        request: "\(request.method.rawValue) \(request.target)",
                        before: moments.last?.after ?? start.world.cluster,
                        after: cluster
                    )
                )
            }
        }
    }

    /// How many moments there are.
    var count: Int { moments.withLock { $0.count * 2 } }

    /// The moments at which the cluster is another one than at the moment before: a read leaves nothing that a later run could
    /// meet.
    var distinct: [Int] {
        var last: [Int] = []
        return (0..<count).filter { index in
            let cluster = self[index].world.cluster
            let versions = [cluster.resourceVersion, cluster.contentVersion]
            defer { last = versions }
            return versions != last
        }
    }

    /// Where the process dies at the moment of that number.
    func name(_ index: Int) -> String {
        "\(index % 2 == 0 ? "before" : "after") \(moments.withLock { $0[index / 2].request })"
    }

    subscript(index: Int) -> CrashPoint {
        let moment = moments.withLock { $0[index / 2] }
        var cluster = moment.after
        if index % 2 == 0 {
            // Up to the request the controllers went on from where the one before had left the cluster.
            cluster = moment.before
            cluster.advance(to: moment.after.now)
        }
        var world = start.world.with(cluster)
        world.mayLeak = true
        return CrashPoint(
            world: world,
            crashes: start.crashes + ["\(name(index)) (request \(index / 2 + 1) of a run with seed \(seed))"]
        )
    }
}

/// A run that takes a world up, at the start or after a crash, and is watched all the way.
struct WatchedRun: Sendable {
    let seed: UInt64
    let crashes: [String]
    let run: World.Run
    let recording: Recording
    let invariants: Invariants
    /// What was wrong while it ran and after it; it has to finish the migration.
    let problems: [String]

    /// - Parameter seed: decides how long nobody was there, and the order in which controllers and process go on.
    init(from point: CrashPoint, seed: UInt64, options: Options) {
        var point = point
        if !point.crashes.isEmpty {
            var random = SeededGenerator(seed: seed)
            point.world.cluster.reseed(random.next())
            let pause = Duration.milliseconds(Int.random(in: 0...10_000, using: &random))
            point.world.cluster.advance(to: point.world.cluster.now + pause)
        }
        let invariants = Invariants(of: point.world)
        invariants.check(point.world.cluster, after: "the crash")
        let recording = Recording(from: point, seed: seed)
        let observer: Observer = {
            invariants.observer($0, $1, $2)
            recording.observer($0, $1, $2)
        }
        let identity = "process \(point.crashes.count + 1)"
        run = point.world.migrate(options, as: identity, seed: seed, observer: observer)
        let failure = run.report?.succeeded == true ? [] : ["it failed: \(run.failure ?? "see its messages")"]
        problems = run.world.shortcomings(keepsLines: invariants) + failure
        (self.seed, crashes, self.recording, self.invariants) = (seed, point.crashes, recording, invariants)
    }

    /// All that a person needs to find out why it went wrong.
    var story: String {
        let parts =
            ["seed \(seed)"] + crashes.map { "died \($0)" } + problems.prefix(5) + ["-- its requests up to there:"]
            + invariants.requests + ["-- its messages:"] + run.messages
        return parts.joined(separator: "\n")
    }
}

extension World {
    /// The moments of a migration at which it can die, each with another cluster than the moment before.
    func crashPoints(_ options: Options, seed: UInt64) -> [CrashPoint] {
        let recording = Recording(from: CrashPoint(world: self, crashes: []), seed: seed)
        _ = migrate(options, as: "process 1", seed: seed, observer: recording.observer)
        return recording.distinct.map { recording[$0] }
    }
}

extension CrashPoint {
    /// Where the last process died.
    var name: String { crashes.last ?? "nowhere" }
}
