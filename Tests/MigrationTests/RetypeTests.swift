import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

extension Options {
    static let retyping: Options = {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.goal = .retype
        return options
    }()

    fileprivate var reversed: Options {
        var options = self
        swap(&options.sourceClass, &options.destinationClass)
        return options
    }
}

@Suite("A retype")
struct RetypeTests {
    private static let claim = ObjectName("data", in: "shop")

    private static func volume(_ world: World) throws -> JSON {
        try #require(world.object(.persistentVolumes, ObjectName(world.volume(of: claim) ?? "", in: nil)))
    }

    @Test(
        "leaves the storage where it is, under a new object of the other class",
        arguments: [Scenario.retype, .deployment, .statefulSet, .hostPath, .claimWithoutPods, .lostRaces]
    )
    func keepsStorage(scenario: Scenario) throws {
        let world = scenario.world()
        let invariants = Invariants(of: world)
        let before = world.claims.map { world.storage(of: world.volume(of: $0) ?? "") }
        let run = world.migrate(.retyping, observer: invariants.observer)
        let story = run.messages.joined(separator: "\n")
        #expect(run.report?.succeeded == true, "\(run.failure ?? "")\n\(story)")
        #expect(run.world.shortcomings(keepsLines: invariants).isEmpty, "\(story)")
        #expect(world.claims.map { run.world.storage(of: run.world.volume(of: $0) ?? "") } == before)
        #expect(world.claims.allSatisfy { run.world.volume(of: $0) != world.volume(of: $0) })
        #expect(run.report?.claims.allSatisfy { $0.result == .retyped && $0.bytes == nil } == true)
    }

    @Test("makes no pod and no claim besides the successor")
    func makesNothingElse() throws {
        let made = Mutex<[String]>([])
        let run = Scenario.retype.world().migrate(
            .retyping,
            observer: { request, _, _ in
                guard request.method == .post, !request.target.contains("dryRun") else { return }
                let target = String(request.target.prefix { $0 != "?" })
                if !target.contains("/leases"), !target.contains("/events") { made.withLock { $0.append(target) } }
            }
        )
        #expect(run.report?.succeeded == true)
        let expected = ["/api/v1/persistentvolumes", "/api/v1/namespaces/shop/persistentvolumeclaims"]
        #expect(made.withLock { $0 } == expected)
    }

    @Test("frees the storage once, when the claim is deleted later")
    func freedOnce() throws {
        var run = Scenario.retype.world().migrate(.retyping)
        let storage = try #require(run.world.storage(of: run.world.volume(of: Self.claim) ?? ""))
        run.world.change(ObjectKey(.deployments, "shop", "web")) { $0[path: ["spec", "replicas"]] = 0 }
        run.world.cluster.advance(to: run.world.cluster.now + .seconds(60))
        try run.world.cluster.delete(ObjectKey(.persistentVolumeClaims, "shop", "data"))
        run.world.cluster.advance(to: run.world.cluster.now + .seconds(60))
        let left = run.world.cluster.list(.persistentVolumes).compactMap { $0[path: ["metadata", "name"]]?.string }
        #expect(!left.contains { run.world.storage(of: $0) == storage })
    }

