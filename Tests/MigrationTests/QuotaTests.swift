import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("A quota without room for another claim")
struct QuotaTests {
    @Test("is no obstacle where a half-done unit makes room: that one goes first")
    func halfDone() throws {
        var world = World()
        for name in ["one", "two"] {
            world.addClaim(name)
            world.addDeployment(name, claims: [name])
        }
        world.settle()
        var second = Options(sourceClass: World.source, destinationClass: World.destination)
        second.selection.claims = [ObjectName("two", in: "shop")]
        let cut = Mutex<Cluster?>(nil)
        _ = world.migrate(
            second,
            observer: { _, _, cluster in cut.withLock { if $0 == nil, cluster.isCopying { $0 = cluster } } }
        )
        world = world.with(try #require(cut.withLock { $0 }))
        world.make(
            .resourceQuotas,
            "shop",
            ["metadata": ["name": "q"], "spec": ["hard": ["persistentvolumeclaims": "3", "requests.storage": "48Mi"]]]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(1))
        let obstacles = Mutex<[Obstacle]>([])
        let run = world.migrate(
            as: "second",
            work: { migrator, interruption in
                let found = await migrator.preflight(try await migrator.discover(), interruption: interruption)
                obstacles.withLock { $0 = found }
                return await migrator.migrate(try await migrator.discover(), interruption: interruption)
            }
        )
        #expect(obstacles.withLock { $0 } == [])
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.report?.claims.map(\.name.name) == ["two", "one"])
        #expect(run.world.isOn(World.destination) && run.world.marksLeft().isEmpty)
    }
}
