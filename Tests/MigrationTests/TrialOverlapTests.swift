import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("A trial before a migration")
struct TrialOverlapTests {
    @Test("its volume is deleted beside the migration, and is gone at the end", arguments: [true, false])
    func overlaps(proceeds: Bool) {
        var world = World()
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"])
        world.settle()
        let trials = Mutex(Set<String>())
        let left = Mutex(-1)
        let run = world.migrate(
            observer: { _, _, cluster in
                let present = cluster.list(.persistentVolumes).filter {
                    $0[path: ["spec", "claimRef", "name"]]?.string?.hasPrefix("pf-pvc-") == true
                }
                trials.withLock { $0 = Set(present.compactMap { $0[path: ["metadata", "name"]]?.string }) }
            },
            work: { migrator, interruption in
                let discovery = try await migrator.discover()
                let obstacles = await migrator.preflight(discovery, interruption: interruption, proceeds: proceeds)
                #expect(obstacles == [])
                // Looked at with the next request.
                _ = try await migrator.discover()
                left.withLock { $0 = trials.withLock(\.count) }
                return await migrator.migrate(discovery, interruption: interruption)
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(left.withLock { $0 } == (proceeds ? 1 : 0))
        let volumes = run.world.cluster.list(.persistentVolumes).compactMap {
            $0[path: ["spec", "claimRef", "name"]]?.string
        }
        #expect(volumes == ["data"])
    }

    @Test("storage that is never freed makes the run fail at its end, and names the volume")
    func stuck() {
        var world = World()
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"])
        world.settle()
        let run = world.migrate(
            meddler: always(
                when: { _, cluster in
                    cluster.list(.persistentVolumes).contains {
                        $0[path: ["spec", "claimRef", "name"]]?.string?.hasPrefix("pf-pvc-") == true
                            && $0[path: ["metadata", "finalizers"]]?.array?.contains("test/held") != true
                    }
                }
            ) { cluster in
                for volume in cluster.list(.persistentVolumes)
                where volume[path: ["spec", "claimRef", "name"]]?.string?.hasPrefix("pf-pvc-") == true {
                    let name = volume[path: ["metadata", "name"]]?.string ?? ""
                    try cluster.update(ObjectKey(.persistentVolumes, nil, name)) {
                        $0[path: ["metadata", "finalizers"]] = .array(
                            ($0[path: ["metadata", "finalizers"]]?.array ?? []) + ["test/held"]
                        )
                    }
                }
            },
            work: { migrator, interruption in
                let discovery = try await migrator.discover()
                _ = await migrator.preflight(discovery, interruption: interruption, proceeds: true)
                return await migrator.migrate(discovery, interruption: interruption)
            }
        )
        #expect(run.report?.claims.allSatisfy { $0.result == .migrated } == true)
        #expect(run.report?.succeeded == false)
        #expect(
            run.report?.failures.contains { $0.contains("preflight could not clean up") && $0.contains("by hand") }
                == true,
            "\(run.report?.failures ?? [])"
        )
    }
}