    @Test("carries labels, annotations and the whole source, and no finalizer of the old object")
    func carries() throws {
        var world = Scenario.retype.world()
        let key = ObjectKey(.persistentVolumes, nil, try #require(world.volume(of: Self.claim)))
        let secret = "volume.kubernetes.io/provisioner-deletion-secret-name"
        world.change(key) {
            $0[path: ["metadata", "annotations", secret]] = "s"
            $0[path: ["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"]] = "{}"
            $0[path: ["metadata", "labels"]] = ["topology.kubernetes.io/zone": "a"]
            $0[path: ["metadata", "finalizers"]] = .array(
                ($0[path: ["metadata", "finalizers"]]?.array ?? []) + ["example.com/mine"]
            )
        }
        let old = try Self.volume(world)
        // Whoever set the finalizer takes it away when the object is to go.
        let new = try Self.volume(
            world.migrate(
                .retyping,
                meddler: once(when: { _, cluster in cluster.get(key)?[path: ["metadata", "deletionTimestamp"]] != nil })
                {
                    try $0.update(key) { $0[path: ["metadata", "finalizers"]] = [] }
                }
            ).world
        )
        #expect(new[path: ["spec", "csi"]] == old[path: ["spec", "csi"]])
        #expect(new[path: ["metadata", "labels"]] == old[path: ["metadata", "labels"]])
        let provisionedBy = ["metadata", "annotations", PersistentVolume.provisionedBy]
        #expect(new[path: provisionedBy] == old[path: provisionedBy])
        #expect(new[path: ["metadata", "annotations", secret]] == "s")
        let applied = ["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"]
        #expect(new[path: applied] == nil)
        #expect(new[path: ["metadata", "finalizers"]]?.array?.contains("example.com/mine") == false)
    }

    @Test("gives Delete only where the volume had it and the class has it", arguments: ["Delete", "Retain"])
    func policies(ofClass policy: String) throws {
        var world = Scenario.retype.world(alone: true)
        try world.cluster.delete(ObjectKey(.storageClasses, nil, World.destination))
        world.make(
            .storageClasses,
            nil,
            [
                "metadata": ["name": .string(World.destination)], "provisioner": "disk.csi.example.com",
                "reclaimPolicy": .string(policy),
            ]
        )
        let there = world.migrate(.retyping)
        #expect(try Self.volume(there.world)[path: ["spec", "persistentVolumeReclaimPolicy"]]?.string == policy)
        var back = there.world
        back.cluster.advance(to: back.cluster.now + .seconds(20))
        let home = back.migrate(Options.retyping.reversed, as: "second")
        #expect(home.report?.succeeded == true, "\(home.messages.joined(separator: "\n"))")
        #expect(try Self.volume(home.world)[path: ["spec", "persistentVolumeReclaimPolicy"]]?.string == policy)
    }

    @Test("keeps Retain where a third object has the storage by then")
    func thirdObject() throws {
        let world = Scenario.retype.world()
        let handle = world.storage(of: world.volume(of: Self.claim) ?? "")
        let points = world.crashPoints(.retyping, seed: 1)
        let point = try #require(points.first { $0.name.contains("after DELETE /api/v1/namespaces/shop") })
        var cut = point.world
        cut.make(
            .persistentVolumes,
            nil,
            [
                "metadata": ["name": "third"],
                "spec": [
                    "capacity": ["storage": "16Mi"], "accessModes": ["ReadWriteOnce"], "storageClassName": "third",
                    "persistentVolumeReclaimPolicy": "Retain",
                    "csi": ["driver": "disk.csi.example.com", "volumeHandle": handle ?? ""],
                ],
            ]
        )
        let run = cut.migrate(.retyping, as: "second")
        #expect(try Self.volume(run.world)[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain")
        #expect(run.messages.contains { $0.contains("another volume object is the storage") })
    }

    @Test("keeps the storage where somebody gives the old object the policy Delete before its claim is deleted")
    func deletePolicy() throws {
        let world = Scenario.retype.world(alone: true)
        let storage = world.storage(of: try #require(world.volume(of: ObjectName("data", in: "shop"))))
        let run = world.migrate(
            .retyping,
            meddler: once(when: { _, cluster in
                cluster.list(.persistentVolumes).contains {
                    $0[path: ["metadata", "annotations", Marks.retypedFrom]] != nil
                }
            }) { cluster in
                for volume in cluster.list(.persistentVolumes)
                where volume[path: ["metadata", "annotations", Marks.retypedTo]] != nil {
                    try cluster.update(
                        ObjectKey(.persistentVolumes, nil, volume[path: ["metadata", "name"]]?.string ?? "")
                    ) { $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Delete" }
                }
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.messages.contains { $0.contains("was given Delete: set to Retain again") })
        let now = run.world.volume(of: ObjectName("data", in: "shop")) ?? ""
        #expect(run.world.storage(of: now) == storage)
        #expect(run.world.cluster.content(ofVolumeNamed: now)?.isEmpty == false)
    }

    @Test("waits for the provisioner to see Retain before anything stops")
    func provisionerAway() throws {
        var world = Scenario.retype.world()
        world.cluster.behaviour.provisioners["disk.csi.example.com"] = nil
        let run = world.migrate(.retyping)
        #expect(run.report?.succeeded == false)
        let story = run.messages.joined(separator: "\n")
        #expect(story.contains("see whether the provisioner disk.csi.example.com runs"), "\(story)")
        #expect(!story.contains("stopped: scale"), "\(story)")
        #expect(run.world.marksLeft().isEmpty)
    }

    @Test("is taken back by abort wherever it was cut off before the claim is deleted, and finished after")
    func abort() throws {
        let world = Scenario.retype.world(alone: true)
        for point in world.crashPoints(.retyping, seed: 3) {
            let invariants = Invariants(of: point.world)
            let run = point.world.migrate(
                Options(sourceClass: World.source, destinationClass: World.destination),
                as: "abort",
                observer: invariants.observer,
                work: { migrator, _ in try await migrator.abort() }
            )
            let isHome = run.world.isOn(World.source) || run.world.isOn(World.destination)
            guard run.report?.succeeded == true, isHome, run.world.marksLeft().isEmpty, invariants.violations.isEmpty
            else {
                let story = run.messages.joined(separator: "\n")
                Issue.record(
                    "\(point.name): \(run.failure ?? "") \(run.world.marksLeft()) \(invariants.violations) \(story)"
                )
                return
            }
        }
    }

    @Test("that was cut off is finished by a migration without --retype, and frees nothing")
    func finishedByMigration() throws {
        let world = Scenario.retype.world(alone: true)
        let points = world.crashPoints(.retyping, seed: 5).filter {
            let claim = $0.world.object(.persistentVolumeClaims, Self.claim)
            return claim?[path: ["metadata", "uid"]]?.string != world.sources[Self.claim]?.uid
        }
        #expect(points.count > 10)
        for point in points {
            let invariants = Invariants(of: point.world)
            let run = point.world.migrate(as: "second", observer: invariants.observer)
            let shortcomings = run.world.shortcomings(keepsLines: invariants)
            guard run.report?.succeeded == true, shortcomings.isEmpty else {
                Issue.record("\(point.name): \(shortcomings) \(run.messages.joined(separator: "\n"))")
                return
            }
        }
    }

    @Test("that was cut off leaves its new object to nobody who makes a claim of the name after somebody deleted that")
    func newObjectIsNobodys() throws {
        let world = Scenario.retype.world(alone: true)
        let points = world.crashPoints(.retyping, seed: 7).filter {
            let claim = $0.world.object(.persistentVolumeClaims, Self.claim)
            return claim?[path: ["metadata", "uid"]]?.string == world.sources[Self.claim]?.uid
                && claim?[path: ["metadata", "deletionTimestamp"]] == nil
                && $0.world.cluster.list(.persistentVolumes).contains(where: Self.isRetyped)
        }
        #expect(!points.isEmpty)
        for point in points {
            var cluster = point.world.cluster
            try cluster.delete(ObjectKey(.deployments, "shop", "web"))
            cluster.advance(to: cluster.now + .seconds(60))
            try cluster.delete(ObjectKey(.persistentVolumeClaims, "shop", "data"))
            cluster.advance(to: cluster.now + .seconds(5))
            try cluster.create(
                .persistentVolumeClaims,
                namespace: "shop",
                [
                    "metadata": ["name": "data"],
                    "spec": [
                        "accessModes": ["ReadWriteOnce"], "storageClassName": .string(World.destination),
                        "resources": ["requests": ["storage": "1Mi"]],
                    ],
                ]
            )
            cluster.advance(to: cluster.now + .seconds(60))
            let volume = cluster.list(.persistentVolumes).first(where: Self.isRetyped)
            let claim = cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data"))
            let other = claim?[path: ["spec", "volumeName"]]?.string
            #expect(volume != nil && other != volume?[path: ["metadata", "name"]]?.string, "\(point.name)")
        }
    }

    private static func isRetyped(_ volume: JSON) -> Bool {
        volume[path: ["metadata", "annotations", Marks.retypedFrom]] != nil
    }

    @Test("waits for a copy that is under way")
    func copyUnderWay() throws {
        let world = Scenario.deployment.world(alone: true)
        let points = world.crashPoints(Scenario.deployment.options, seed: 1)
        let point = try #require(
            points.first { $0.world.object(.persistentVolumeClaims, ObjectName("data-pvcmigrate", in: "shop")) != nil }
        )
        let staged = points[(points.firstIndex { $0.name == point.name } ?? 0) + 6]
        let run = staged.world.migrate(.retyping, as: "second")
        #expect(run.report?.succeeded == false)
        #expect(
            run.messages.contains { $0.contains("a copy of it is under way") } || run.report?.claims.isEmpty == false
        )
        #expect(run.world.isOn(World.source))
    }
}

@Suite("A tenant who wants another's storage by a retype")
struct HostileRetypeTests {
    @Test(
        "gets no object of it",
        arguments: ["volumeName", "annotations"]
    )
    func namesAnothers(how: String) throws {
        var world = Scenario.retype.world(alone: true)
        world.make(.namespaces, nil, ["metadata": ["name": "evil"]])
        let victim = try #require(world.volume(of: ObjectName("data", in: "shop")))
        let uid = world.object(.persistentVolumes, ObjectName(victim, in: nil))?[path: ["metadata", "uid"]] ?? ""
        var spec: JSON = [
            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(World.source),
            "resources": ["requests": ["storage": "16Mi"]],
        ]
        var annotations: [String: JSON] = [:]
        switch how {
        case "volumeName": spec["volumeName"] = .string(victim)
        default:
            annotations = [
                Marks.retypedFrom: uid, Marks.retypedTo: .string("retyped-\(uid.string ?? "")"),
                Marks.sourceUID: .string(world.sources[ObjectName("data", in: "shop")]?.uid ?? ""),
                "volumeHandle": world.storage(of: victim) ?? "",
            ]
        }
        let claim: JSON = ["metadata": ["name": "data", "annotations": .object(annotations)], "spec": spec]
        world.make(.persistentVolumeClaims, "evil", claim)
        world.cluster.advance(to: world.cluster.now + .seconds(10))
        let run = world.migrate(.retyping)
        let handle = world.storage(of: victim)
        let objects = run.world.cluster.list(.persistentVolumes).filter {
            run.world.storage(of: $0[path: ["metadata", "name"]]?.string ?? "") == handle
        }
        #expect(objects.map { $0[path: ["spec", "claimRef", "namespace"]]?.string } == ["shop"])
        #expect(run.world.isOn(World.destination), "\(run.messages.joined(separator: "\n"))")
        let evil = run.world.object(.persistentVolumeClaims, ObjectName("data", in: "evil"))
        #expect(how != "volumeName" || evil?[path: ["status", "phase"]] == "Pending")
    }
}
