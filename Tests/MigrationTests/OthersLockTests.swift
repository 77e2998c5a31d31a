import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("A second run")
struct OthersLockTests {
    private static let lease = ObjectKey(.leases, Migrator.lockNamespace, "pvmigrate-slow")

    private static func hold(_ identity: String) -> JSON {
        [
            "metadata": ["name": .string(lease.name)],
            "spec": [
                "holderIdentity": .string(identity), "leaseDurationSeconds": 15,
                "acquireTime": "2026-11-21T05:00:00.000000Z", "renewTime": "2026-11-21T05:00:00.000000Z",
            ],
        ]
    }

    @Test("is refused while the first is at work, and told who that is and since when")
    func refused() {
        let refusal = Mutex("")
        let run = Scenario.deployment.world(alone: true).migrate(
            as: "machine-1 process 7",
            work: { first, interruption in
                let second = Migrator(client: first.client, options: first.options, journal: first.journal)
                do {
                    try await second.exclusively(as: "machine-2 process 8", interruption: Interruption()) {}
                } catch {
                    refusal.withLock { $0 = "\(error)" }
                }
                return await first.migrate(try await first.discover(), interruption: interruption)
            }
        )
        #expect(run.report?.succeeded == true)
        let text = refusal.withLock { $0 }
        #expect(text.hasPrefix("another pvmigrate is migrating the class slow: machine-1 process 7, since "), "\(text)")
    }

    @Test("takes over the lock of one that is dead")
    func takeOver() {
        var scene = Others()
        scene.change { try $0.create(.leases, namespace: Migrator.lockNamespace, Self.hold("dead")) }
        scene.migrate()
        scene.expectSuccess(saying: [
            "is held by dead since 2026-11-21T05:00:00.000000Z",
            "dead has not renewed the lock and seems dead; taking over",
        ])
    }

    @Test("that takes the lock away ends the first one in a safe state, and keeps the lock")
    func stolen() {
        var scene = Others()
        scene.migrate(
            once(when: { $1.isCopying }) { cluster in
                // A copy that takes long enough for the lock to be renewed.
                cluster.behaviour.images.remove("eeacms/rsync:2.3")
                try cluster.update(Self.lease) { $0[path: ["spec", "holderIdentity"]] = "thief" }
            }
        )
        scene.expectFailure(saying: ["the lock is held by thief since", "interrupted: it goes back"])
        #expect(scene.runs.last?.report?.wasInterrupted == true)
        let holder = scene.world.cluster.get(Self.lease)?[path: ["spec", "holderIdentity"]]?.string
        #expect(holder == "thief", "\(scene.story)")
        scene.world.cluster.behaviour.images.insert("eeacms/rsync:2.3")
        scene.migrate()
        scene.expectSuccess(saying: ["thief has not renewed the lock"])
    }

    @Test("goes back where somebody deletes its lock")
    func deleted() {
        var scene = Others()
        scene.migrate(
            once(when: { $1.isCopying }) { cluster in
                cluster.behaviour.images.remove("eeacms/rsync:2.3")
                try cluster.delete(Self.lease)
            }
        )
        scene.expectFailure(saying: ["the lock was deleted by somebody"])
        scene.world.cluster.behaviour.images.insert("eeacms/rsync:2.3")
        scene.migrate()
        scene.expectSuccess()
    }
}
