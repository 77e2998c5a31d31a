import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("Between the copy and the deletion of its claim")
struct SwapTests {
    private static func destinations(_ cluster: Cluster, with mark: String) -> [JSON] {
        cluster.list(.persistentVolumes).filter { $0[path: ["metadata", "annotations", mark]] != nil }
    }

    /// A pod that mounts a claim.
    private static func pod(_ name: String, on claim: String, _ annotations: [String: JSON] = [:]) -> JSON {
        var pod = PreflightScene.pod(name, claim: claim)
        pod[path: ["metadata", "annotations"]] = .object(annotations)
        return pod
    }

    @Test("a run dies, its workload runs, and somebody deletes the claim: what was written since is on the way back")
    func deletedByOthers() throws {
        var scene = Others()
        scene.forgiven = [Others.deletion]
        scene.world = try scene.world.cut { $0.isSealed }
        scene.change { try $0.scale(Others.deployment, to: 1) }
        scene.wait(.seconds(60))
        scene.change { try $0.scale(Others.deployment, to: 0) }
        scene.wait(.seconds(60))
        scene.change { try $0.delete(Others.claim) }
        scene.wait(.seconds(30))
        let found = scene.discover()
        let obstacles = found.units.flatMap(\.obstacles)
        #expect(obstacles.contains { $0.message.contains("somebody has deleted this claim") })
        scene.migrate()
        #expect(scene.runs.last?.report?.claims.map(\.result) == [.skipped], "\(scene.story)")
        #expect(scene.world.sourceVolumes.count == 1)
        scene.getBack(obstacles.map(\.message))
        scene.migrate()
        scene.expectSuccess()
    }

    private static func isDeleting(_ cluster: Cluster) -> Bool { !destinations(cluster, with: Marks.deleting).isEmpty }

    @Test(
        "a run dies, and somebody deletes its staging claim: the seal goes, and never comes back",
        arguments: [true, false]
    )
    func staleSeal(isDeleting: Bool) throws {
        var scene = Others()
        scene.world = try scene.world.cut { isDeleting ? Self.isDeleting($0) : $0.isSealed }
        scene.change { try $0.delete(Others.staging) }
        scene.wait(.seconds(30))
        scene.migrate()
        scene.expectSuccess()
        scene.wait(.seconds(60))
        #expect(Self.destinations(scene.world.cluster, with: Marks.manifest).isEmpty)
        scene.migrate()
        #expect(scene.runs.last?.report?.succeeded == true && scene.runs.last?.report?.claims.isEmpty == true)
    }

    @Test("a run dies, and somebody deletes both claims: the claim that was got back is the one that counts")
    func staleSealOfLost() throws {
        var scene = Others()
        scene.forgiven = [Others.deletion]
        scene.world = try scene.world.cut { $0.isSealed }
        scene.change {
            try $0.scale(Others.deployment, to: 0)
            try $0.delete(Others.staging)
            try $0.delete(Others.claim)
        }
        scene.wait(.seconds(30))
        scene.getBack(scene.discover().units.flatMap(\.obstacles).map(\.message))
        // The next one dies, too.
        scene.world = try scene.world.cut { $0.isCopying }
        scene.migrate()
        #expect(scene.runs.last?.report?.claims.map(\.result) == [.migrated], "\(scene.story)")
        #expect(scene.world.isOn(World.destination) && scene.world.areScalesRight)
    }

