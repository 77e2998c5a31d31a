import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

extension World {
    /// What a run finds.
    func find(_ options: Options) -> (discovery: Discovery, failure: String?) {
        let found = Mutex(Discovery())
        let run = migrate(
            options,
            work: { migrator, _ in
                let discovery = try await migrator.discover()
                found.withLock { $0 = discovery }
                return Report()
            }
        )
        return (found.withLock { $0 }, run.failure)
    }

    /// The world as a run leaves it that dies at the first moment that fits.
    func cut(_ options: Options = .selecting { _ in }, when isMoment: @escaping @Sendable (Cluster) -> Bool)
        throws -> World
    {
        let then = Mutex<Cluster?>(nil)
        // One after the other: the moment is one of a single unit.
        var options = options
        options.parallel = 1
        _ = migrate(
            options,
            observer: { _, _, cluster in then.withLock { if $0 == nil, isMoment(cluster) { $0 = cluster } } }
        )
        var world = with(try #require(then.withLock { $0 }))
        world.pass(.seconds(30))
        return world
    }

    fileprivate mutating func pass(_ time: Duration) {
        let end = cluster.now + time
        while cluster.now < end { cluster.advance(to: cluster.now + .seconds(1)) }
    }

    /// `shop/one` (tier web) and `shop/two` (tier db), each with a Deployment of its own, and `bank/one`.
    fileprivate static func shopAndBank() throws -> World {
        var world = World()
        world.make(.namespaces, nil, ["metadata": ["name": "bank"]])
        for (name, namespace, tier) in [("one", "shop", "web"), ("two", "shop", "db"), ("one", "bank", "web")] {
            world.addClaim(name, in: namespace)
            world.addDeployment(name, in: namespace, claims: [name])
            try world.cluster.update(ObjectKey(.persistentVolumeClaims, namespace, name)) {
                $0[path: ["metadata", "labels", "tier"]] = .string(tier)
            }
        }
        world.settle()
        return world
    }

    /// The names of the claims that are on the destination class.
    fileprivate var moved: [String] {
        claims.filter { isOn(Self.destination, [$0]) }.map(\.description).sorted()
    }
}

extension Options {
    fileprivate static func selecting(_ change: (inout Selection) -> Void) -> Options {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        change(&options.selection)
        return options
    }
}

private func claim(_ name: String, _ namespace: String = "shop") -> ObjectName { ObjectName(name, in: namespace) }

@Suite("A selection of claims")
struct SelectionTests {
    struct Choice: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var moved: [String]
        var options: Options

        init(_ name: String, _ moved: String..., choose: (inout Selection) -> Void) {
            testDescription = name
            self.moved = moved
            options = .selecting(choose)
        }
    }

    @Test(
        "is migrated, and nothing else is touched",
        arguments: [
            Choice("labels", "bank/one", "shop/one") { $0.labels = "tier in (web)" },
            Choice("labels in a namespace", "shop/two") {
                $0.labels = "tier!=web"
                $0.namespaces = ["shop"]
            },
            Choice("one by name", "shop/two") { $0.claims = [claim("two")] },
            Choice("all but one", "bank/one", "shop/one") { $0.excludedClaims = [claim("two")] },
            Choice("one namespace", "bank/one") { $0.namespaces = ["bank"] },
            Choice("two namespaces", "bank/one", "shop/one", "shop/two") { $0.namespaces = ["bank", "shop"] },
            Choice("all namespaces but one", "shop/one", "shop/two") { $0.excludedNamespaces = ["bank"] },
        ]
    )
    func chosen(choice: Choice) throws {
        let world = try World.shopAndBank()
        let run = world.migrate(choice.options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.moved == choice.moved)
        for name in world.claims where !choice.moved.contains(name.description) {
            #expect(
                run.world.object(.persistentVolumeClaims, name) == world.object(.persistentVolumeClaims, name),
                "\(name) was touched"
            )
            let deployment = ObjectKey(.deployments, name.namespace, name.name)
            #expect(run.world.cluster.get(deployment) == world.cluster.get(deployment), "\(deployment) was touched")
        }
        #expect(run.world.marksLeft().isEmpty)
    }

    @Test("that the server can't read is an error in its words")
    func unreadable() throws {
        let (_, failure) = try World.shopAndBank().find(.selecting { $0.labels = "tier in web" })
        #expect(failure?.hasPrefix("--selector \"tier in web\": unable to parse requirement") == true)
    }

    @Test("of what is not there, or of another class, is refused; what is migrated already is only told")
    func unmatched() throws {
        var world = try World.shopAndBank().migrate(.selecting { $0.claims = [claim("two")] }).world
        world.make(
            .storageClasses,
            nil,
            ["metadata": ["name": "third"], "provisioner": "network.csi.example.com", "reclaimPolicy": "Delete"]
        )
        world.make(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": ["name": "other"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "third",
                    "resources": ["requests": ["storage": "1Mi"]],
                ],
            ]
        )
        let names = [claim("one"), claim("two"), claim("other"), claim("none")]
        let (found, _) = world.find(
            .selecting {
                $0.claims = Set(names)
                $0.excludedClaims = [claim("slip", "bank")]
            }
        )
        #expect(found.units.flatMap(\.claims).map(\.name) == [claim("one")])
        #expect(
            found.unmatched.map { "\($0.resource) \($0.message)" } == [
                "PersistentVolumeClaim shop/none does not exist",
                "PersistentVolumeClaim shop/other is of the StorageClass third, not of slow",
            ]
        )
        let notes = found.notes.map { "\($0.resource) \($0.message)" }
        #expect(
            notes.contains(
                "PersistentVolumeClaim shop/two is of the StorageClass fast already; there is nothing to do for it"
            )
        )
        #expect(notes.contains("PersistentVolumeClaim bank/slip is named by --exclude, and does not exist"))
    }

    @Test("of nothing says how many claims there are, and what leaves them out")
    func empty() throws {
        let world = try World.shopAndBank()
        func words(_ choose: (inout Selection) -> Void) -> String {
            let options = Options.selecting(choose)
            let (found, _) = world.find(options)
            #expect(found.isEmpty)
            return found.emptiness(options)
        }
        #expect(
            words {
                $0.namespaces = ["shop"]
                $0.labels = "tier=cache"
            }
                == "of 3 claims of the StorageClass slow none is chosen: 1 outside of --namespace, 2 without the labels of "
                + "--selector"
        )
        #expect(
            words {
                $0.excludedNamespaces = ["shop"]
                $0.excludedClaims = [claim("one", "bank")]
            } == "of 3 claims of the StorageClass slow none is chosen: 1 left out by --exclude, 2 left out by "
                + "--exclude-namespace"
        )
        var other = Options(sourceClass: "none", destinationClass: World.destination)
        other.selection.namespaces = ["shop"]
        #expect(world.find(other).discovery.emptiness(other) == "there are no claims of the StorageClass none")
    }

    @Test("of some claims of a workload stops it for these, which is said before")
    func cut() throws {
        let world = Scenario.statefulSet.world(alone: true)
        let options = Options.selecting { $0.claims = [claim("data-db-0"), claim("logs-db-1")] }
        let (found, _) = world.find(options)
        #expect(
            found.notes.map { "\($0.resource) \($0.message)" }.filter { !$0.contains("templates") } == [
                "StatefulSet shop/db mounts data-db-0, logs-db-1, which are chosen, and data-db-1, data-db-2, logs-db-0, "
                    + "logs-db-2, which are not: it is stopped, and only what is chosen is migrated"
            ]
        )
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true)
        #expect(run.world.moved == ["shop/data-db-0", "shop/logs-db-1"])
        #expect(run.world.areScalesRight)
        #expect(run.world.marksLeft().isEmpty)
    }
}

