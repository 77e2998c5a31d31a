import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Units side by side")
struct ParallelTests {
    private static let count = 6

    private func world() -> World {
        var world = World()
        for number in 1...Self.count {
            world.addClaim("data-\(number)")
            world.addDeployment("web-\(number)", claims: ["data-\(number)"])
        }
        world.settle()
        return world
    }

    /// The most workloads that were stopped at a time.
    private func mostStopped(_ run: World.Run) -> Int {
        var (now, most) = (0, 0)
        for message in run.messages {
            if message.contains(": stopped:") { now += 1 }
            if message.contains("started again with") { now -= 1 }
            most = max(most, now)
        }
        return most
    }

    @Test("are as many as asked for, and all come to their end", arguments: [1, 2, 4])
    func width(parallel: Int) {
        let world = world()
        let invariants = Invariants(of: world)
        var options = Scenario.deployment.options
        options.parallel = parallel
        let run = world.migrate(options, observer: invariants.observer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.report?.claims.map(\.name.name) == (1...Self.count).map { "data-\($0)" })
        #expect(run.world.shortcomings(keepsLines: invariants) == [])
        #expect(mostStopped(run) == parallel)
    }

    @Test("are no more on one node than asked for", arguments: [1, 2])
    func nodes(limit: Int) {
        var world = World()
        for number in 1...Self.count {
            world.addClaim("data-\(number)")
            let node = JSON.string("node-\(number % 2 + 1)")
            world.addDeployment(
                "web-\(number)",
                claims: ["data-\(number)"],
                nodeSelector: ["kubernetes.io/hostname": node]
            )
        }
        world.settle()
        var options = Scenario.deployment.options
        options.parallelPerNode = limit
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(mostStopped(run) == 2 * limit)
    }

    @Test("begin with the largest")
    func largest() {
        var world = World()
        for number in 1...3 {
            let claims = (1...number).map { "data-\(number)-\($0)" }
            for claim in claims { world.addClaim(claim) }
            world.addDeployment("web-\(number)", claims: claims)
        }
        world.settle()
        var options = Scenario.deployment.options
        options.parallel = 1
        let stopped = world.migrate(options).messages.filter { $0.contains(": stopped:") }
        #expect(stopped.map { $0.contains("web-3") } == [true, false, false], "\(stopped)")
        #expect(stopped.map { $0.contains("web-1") } == [false, false, true], "\(stopped)")
    }

    @Test("go one after the other where a quota leaves only so much room")
    func quota() throws {
        var world = world()
        world.make(
            .resourceQuotas,
            "shop",
            [
                "metadata": ["name": "few"],
                "spec": ["hard": ["persistentvolumeclaims": .string(String(Self.count + 1))]],
            ]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(5))
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(mostStopped(run) == 1)
    }

    @Test("are made ready while others have their turn, as many as have theirs")
    func ahead() {
        let world = world()
        let invariants = Invariants(of: world)
        var options = Scenario.deployment.options
        options.parallel = 1
        let run = world.migrate(options, observer: invariants.observer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.shortcomings(keepsLines: invariants) == [])
        let staged = run.messages.indices.filter { run.messages[$0].contains("staging claim data-") }
        let ended = run.messages.indices.filter { run.messages[$0].contains("started again with") }
        #expect(staged.count == Self.count && ended.count == Self.count, "\(run.messages)")
        // One ahead, all the time, and no more.
        for (turn, (end, next)) in zip(ended, staged.dropFirst()).enumerated() {
            #expect(next < end && (turn == 0 || ended[turn - 1] < next), "\(run.messages)")
        }
    }

    @Test("go back, too, where they were only made ready")
    func interruptedWaiting() {
        let world = world()
        let interruption = Interruption()
        var options = Scenario.deployment.options
        options.parallel = 1
        let run = world.migrate(
            options,
            interruption: interruption,
            observer: { _, _, cluster in
                let staged = (1...2).allSatisfy { number in
                    let key = ObjectKey(.persistentVolumeClaims, "shop", Marks.stagingName(of: "data-\(number)"))
                    return cluster.get(key)?[path: ["status", "phase"]] == "Bound"
                }
                if staged { interruption.request() }
            }
        )
        #expect(run.report?.wasInterrupted == true)
        #expect(run.report?.claims.count == Self.count)
        var cluster = run.world.cluster
        // The pod of the first has yet to end.
        cluster.advance(to: cluster.now + .seconds(10))
        for volume in run.world.cluster.list(.persistentVolumes) {
            guard volume[path: ["spec", "storageClassName"]] == .string(World.source) else { continue }
            #expect(volume[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Delete")
            #expect(volume[path: ["metadata", "annotations", Marks.reclaimPolicy]] == nil)
        }
        #expect(cluster.list(.pods, namespace: "shop").count == Self.count)
    }

    @Test("don't stop each other: where one fails, the others are migrated")
    func failure() throws {
        var world = world()
        // It asks for an access mode that does not exist.
        try world.cluster.update(ObjectKey(.persistentVolumeClaims, "shop", "data-2")) {
            $0[path: ["metadata", "annotations", Marks.accessMode]] = "ReadWriteSometimes"
        }
        let run = world.migrate()
        let results = run.report?.claims.map { "\($0.name.name) \($0.result.rawValue)" } ?? []
        #expect(results.count { $0.hasSuffix(" migrated") } == Self.count - 1, "\(results)")
        #expect(run.report?.stopped == [])
    }

    @Test("all go back when the run is interrupted")
    func interrupted() {
        let world = world()
        let interruption = Interruption()
        let run = world.migrate(
            interruption: interruption,
            interceptor: { request, number in
                if request.method == .post, request.target.contains("/pods") { interruption.request() }
                return nil
            }
        )
        #expect(run.report?.wasInterrupted == true)
        #expect(run.report?.stopped == [])
        for number in 1...Self.count {
            let deployment = run.world.cluster.get(ObjectKey(.deployments, "shop", "web-\(number)"))
            #expect(deployment?[path: ["spec", "replicas"]] == 1)
        }
    }
}
