import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// A moment at which the process dies, with the world as it is then.
struct CrashPoint: Sendable {
    var world: World
    /// The number of the request, and whether the server had seen it.
    var name: String
}

extension World {
    /// Every moment of a migration at which it can die: before and after each request.
    ///
    /// The cluster is one value, so each moment of a single run is kept, and the world is taken up from there.
    func crashPoints(_ options: Options, as identity: String = "first", seed: UInt64) -> [CrashPoint] {
        let points = Mutex<[CrashPoint]>([])
        let last = Mutex(cluster)
        let observer: Observer = { request, _, cluster in
            points.withLock { points in
                let number = points.count / 2 + 1
                let what = "request \(number), \(request.method.rawValue) \(request.target)"
                // Up to the request the controllers went on from where the one before had left the cluster.
                var before = last.withLock { $0 }
                before.advance(to: cluster.now)
                points.append(CrashPoint(world: with(before), name: "before \(what)"))
                points.append(CrashPoint(world: with(cluster), name: "after \(what)"))
                last.withLock { $0 = cluster }
            }
        }
        _ = migrate(options, as: identity, seed: seed, observer: observer)
        return points.withLock { $0 }
    }

    func with(_ cluster: Cluster) -> World {
        var world = self
        world.cluster = cluster
        return world
    }
}

@Suite("Crashes")
struct CrashTests {
    /// How often the whole matrix is run, with other seeds each time.
    private static let rounds = ProcessInfo.processInfo.environment["PVMIGRATE_EXHAUSTIVE"] == nil ? 1 : 20

    private static let options = Options(sourceClass: World.source, destinationClass: World.destination)

    @Test("a run that dies at any request is finished by the next one", arguments: Scenario.allCases)
    func singleCrash(scenario: Scenario) {
        var count = 0
        for round in 0..<UInt64(Self.rounds) {
            let world = scenario.world(seed: round + 1)
            for (index, point) in world.crashPoints(Self.options, seed: round).enumerated() {
                count += 1
                let seed = round &* 100_003 &+ UInt64(index)
                guard Self.check(point, seed: seed, scenario) else { return }
            }
        }
        print("\(scenario.rawValue): \(count) crash points")
    }

    @Test("a run that dies, and whose successor dies too, is finished by the third", arguments: Scenario.allCases)
    func doubleCrash(scenario: Scenario) {
        let world = scenario.world()
        var random = SeededGenerator(seed: 7)
        let points = world.crashPoints(Self.options, seed: 7)
        for round in 0..<UInt64(Self.rounds * 20) {
            guard let first = points.randomElement(using: &random) else { return }
            let second = first.world.crashPoints(Self.options, as: "second", seed: round).randomElement(using: &random)
            guard var second else { return }
            second.name = "\(first.name), and again \(second.name)"
            guard Self.check(second, seed: round, scenario) else { return }
        }
    }

    /// Goes on from a crash with a new process, and says what is wrong afterwards.
    private static func check(_ point: CrashPoint, seed: UInt64, _ scenario: Scenario) -> Bool {
        var random = SeededGenerator(seed: seed)
        var world = point.world
        // Nobody is there for a while.
        world.cluster.advance(to: world.cluster.now + .milliseconds(Int.random(in: 0...10_000, using: &random)))
        let invariants = Invariants(of: world)
        invariants.check(world.cluster, after: "the crash")
        let run = world.migrate(options, as: "last", seed: seed, observer: invariants.observer)
        let shortcomings = run.world.shortcomings(keepsLines: invariants)
        guard run.report?.succeeded == true, shortcomings.isEmpty else {
            let story = run.messages.joined(separator: "\n")
            Issue.record(
                """
                \(scenario.rawValue), seed \(seed), died \(point.name): \(run.failure ?? "")
                \(shortcomings.prefix(5).joined(separator: "\n"))
                \(story)
                """
            )
            return false
        }
        return true
    }
}
