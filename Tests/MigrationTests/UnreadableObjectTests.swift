import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// One object of which a field is not what the API says, in a cluster of many.
@Suite("One object that can't be read")
struct UnreadableObjectTests {
    /// Two namespaces with a Deployment and its claim each; in `shop` there is one more claim, which nothing mounts.
    private static func world() -> World {
        var world = World()
        world.make(.namespaces, nil, ["metadata": ["name": "bank"]])
        for namespace in ["shop", "bank"] {
            world.addClaim("data", in: namespace)
            world.addDeployment("web", in: namespace, claims: ["data"])
        }
        world.addClaim("odd")
        world.settle()
        return world
    }

    private static func run(_ world: World, _ change: @escaping Garbling.Change) -> World.Run {
        world.migrate(through: { Garbling($0, change) })
    }

    private static func name(_ object: JSON) -> String { object[path: ["metadata", "name"]]?.string ?? "" }
    private static func isIn(_ namespace: String, _ object: JSON) -> Bool {
        object[path: ["metadata", "namespace"]]?.string == namespace
    }

    @Test("a claim with a negative amount of something else is migrated like any other")
    func otherAmount() throws {
        let run = Self.run(Self.world()) { plural, object in
            guard plural == "persistentvolumeclaims" else { return }
            object[path: ["spec", "resources", "requests", "example.com/x"]] = "-1"
            object[path: ["status", "capacity", "example.com/x"]] = "none"
        }
        #expect(run.report?.succeeded == true, "\(run.failure ?? "")\(run.messages)")
        #expect(run.world.isOn(World.destination))
    }