    @Test("the deletion is refused, the unit goes back, and the claim is deleted later: what was written is kept")
    func refusedDeletion() throws {
        let world = Scenario.deployment.world(alone: true)
        let isRestarted = Mutex<Cluster?>(nil)
        let refusal = Data(#"{"kind":"Status","message":"a webhook refuses","reason":"Forbidden","code":403}"#.utf8)
        let run = world.migrate(
            interceptor: { request, _ in
                request.method == .delete && request.target.hasSuffix("/persistentvolumeclaims/data")
                    ? .answer(Response(status: 403, body: refusal)) : nil
            },
            observer: { _, _, cluster in
                guard cluster.replicas(Others.deployment) == 1 else { return }
                isRestarted.withLock { if $0 == nil, Self.isDeleting(cluster) { $0 = cluster } }
            }
        )
        #expect(run.report?.claims.map(\.result) == [.failed])
        #expect(run.report?.stopped == [] && run.world.areScalesRight)
        #expect(isRestarted.withLock { $0 } == nil, "the workload runs while the claim looks as if it was swapped")
        #expect(run.world.migrate(as: "second").report?.succeeded == true)
    }

    @Test("a pod with a name such as the Go tool gives its movers is an intruder, once the copy is under way")
    func falseGoMover() {
        var scene = Others()
        let marks: [String: JSON] = [Marks.claim: "data", Marks.kind: .string(Marks.Kind.mover)]
        scene.migrate(
            once(when: { $1.isCopying }) {
                try $0.create(.pods, namespace: "shop", Self.pod("migrate-data", on: "data", marks))
            }
        )
        #expect(scene.story.contains("Pod shop/migrate-data uses the claims again"), "\(scene.story)")
    }

    @Test("a pod that has come and ended voids the copy, and the unit goes back")
    func endedPod() throws {
        var scene = Others()
        let phase = Mutex("")
        scene.migrate(
            once(when: { $1.isSealed }) { cluster in
                var pod = Self.pod("visitor", on: "data")
                pod[path: ["spec", "restartPolicy"]] = "Never"
                pod[path: ["spec", "containers"]] = [
                    [
                        "name": "main", "image": "busybox", "command": ["true"],
                        "volumeMounts": [["name": "data", "mountPath": "/data"]],
                    ]
                ]
                try cluster.create(.pods, namespace: "shop", pod)
                cluster.advance(to: cluster.now + .seconds(20))
                phase.withLock { $0 = cluster.get(ObjectKey(.pods, "shop", "visitor"))?.phase ?? "gone" }
            }
        )
        #expect(phase.withLock { $0 } == "Succeeded")
        scene.expectFailure(saying: ["Pod shop/visitor uses or has used the claims again"])
        #expect(scene.world.isOn(World.source))
        #expect(Self.destinations(scene.world.cluster, with: Marks.manifest).isEmpty)
    }

    @Test("a pod that uses one of two claims holds that back, while the other, which is deleted already, is finished")
    func oneOfTwo() throws {
        let (one, two) = (ObjectName("one", in: "shop"), ObjectName("two", in: "shop"))
        var scene = Others(Scenario.twoClaimsInOnePod.world(alone: true))
        let isGone: @Sendable (Cluster, ObjectName) -> Bool = { cluster, name in
            let claim = cluster.get(ObjectKey(.persistentVolumeClaims, "shop", name.name))
            return claim == nil || claim?[path: ["metadata", "deletionTimestamp"]] != nil
        }
        scene.world = try scene.world.cut { isGone($0, one) != isGone($0, two) }
        let (gone, left) = isGone(scene.world.cluster, one) ? (one, two) : (two, one)
        // The new process takes the seal of the other one back, copies, and seals it again.
        let isUnsealed = Mutex(false)
        scene.migrate(
            once(when: { _, cluster in
                let sealed = Self.destinations(cluster, with: Marks.manifest).count
                return isUnsealed.withLock {
                    $0 = $0 || sealed == 1
                    return $0 && sealed == 2
                }
            }) {
                try $0.create(.pods, namespace: "shop", Self.pod("visitor", on: left.name))
            }
        )
        let results = scene.runs.last?.report?.claims.map { "\($0.name.name) \($0.result)" }
        #expect(results?.sorted() == ["\(gone.name) migrated", "\(left.name) failed"].sorted(), "\(scene.story)")
        #expect(scene.runs.last?.report?.stopped == [], "\(scene.story)")
        #expect(scene.world.isOn(World.destination, [gone]) && scene.world.isOn(World.source, [left]), "\(scene.story)")
        scene.change { try $0.delete(ObjectKey(.pods, "shop", "visitor")) }
        scene.wait(.seconds(60))
        scene.migrate()
        scene.expectSuccess()
    }

    @Test("a pod that calls itself a mover is a user like any other")
    func falseMover() throws {
        var scene = Others()
        let uid = scene.world.sources[ObjectName("data", in: "shop")]?.uid ?? ""
        let marks: [String: JSON] = [
            Marks.claim: "data", Marks.kind: .string(Marks.Kind.mover), Marks.sourceUID: .string(uid),
        ]
        scene.change { try $0.create(.pods, namespace: "shop", Self.pod("mine", on: "data", marks)) }
        scene.wait(.seconds(20))
        #expect(scene.discover().units.flatMap(\.obstacles).contains { $0.resource == "Pod shop/mine" })
        scene.change { try $0.delete(ObjectKey(.pods, "shop", "mine")) }
        scene.wait(.seconds(60))
        scene.migrate(
            once(when: { $1.isCopying }) {
                try $0.create(.pods, namespace: "shop", Self.pod("mine", on: "data", marks))
            }
        )
        scene.expectFailure(saying: ["Pod shop/mine uses the claims again"])
    }

    @Test("a pod of others on the staging claim voids the copy")
    func onStaging() throws {
        var scene = Others()
        scene.migrate(
            once(when: { $1.isCopying }) {
                try $0.create(.pods, namespace: "shop", Self.pod("mine", on: "data-pvcmigrate"))
            }
        )
        scene.expectFailure(saying: ["Pod shop/mine uses the claims again"])
        #expect(scene.world.isOn(World.source))
    }
}

@Suite("A volume that was there before the migration")
struct GivenVolumeTests {
    private static let name = ObjectKey(.persistentVolumes, nil, "made-by-hand")
    private static let options = Options(sourceClass: World.source, destinationClass: "hand")

