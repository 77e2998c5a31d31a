import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("A second run")
struct OthersLockTests {
    private static func lease(of storageClass: String) -> ObjectKey {
        ObjectKey(.leases, Migrator.lockNamespace, "pvmigrate-\(storageClass)")
    }

    private static func hold(_ identity: String, on storageClass: String) -> JSON {
        [
            "metadata": ["name": .string(lease(of: storageClass).name)],
            "spec": [
                "holderIdentity": .string(identity), "leaseDurationSeconds": 15,
                "acquireTime": "2026-11-21T05:00:00.000000Z", "renewTime": "2026-11-21T05:00:00.000000Z",
            ],
        ]
    }

    /// Runs a migration from `slow` to `fast`, and while it has its locks a second run of other classes.
    ///
    /// - Returns: why the second was refused; empty where it was not.
    private static func refusal(of options: Options) -> String {
        let refusal = Mutex("")
        let run = Scenario.deployment.world(alone: true).migrate(
            as: "machine-1 process 7",
            work: { first, interruption in
                let second = Migrator(client: first.context.source, options: options, journal: first.context.journal)
                do {
                    try await second.exclusively(as: "machine-2 process 8", interruption: Interruption()) {}
                } catch {
                    refusal.withLock { $0 = "\(error)" }
                }
                let left = try await first.context.source.list(Lease.self, in: Migrator.lockNamespace)
                #expect(left.map(\.metadata.name) == ["pvmigrate-fast", "pvmigrate-slow"])
                return await first.migrate(try await first.discover(), interruption: interruption)
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        return refusal.withLock { $0 }
    }

    @Test(
        "is refused while the first is at work on one of its classes, and told who that is and since when",
        arguments: [
            ("slow", "fast", "fast"), ("slow", "third", "slow"), ("third", "fast", "fast"), ("fast", "third", "fast"),
            ("third", "slow", "slow"), ("fast", "slow", "fast"),
            // The lock of this one's own class is had before the one that is held.
            ("a", "slow", "slow"), ("fast", "a", "fast"),
        ]
    )
    func refused(source: String, destination: String, held: String) {
        let text = Self.refusal(of: Options(sourceClass: source, destinationClass: destination))
        let beginning =
            "another pvmigrate is at work on the class \(held) (from slow to fast): machine-1 process 7, since "
        #expect(text.hasPrefix(beginning), "\(text)")
    }

    @Test("is let in where it has other classes")
    func others() {
        #expect(Self.refusal(of: Options(sourceClass: "third", destinationClass: "fourth")) == "")
    }

    @Test("of the way back is refused while the way there is under way")
    func wayBack() {
        let options = Options(sourceClass: "slow", destinationClass: "fast").back(discardingChanges: false)
        #expect(Self.refusal(of: options).contains("is at work on the class fast"))
    }

    @Test("takes over the locks of one that is dead, and waits for it once")
    func takeOver() throws {
        var scene = Others()
        scene.change {
            for name in ["fast", "slow"] {
                try $0.create(.leases, namespace: Migrator.lockNamespace, Self.hold("dead", on: name))
            }
        }
        scene.migrate()
        scene.expectSuccess(saying: [
            "the lock of the class fast is held by dead since 2026-11-21T05:00:00.000000Z",
            "dead has not renewed the lock of the class fast and seems dead; taking over",
        ])
        let message = "dead has not renewed the lock of the class slow and seems dead; taking over"
        let second = try #require(scene.runs.last?.messages.first { $0.hasSuffix(message) })
        #expect(second.hasPrefix("[15 s]"), "\(scene.story)")
    }

    @Test("holds one lock while it looks whether the holder of the other is at work")
    func renewal() throws {
        var world = Scenario.deployment.world(alone: true)
        world.make(.leases, Migrator.lockNamespace, Self.hold("dead", on: "slow"))
        let renewals = Mutex(0)
        let run = world.migrate(
            observer: { request, _, cluster in
                guard cluster.get(Self.lease(of: "slow"))?[path: ["spec", "holderIdentity"]] == "dead" else { return }
                if request.method == .patch { renewals.withLock { $0 += 1 } }
            }
        )
        #expect(run.report?.succeeded == true)
        #expect(renewals.withLock { $0 } >= 2)
    }

    @Test("warns once that there is no lock where it may not use Leases")
    func forbidden() {
        let run = Scenario.deployment.world(alone: true).migrate(
            interceptor: { request, _ in
                guard request.target.contains("/leases") else { return nil }
                let refusal = #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not you"}"#
                return .answer(Response(status: 403, body: Data(refusal.utf8)))
            }
        )
        #expect(run.report?.succeeded == true)
        #expect(run.messages.count { $0.contains("no lock against a second run: not you") } == 1)
    }

    @Test("that takes a lock away ends the first one in a safe state, and keeps it", arguments: ["fast", "slow"])
    func stolen(storageClass: String) {
        var scene = Others()
        scene.migrate(
            once(when: { $1.isCopying }) { cluster in
                // A copy that takes long enough for the lock to be renewed.
                cluster.behaviour.images.remove("eeacms/rsync:2.3")
                try cluster.update(Self.lease(of: storageClass)) { $0[path: ["spec", "holderIdentity"]] = "thief" }
            }
        )
        scene.expectFailure(saying: ["the lock is held by thief since", "interrupted: it goes back"])
        #expect(scene.runs.last?.report?.wasInterrupted == true)
        let holder = scene.world.cluster.get(Self.lease(of: storageClass))?[path: ["spec", "holderIdentity"]]?.string
        #expect(holder == "thief", "\(scene.story)")
        scene.world.cluster.behaviour.images.insert("eeacms/rsync:2.3")
        scene.migrate()
        scene.expectSuccess(saying: ["thief has not renewed the lock"])
    }

    @Test("is confirmed before a deletion where this process has stood still: what another has taken deletes nothing")
    func stoodStill() throws {
        let refused = Mutex<[Bool]>([])
        _ = Scenario.deployment.world(alone: true).migrate(
            work: { migrator, _ in
                for isTaken in [false, true] {
                    if isTaken {
                        let lock = try await migrator.context.source.get(
                            Lease.self,
                            ObjectName("pvmigrate-fast", in: "default")
                        )
                        try await migrator.context.source.patch(
                            Lease.self,
                            lock.name,
                            .merge([
                                "metadata": ["uid": .string(lock.metadata.uid)], "spec": ["holderIdentity": "another"],
                            ])
                        )
                    }
                    // As it is after a pause that the process did not notice.
                    let then = migrator.context.time.now() - .seconds(60)
                    migrator.context.findings.note { found in
                        for name in found.locks.keys { found.locks[name]?.renewed = then }
                    }
                    do {
                        try await Locks(migrator.context).confirm()
                        refused.withLock { $0.append(false) }
                    } catch let error as Migration.Refusal {
                        #expect("\(error)".contains("another has taken its lock of the class fast"))
                        refused.withLock { $0.append(true) }
                    }
                }
                return Report()
            }
        )
        #expect(refused.withLock { $0 } == [false, true])
    }

    @Test("goes back where somebody deletes a lock of its own", arguments: ["fast", "slow"])
    func deleted(storageClass: String) {
        var scene = Others()
        scene.migrate(
            once(when: { $1.isCopying }) { cluster in
                cluster.behaviour.images.remove("eeacms/rsync:2.3")
                try cluster.delete(Self.lease(of: storageClass))
            }
        )
        scene.expectFailure(saying: ["the lock was deleted by somebody"])
        scene.world.cluster.behaviour.images.insert("eeacms/rsync:2.3")
        scene.migrate()
        scene.expectSuccess()
    }
}
