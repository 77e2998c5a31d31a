import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("Claim templates")
struct ClaimTemplateTests {
    private let set = ObjectKey(.statefulSets, "shop", "db")

    private func pods(_ world: World) -> [String: JSON] {
        Dictionary(
            uniqueKeysWithValues: world.cluster.list(.pods, namespace: "shop").map {
                ($0[path: ["metadata", "name"]]?.string ?? "", $0[path: ["metadata", "uid"]] ?? .null)
            }
        )
    }

    @Test("after a migration without the flag, one with it changes the templates and leaves the pods running")
    func later() throws {
        var world = Scenario.claimTemplates.world(alone: true)
        world = world.migrate().world
        let before = pods(world)
        #expect(!world.changedOwners().isEmpty)
        let run = world.migrate(Scenario.claimTemplates.options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(pods(run.world) == before)
        world = run.world
        #expect(world.changedOwners() == [])
        // The next replica gets a claim of the new class.
        world.change(set) { $0[path: ["spec", "replicas"]] = 3 }
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        let claim = world.object(.persistentVolumeClaims, ObjectName("data-db-2", in: "shop"))
        #expect(claim?[path: ["spec", "storageClassName"]]?.string == World.destination)
        #expect(claim?[path: ["status", "phase"]] == "Bound")
    }

    @Test("without the flag a note names them, with the change for a manifest under version control")
    func note() throws {
        let world = Scenario.claimTemplates.world(alone: true)
        let notes = try world.discovery(Scenario.deployment.options).notes.map { "\($0.resource) \($0.message)" }
        #expect(notes.count == 1)
        #expect(
            notes.first?.hasPrefix("StatefulSet shop/db names the class slow in its claim templates (data), so that")
                == true
        )
        #expect(notes.first?.contains("+      storageClassName: fast") == true)
        #expect(try world.discovery(Scenario.claimTemplates.options).notes.isEmpty)
    }

    @Test("a set without claims keeps its templates, as no volume could bear it meanwhile, which is said")
    func withoutClaims() throws {
        var world = Scenario.claimTemplates.world(alone: true)
        world.addStatefulSet("idle", templates: ["data"], replicas: 0)
        world.settle()
        let before = world.cluster.get(ObjectKey(.statefulSets, "shop", "idle"))
        let run = world.migrate(Scenario.claimTemplates.options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(
            run.messages.contains {
                $0.contains("warning StatefulSet shop/idle: keeps its claim templates: ") && $0.contains("it has none")
                    && $0.contains("kubectl delete statefulset idle -n shop --cascade=orphan")
            }
        )
        #expect(run.world.cluster.get(ObjectKey(.statefulSets, "shop", "idle"))?["metadata"] == before?["metadata"])
    }

    @Test("a set that belongs to a custom resource keeps its templates, which is said")
    func owned() throws {
        let world = Scenario.customScale.world(alone: true)
        var options = Scenario.customScale.options
        options.updatesClaimTemplates = true
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true)
        #expect(run.messages.contains { $0.contains("keeps its claim templates: it belongs to the Roller db") })
        #expect(run.world.changedOwners() == [])
    }
}
