import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("What a transfer waits for")
struct AwaitedObjectTests {
    private static let web = ObjectKey(.deployments, World.otherNamespace, "web")

    private var options: Options {
        var options = Scenario.copy.options
        options.handover?.awaited = [ObjectChoice("deployment/web")].compactMap(\.self)
        return options
    }

    /// What the program does under its lock.
    private static let work: @Sendable (Migrator, Interruption) async throws -> Report = { migrator, interruption in
        await migrator.migrate(
            try await migrator.awaitObjects(try await migrator.discover()),
            interruption: interruption
        )
    }

    private static func bring(_ cluster: inout Cluster) throws {
        try cluster.create(
            .deployments,
            namespace: World.otherNamespace,
            [
                "metadata": ["name": "web"],
                "spec": [
                    "replicas": 0, "selector": ["matchLabels": ["app": "web"]],
                    "template": [
                        "metadata": ["labels": ["app": "web"]],
                        "spec": ["containers": [["name": "main", "image": "busybox"]]],
                    ],
                ],
            ]
        )
    }

    private static func isStopped(_ cluster: Cluster) -> Bool {
        cluster.get(ObjectKey(.deployments, "shop", "web"))?[path: ["spec", "replicas"]] == 0
    }

    @Test("nothing is stopped before the other namespace has its workload, and then all is done")
    func comes() {
        let world = Scenario.copy.world()
        let end = world.cluster.now + .seconds(600)
        let isTooEarly = Mutex(false)
        let run = world.migrate(
            options,
            observer: { _, _, cluster in
                if Self.isStopped(cluster), cluster.get(Self.web) == nil { isTooEarly.withLock { $0 = true } }
            },
            meddler: once(when: { _, cluster in cluster.now >= end }, Self.bring),
            work: Self.work
        )
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.cluster.now >= end && !isTooEarly.withLock { $0 })
        #expect(run.messages.contains { $0.contains("Deployment shop-eu/web: is not there yet") }, "\(run.messages)")
    }

    @Test("where it never comes, the run ends with its name, and nothing is touched")
    func neverComes() {
        let world = Scenario.copy.world()
        let run = world.migrate(options, work: Self.work)
        #expect(
            run.report == nil && run.failure?.contains("Deployment shop-eu/web to exist") == true,
            "\(run.messages)"
        )
        #expect(!Self.isStopped(run.world.cluster))
        #expect(
            run.world.cluster.list(.persistentVolumeClaims).count == world.cluster.list(.persistentVolumeClaims).count
        )
    }

    @Test("a run that goes on where another has died does not wait again while a workload is stopped")
    func resumes() throws {
        let world = Scenario.copy.world(alone: true)
        let points = world.crashPoints(Scenario.copy.options, seed: 1)
        let point = try #require(points.first { Self.isStopped($0.world.cluster) })
        let run = point.world.migrate(options, work: Self.work)
        #expect(run.report?.succeeded == true, "\(run.messages)")
    }

    @Test("a kind that the API server does not know is an obstacle")
    func unknownKind() async throws {
        let world = Scenario.copy.world()
        var options = options
        options.handover?.awaited = [ObjectChoice("kafkas.kafka.example.com/main")].compactMap(\.self)
        let found = Mutex<[Obstacle]>([])
        let run = world.migrate(
            options,
            work: { migrator, interruption in
                let obstacles = await migrator.preflight(try await migrator.discover(), interruption: interruption)
                found.withLock { $0 = obstacles }
                return Report()
            }
        )
        #expect(run.failure == nil)
        let obstacles = found.withLock { $0 }
        #expect(
            obstacles.contains { $0.message.contains("--wait-for") && $0.namespace == World.otherNamespace },
            "\(obstacles)"
        )
    }
}