    @Test("a claim: it is named and left as it is, and the others are migrated")
    func claim() throws {
        let world = Self.world()
        let odd = ObjectName("odd", in: "shop")
        let before = world.object(.persistentVolumeClaims, odd)
        let notes = Mutex<[Obstacle]>([])
        let run = world.migrate(
            through: { server in
                Garbling(server) { plural, object in
                    guard plural == "persistentvolumeclaims", Self.name(object) == "odd" else { return }
                    object[path: ["spec", "resources", "requests", "storage"]] = "-1"
                }
            },
            work: { migrator, interruption in
                let discovery = try await migrator.discover()
                notes.withLock { $0 = discovery.notes }
                return await migrator.migrate(discovery, interruption: interruption)
            }
        )
        #expect(
            notes.withLock { $0 }.map { "\($0.resource) \($0.message)" } == [
                "PersistentVolumeClaim shop/odd can't be read, and is not migrated; correct it "
                    + #"(spec.resources.requests.storage: "-1" is no quantity)"#
            ]
        )
        #expect(run.report?.succeeded == true, "\(run.failure ?? "")\(run.messages)")
        for namespace in ["shop", "bank"] {
            #expect(run.world.isOn(World.destination, [ObjectName("data", in: namespace)]))
        }
        #expect(run.world.object(.persistentVolumeClaims, odd) == before)
        #expect(run.world.policies == ["Delete"])
    }

    @Test("a claim that is sealed: its unit is left as it is until it can be read")
    func sealedClaim() throws {
        let world = Scenario.deployment.world(alone: true)
        let options = Options(sourceClass: World.source, destinationClass: World.destination)
        let point = try #require(
            world.crashPoints(options, seed: 1).first { point in
                let claim = point.world.cluster.get(Others.claim)
                return point.world.cluster.isSealed && claim?[path: ["metadata", "deletionTimestamp"]] == nil
            }
        )
        let writes = Mutex<[String]>([])
        let run = point.world.migrate(
            observer: { request, _, _ in
                guard request.method != .get, !request.target.contains("/leases") else { return }
                writes.withLock { $0.append("\(request.method.rawValue) \(request.target)") }
            },
            through: { server in
                Garbling(server) { plural, object in
                    guard plural == "persistentvolumeclaims", Self.name(object) == "data" else { return }
                    object[path: ["spec", "accessModes"]] = "no"
                }
            }
        )
        #expect(run.report?.claims.map(\.result) == [.skipped], "\(run.messages)")
        #expect(run.report?.claims.first?.reason?.contains("PersistentVolumeClaim shop/data: can't be read") == true)
        #expect(writes.withLock { $0 } == [])
        // Once it can be read, the run is finished.
        let last = run.world.migrate()
        #expect(last.report?.succeeded == true && last.world.isOn(World.destination), "\(last.messages)")
    }

    @Test("a pod: nothing of its namespace is stopped, since it may mount any claim, and other namespaces are migrated")
    func pod() throws {
        let world = Self.world()
        let before = world.cluster.get(ObjectKey(.deployments, "shop", "web"))?["spec"]
        let run = Self.run(world) { plural, object in
            guard plural == "pods", Self.isIn("shop", object) else { return }
            object[path: ["spec", "volumes"]] = "no"
        }
        let results = (run.report?.claims ?? []).map { "\($0.name) \($0.result)" }.sorted()
        #expect(results == ["bank/data migrated", "shop/data skipped", "shop/odd skipped"], "\(run.messages)")
        let reason = run.report?.claims.first { $0.name.namespace == "shop" }?.reason ?? ""
        #expect(reason.hasPrefix("Pod shop/web-") && reason.contains("so that nobody knows which claims it mounts"))
        #expect(run.world.cluster.get(ObjectKey(.deployments, "shop", "web"))?["spec"] == before)
        #expect(run.world.isOn(World.destination, [ObjectName("data", in: "bank")]))
    }

    @Test("a pod that comes when the workload has stopped: the unit goes back, and names it")
    func laterPod() throws {
        let run = Self.run(Scenario.deployment.world(alone: true)) { plural, object in
            guard plural == "pods", object[path: ["metadata", "deletionTimestamp"]] != nil else { return }
            object[path: ["spec", "volumes"]] = "no"
        }
        #expect(run.report?.succeeded == false)
        #expect(
            run.messages.contains { $0.contains("Pod shop/web-") && $0.contains("can't be read") },
            "\(run.messages)"
        )
        #expect(run.report?.stopped == [] && run.world.areScalesRight && run.world.isOn(World.source))
    }

    @Test("a workload: its claims say so where its pods mount them, and the others are migrated")
    func workload() throws {
        var world = Self.world()
        world.addStatefulSet("db", in: "bank", templates: ["disk"], replicas: 1)
        world.settle()
        let run = Self.run(world) { plural, object in
            guard plural == "statefulsets" else { return }
            object[path: ["spec", "replicas"]] = "no"
        }
        let results = (run.report?.claims ?? []).map { "\($0.name) \($0.result)" }.sorted()
        #expect(
            results == ["bank/data migrated", "bank/disk-db-0 skipped", "shop/data migrated", "shop/odd migrated"],
            "\(run.failure ?? "")\(run.messages)"
        )
        let reason = run.report?.claims.first { $0.result == .skipped }?.reason ?? ""
        #expect(
            reason.hasPrefix("Pod bank/db-0: is owned by the StatefulSet db (apps/v1), which can't be read: spec.repl")
        )
    }

    @Test("is told by status, which goes on")
    func status() throws {
        let world = Self.world()
        let time = VirtualTime()
        let simulator = ClusterSimulator(world.cluster, time: time.source)
        let transport = Garbling(simulator) { plural, object in
            if plural == "persistentvolumeclaims", Self.name(object) == "odd" {
                object[path: ["spec", "accessModes"]] = "no"
            }
            if plural == "deployments", Self.isIn("bank", object) { object[path: ["spec", "replicas"]] = "no" }
        }
        var scope = MigrationStatus.Scope()
        scope.sourceClass = World.source
        let client = Client(transport: transport, time: time.source)
        let status = try time.run { [scope] in try await StatusReader(client).status(scope) }
        #expect(
            status.unseen.map(\.resource).sorted()
                == ["PersistentVolumeClaim shop/odd", "Deployment bank/web"].sorted()
        )
        #expect(status.toMigrate == 2)
    }

    @Test("is none of `cleanup`'s business, unless it is the claim of a kept volume, which is kept then")
    func cleanup() throws {
        let run = Scenario.keepSource.world(alone: true).migrate(Scenario.keepSource.options)
        let cleaned = Mutex<[Cleaned]>([])
        let last = run.world.migrate(
            through: { server in
                Garbling(server) { plural, object in
                    guard plural == "persistentvolumeclaims" else { return }
                    object[path: ["spec", "accessModes"]] = "no"
                }
            },
            work: { migrator, _ in
                let all = try await migrator.cleanup(olderThan: .zero, dryRun: false)
                cleaned.withLock { $0 = all }
                return Report()
            }
        )
        #expect(last.failure == nil)
        guard case .kept = cleaned.withLock({ $0 }).first?.result else {
            Issue.record("\(cleaned.withLock { $0 })")
            return
        }
    }
}