@Suite("A selection that leaves half-done claims out")
struct SelectionResumeTests {
    /// True once some source claim is deleted, and its successor is not there yet.
    private static func isSwapping(_ name: ObjectName) -> @Sendable (Cluster) -> Bool {
        { cluster in
            cluster.isSealed && cluster.get(ObjectKey(.persistentVolumeClaims, name.namespace, name.name)) == nil
        }
    }

    @Test("leaves them as they are, tells of their workload, and starts what is done")
    func otherUnit() throws {
        var world = try World.shopAndBank().cut(when: Self.isSwapping(claim("one")))
        let deployment = ObjectKey(.deployments, "shop", "one")
        let options = Options.selecting { $0.claims = [claim("two")] }
        let (found, _) = world.find(options)
        #expect(found.leftStopped.map(\.title) == ["Deployment shop/one"])
        #expect(found.notes.contains { $0.resource == "Deployment shop/one" && $0.message.contains("stopped by an") })
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.cluster.replicas(deployment) == 0)
        #expect(run.world.moved == ["bank/one", "shop/two"])
        world = run.world.migrate(.selecting { $0.claims = [claim("one")] }, as: "third").world
        world.pass(.seconds(10))
        #expect(world.cluster.replicas(deployment) == 1)
        #expect(world.moved == ["bank/one", "shop/one", "shop/two"])
        #expect(world.marksLeft().isEmpty)
    }

    @Test("starts a workload that was stopped for claims that are done by now")
    func forgotten() throws {
        let deployment = ObjectKey(.deployments, "shop", "one")
        var world = try World.shopAndBank().migrate(.selecting { $0.claims = [claim("one")] }).world
        // As the Go tool leaves it where it dies before it starts its workload again.
        try world.cluster.update(deployment) {
            $0[path: ["spec", "replicas"]] = 0
            $0[path: ["metadata", "annotations", Marks.scale]] = "1"
        }
        world = world.migrate(.selecting { $0.claims = [claim("two")] }, as: "second").world
        #expect(world.cluster.replicas(deployment) == 1)
    }

    @Test("finishes a claim by its labels, also where it is deleted at the moment")
    func limbo() throws {
        let options = Options.selecting { $0.labels = "tier=web" }
        let world = try World.shopAndBank().cut(options, when: Self.isSwapping(claim("one")))
        let run = world.migrate(options, as: "second")
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.moved == ["bank/one", "shop/one"])
        #expect(run.world.areScalesRight)
    }

    @Test("refuses claims whose workload could not be started again without them")
    func sameUnit() throws {
        let world = try Scenario.twoClaimsInOnePod.world(alone: true).cut(when: Self.isSwapping(claim("one")))
        // The other one may have come as far: it is taken for one that somebody has chosen later.
        let (found, _) = world.find(.selecting { $0.claims = [claim("two")] })
        let unit = try #require(found.units.first)
        #expect(
            unit.obstacles.contains {
                $0.resource == "Deployment shop/web" && $0.message.contains("also mounts one, which an earlier run")
            }
        )
        let run = world.migrate(.selecting { $0.claims = [claim("two")] }, as: "second")
        #expect(run.report?.claims.map(\.result) == [.skipped])
        let all = run.world.migrate(as: "third")
        #expect(all.report?.succeeded == true, "\(all.messages.joined(separator: "\n"))")
        #expect(all.world.moved == ["shop/one", "shop/two"])
    }
}