    /// A Deployment with a claim, and a class whose only volume was made by hand.
    private static func world(policy: String) -> World {
        var world = Scenario.deployment.world(alone: true)
        world.make(
            .storageClasses,
            nil,
            ["metadata": ["name": "hand"], "provisioner": "kubernetes.io/no-provisioner", "reclaimPolicy": "Delete"]
        )
        world.make(
            .persistentVolumes,
            nil,
            [
                "metadata": ["name": .string(name.name)],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "capacity": ["storage": "16Mi"], "storageClassName": "hand",
                    "persistentVolumeReclaimPolicy": .string(policy),
                    "csi": ["driver": "network.csi.example.com", "volumeHandle": "made-by-hand"],
                ],
            ]
        )
        return world
    }

    @Test(
        "keeps its own reclaim policy as a destination, whatever the source volume had",
        arguments: ["Retain", "Delete"]
    )
    func policy(own: String) throws {
        let run = Self.world(policy: own).migrate(Self.options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        let volume = run.world.cluster.get(Self.name)
        #expect(volume?[path: ["spec", "persistentVolumeReclaimPolicy"]]?.string == own)
        #expect(run.world.volume(of: ObjectName("data", in: "shop")) == Self.name.name)
        #expect(run.world.sourceVolumes.isEmpty)
    }

    @Test("keeps it where the migration goes back, from whichever moment")
    func goesBack() throws {
        let world = Self.world(policy: "Retain")
        for point in world.crashPoints(Self.options, seed: 6) {
            let run = point.world.migrate(
                Self.options,
                as: "second",
                work: { migrator, _ in try await migrator.abort() }
            )
            let volume = run.world.cluster.get(Self.name)
            #expect(volume?[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain", "\(point.name)")
            #expect(run.world.isKeptSomewhere, "\(point.name)")
        }
    }
}
