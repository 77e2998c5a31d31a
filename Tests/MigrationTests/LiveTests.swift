import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("A migration with --live")
struct LiveTests {
    private static let deployment = ObjectKey(.deployments, "shop", "web")
    private static let claim = ObjectName("data", in: "shop")

    /// - Parameter maxOutage: the default one is met by the first pass, as little as there is to copy.
    private func options(maxOutage: Duration = .seconds(10)) -> Options {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.isLive = true
        options.maxOutage = maxOutage
        return options
    }

    /// The scale of the workload whenever a pass or a copy begins, and the node where each ran.
    private func observe(_ cluster: Cluster) -> (scale: Int64?, movers: [JSON]) {
        let scale = cluster.get(Self.deployment)?[path: ["spec", "replicas"]]?.integer
        return (scale, cluster.list(.pods, namespace: "shop").filter { $0.isMover })
    }

    @Test("copies while the workload runs, and predicts how long it will be down")
    func runsMeanwhile() throws {
        let world = Scenario.deployment.world()
        let invariants = Invariants(of: world)
        let run = world.migrate(options(), observer: invariants.observer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.shortcomings(keepsLines: invariants) == [])
        let pass = try #require(run.messages.firstIndex { $0.contains("pass 1 took") })
        let stop = try #require(run.messages.firstIndex { $0.contains("stopped: scale 1") })
        #expect(pass < stop)
        let claim = try #require(run.report?.claims.first)
        #expect(claim.outage != nil && claim.predictedOutage != nil)
    }

