import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("An interrupted run")
struct InterruptTests {
    /// A run that is interrupted when it makes one of its requests, and how long it went on after that.
    private static func run(
        _ world: World,
        interruptedAt number: Int,
        thenLosingServer: Bool = false,
        observer: Observer? = nil
    ) -> (run: World.Run, took: Duration) {
        let interruption = Interruption()
        let moments = Mutex<(begin: Duration?, end: Duration?)>((nil, nil))
        let clock = Mutex<TimeSource?>(nil)
        let run = world.migrate(
            seed: UInt64(number),
            interruption: interruption,
            interceptor: { _, count in
                if count == number {
                    let now = clock.withLock { $0?.now() }
                    moments.withLock { $0.begin = now }
                    interruption.request()
                }
                return thenLosingServer && count > number ? .refuse : nil
            },
            observer: observer,
            work: { migrator, interruption in
                clock.withLock { $0 = migrator.context.time }
                var report = Report()
                do {
                    let discovery = try await interruption.cancelling { try await migrator.discover() }
                    report = await migrator.migrate(discovery, interruption: interruption)
                } catch is CancellationError {
                    report.wasInterrupted = true
                }
                moments.withLock { $0.end = migrator.context.time.now() }
                return report
            }
        )
        let (begin, end) = moments.withLock { ($0.begin, $0.end) }
        guard let begin, let end else { return (run, .zero) }
        return (run, end - begin)
    }

    @Test(
        "ends within 30 seconds with every workload running, and the next one finishes",
        arguments: [Scenario.deployment, .twoClaimsInOnePod, .twoNamespaces, .waitForFirstConsumer]
    )
    func atEveryRequest(scenario: Scenario) {
        let world = scenario.world()
        // Every third request, and every scenario begins with another one.
        let first = 1 + (Scenario.allCases.firstIndex(of: scenario) ?? 0) % 3
        for number in stride(from: first, through: world.migrate().requests, by: 3) {
            let invariants = Invariants(of: world)
            let (run, took) = Self.run(world, interruptedAt: number, observer: invariants.observer)
            var problems = invariants.violations
            if took > .seconds(30) { problems.append("it took \(took.inWords)") }
            if run.report?.stopped != [] { problems.append("stopped: \(run.report?.stopped ?? ["no report"])") }
            if !run.world.areScalesRight { problems.append("a workload does not run") }
            var again = run.world.migrate(as: "second")
            again.world.cluster.advance(to: again.world.cluster.now + .seconds(30))
            problems += again.world.shortcomings(keepsLines: invariants)
            guard problems.isEmpty else {
                Issue.record(
                    """
                    \(scenario), interrupted at request \(number): \(problems.prefix(5)) \(run.failure ?? "")
                    \((run.messages + ["-- again:"] + again.messages).joined(separator: "\n"))
                    """
                )
                return
            }
        }
    }

    @Test("does not wait for an API server that is away; it says what is stopped, and the next run finishes")
    func serverLost() {
        let world = Scenario.deployment.world()
        for number in stride(from: 1, through: world.migrate().requests, by: 4) {
            let invariants = Invariants(of: world)
            let (run, took) = Self.run(
                world,
                interruptedAt: number,
                thenLosingServer: true,
                observer: invariants.observer
            )
            // What is being sealed, or is past that, is tried for longer.
            let isSealed = run.messages.contains { $0.contains(": copied: ") }
            #expect(isSealed || took <= .seconds(30), "\(took.inWords)\n\(run.messages.joined(separator: "\n"))")
            #expect(run.world.unsafety(after: run.report).isEmpty)
            var left = run.world
            left.mayLeak = true
            var again = left.migrate(as: "second")
            again.world.cluster.advance(to: again.world.cluster.now + .seconds(30))
            #expect(again.world.shortcomings(keepsLines: invariants).isEmpty)
        }
    }

    @Test("does not wait for a pod that takes ten minutes to end")
    func slowPod() throws {
        var world = Scenario.deployment.world()
        try world.cluster.update(ObjectKey(.deployments, "shop", "web")) {
            $0[path: ["spec", "template", "spec", "terminationGracePeriodSeconds"]] = 500
            var containers = $0[path: ["spec", "template", "spec", "containers"]]?.array ?? []
            // As the first process of a container it ignores SIGTERM.
            containers.append(["name": "slow", "image": "busybox:latest", "command": ["sleep", "1000000"]])
            $0[path: ["spec", "template", "spec", "containers"]] = .array(containers)
        }
        world.cluster.advance(to: world.cluster.now + .seconds(60))
        let whole = world.migrate()
        #expect(whole.report?.claims.first?.outage ?? .zero > .seconds(500))
        for number in stride(from: 1, through: whole.requests, by: 7) {
            let (run, took) = Self.run(world, interruptedAt: number)
            #expect(took <= .seconds(30), "\(took.inWords)\n\(run.messages.joined(separator: "\n"))")
            #expect(run.report?.stopped == [])
        }
    }
}