    @Test("goes on with passes until they get no shorter, and says so")
    func stuck() {
        let run = Scenario.live.world().migrate(Scenario.live.options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("pass 2 took") })
        #expect(run.messages.contains { $0.contains("warning") && $0.contains("--max-outage") }, "\(run.messages)")
    }

    @Test("runs its passes on the node of the pods that use a volume of one node")
    func node() {
        let world = Scenario.deployment.world()
        let run = world.migrate(
            options(),
            observer: { _, _, cluster in
                let (scale, movers) = observe(cluster)
                for mover in movers where scale == 1 && mover.nodeName != nil {
                    if mover.nodeName != "node-2" { Issue.record("a pass ran on \(mover.nodeName ?? "")") }
                }
            }
        )
        #expect(run.report?.succeeded == true)
    }

    @Test("stops nothing where a pass fails for good", arguments: [1, 11])
    func failingPass(code: Int) {
        var world = Scenario.deployment.world()
        world.cluster.behaviour.rsyncExits = Array(repeating: code, count: 3)
        let run = world.migrate(
            options(),
            observer: { _, _, cluster in
                if observe(cluster).scale != 1 { Issue.record("the workload was stopped") }
            }
        )
        #expect(run.report?.claims.map(\.result) == [.failed])
        #expect(run.report?.stopped == [])
        #expect(run.messages.contains { $0.contains("exit code \(code)") }, "\(run.messages)")
    }

    @Test("takes files that vanish as normal, and repeats a pass that was cut off", arguments: [24, 137])
    func passingTrouble(code: Int) {
        var world = Scenario.deployment.world()
        world.cluster.behaviour.rsyncExits = [code]
        let invariants = Invariants(of: world)
        let run = world.migrate(options(), observer: invariants.observer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.shortcomings(keepsLines: invariants) == [])
    }

    @Test("copies a ReadWriteOncePod claim only when its pod is stopped, and says so")
    func exclusive() {
        var world = World()
        world.addClaim("data", modes: ["ReadWriteOncePod"])
        world.addDeployment("web", claims: ["data"])
        world.settle()
        let invariants = Invariants(of: world)
        let run = world.migrate(options(), observer: invariants.observer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.shortcomings(keepsLines: invariants) == [])
        #expect(run.messages.contains { $0.contains("ReadWriteOncePod") })
        #expect(!run.messages.contains { $0.contains("pass 1") })
    }

    @Test("makes no pass over what stands still anyway")
    func still() {
        let run = Scenario.claimWithoutPods.world().migrate(options())
        #expect(run.report?.succeeded == true)
        #expect(!run.messages.contains { $0.contains("pass 1") })
    }

    @Test("stops a workload that began to use the claim during the passes")
    func newcomer() {
        let world = Scenario.deployment.world()
        let invariants = Invariants(of: world)
        let run = world.migrate(
            options(),
            observer: invariants.observer,
            meddler: { _, cluster in
                guard cluster.get(ObjectKey(.deployments, "shop", "late")) == nil,
                    cluster.list(.pods, namespace: "shop").contains(where: { $0.isMover })
                else { return }
                var world = world.with(cluster)
                world.addDeployment("late", claims: ["data"])
                cluster = world.cluster
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("Deployment shop/late: stopped") }, "\(run.messages)")
        #expect(
            run.world.cluster.get(ObjectKey(.deployments, "shop", "late"))?[path: ["spec", "replicas"]] == 1
        )
    }

    // MARK: Staging

    private var staging: Options {
        var options = options()
        (options.goal, options.isLive) = (.stage, false)
        return options
    }

    @Test("pvmigrate stage stops nothing and swaps nothing, and the next run has only the rest to copy")
    func stage() throws {
        let world = Scenario.deployment.world()
        let invariants = Invariants(of: world)
        let first = world.migrate(
            staging,
            observer: { request, response, cluster in
                invariants.observer(request, response, cluster)
                if observe(cluster).scale != 1 { Issue.record("the workload was stopped") }
            }
        )
        #expect(first.report?.claims.map(\.result) == [.staged], "\(first.messages)")
        #expect(first.report?.succeeded == true)
        #expect(first.world.volume(of: Self.claim) == world.volume(of: Self.claim))
        let volume = try #require(world.volume(of: Self.claim))
        let source = try #require(first.world.object(.persistentVolumes, ObjectName(volume, in: nil)))
        #expect(source[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Delete")
        let marks = source[path: ["metadata", "annotations"]]?.object?.keys.filter { $0.hasPrefix(Marks.claim) }
        #expect(marks == [Marks.stagingUID])
        #expect(observe(first.world.cluster).movers.isEmpty)
        let staged = try #require(first.world.volume(of: ObjectName("data-pvcmigrate", in: "shop")))
        let content = try #require(first.world.cluster.content(ofVolumeNamed: staged))
        #expect(World.lines(in: content, of: Self.claim) != nil)

        // It can be repeated, and a migration goes on from there.
        let second = first.world.migrate(staging)
        #expect(second.report?.claims.map(\.result) == [.staged], "\(second.messages)")
        #expect(second.world.volume(of: ObjectName("data-pvcmigrate", in: "shop")) == staged)
        let last = second.world.migrate(options(), observer: invariants.observer)
        #expect(last.report?.succeeded == true, "\(last.messages)")
        #expect(last.world.shortcomings(keepsLines: invariants) == [])
        #expect(last.world.volume(of: Self.claim) == staged)
    }

    @Test("pvmigrate stage that dies at any request leaves what a migration finishes, and what abort takes back")
    func stageDies() {
        let world = Scenario.deployment.world()
        let count = world.migrate(staging).requests
        for number in stride(from: 1, through: count, by: 3) {
            let invariants = Invariants(of: world)
            let first = world.migrate(
                staging,
                seed: UInt64(number),
                interceptor: { _, now in now >= number ? .refuse : nil },
                observer: invariants.observer
            )
            var died = first.world
            died.mayLeak = true
            let next = died.migrate(as: "second", observer: invariants.observer)
            #expect(next.report?.succeeded == true, "after request \(number): \(next.messages)")
            #expect(next.world.shortcomings(keepsLines: invariants) == [], "after request \(number)")
            let back = died.migrate(as: "third", work: { migrator, _ in try await migrator.abort() })
            #expect(back.report?.succeeded == true, "after request \(number): \(back.messages)")
            let staging = ObjectName("data-pvcmigrate", in: "shop")
            #expect(
                back.world.object(.persistentVolumeClaims, staging) == nil || back.world.leakedClaims() == [staging]
            )
        }
    }

    // MARK: The decision

    @Test(
        "passes are made until one is short enough, or none gets shorter",
        arguments: [
            ([], .again), ([500], .enough), ([5000], .again), ([5000, 4000], .enough), ([60_000, 20_000], .again),
            ([60_000, 20_000, 12_000], .again), ([60_000, 20_000, 19_000], .stuck),
            ([60_000, 20_000, 9_000], .enough),
            ([100_000, 70_000, 50_000, 38_000, 29_000, 22_000, 17_000, 13_000, 10_300, 10_001], .stuck),
        ] as [([Int], Passes.Verdict)]
    )
    func verdict(milliseconds: [Int], expected: Passes.Verdict) {
        var passes = Passes()
        for number in milliseconds {
            passes.made.append(Passes.Pass(copying: .milliseconds(number), whole: .milliseconds(number + 2000)))
        }
        #expect(passes.verdict(maxOutage: .seconds(10)) == expected)
    }
}

extension JSON {
    fileprivate var isMover: Bool { self[path: ["metadata", "annotations", Marks.kind]]?.string == Marks.Kind.mover }
    fileprivate var nodeName: String? { self[path: ["spec", "nodeName"]]?.string }
}
