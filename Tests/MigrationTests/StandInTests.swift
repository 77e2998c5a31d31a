import ClusterSimulator
import Foundation
import Kubernetes
import Testing

@testable import Migration

@Suite("A migration with --copy-from")
struct StandInTests {
    private static let deployment = ObjectKey(.deployments, "shop", "web")
    private static let copy = "data-pvcmigrate-copy-"

    private func options(_ source: CopyFrom) -> Options {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        (options.isLive, options.copyFrom) = (true, source)
        return options
    }

    /// A Deployment with a claim, in a cluster that takes snapshots.
    ///
    /// - Parameters:
    ///   - bindsLate: true where the source class waits for the first consumer.
    ///   - failure: why no snapshot is ever ready.
    static func world(
        mode: String = "ReadWriteOnce",
        policy: String = "Delete",
        provisioner: String = "network.csi.example.com",
        bindsLate: Bool = false,
        failure: String? = nil
    ) throws -> World {
        var world = World(policy: policy, provisioner: provisioner)
        if bindsLate {
            var storageClass = try world.cluster.delete(ObjectKey(.storageClasses, nil, World.source))
            storageClass[path: ["metadata"]] = [
                "name": .string(World.source), "annotations": .object([StorageClass.defaultAnnotation: "true"]),
            ]
            storageClass[path: ["volumeBindingMode"]] = "WaitForFirstConsumer"
            world.make(.storageClasses, nil, storageClass)
        }
        try world.cluster.addSnapshotter(.init(failure: failure))
        for (name, deletion) in [("csi", "Delete"), ("keeps", "Retain")] {
            world.make(
                .volumeSnapshotClasses,
                nil,
                [
                    "metadata": ["name": .string(name)], "driver": .string(provisioner),
                    "deletionPolicy": .string(deletion),
                ]
            )
        }
        world.addClaim("data", modes: [.string(mode)])
        world.addDeployment("web", claims: ["data"])
        world.settle()
        return world
    }

    private func scale(_ cluster: Cluster) -> Int64? {
        cluster.get(Self.deployment)?[path: ["spec", "replicas"]]?.integer
    }

    /// Records an issue where a pod of ours mounts the volume of the workload while that runs, and does not only hold it.
    private func observer(_ invariants: Invariants, mountsVolume: Bool = false) -> Observer {
        { request, response, cluster in
            invariants.observer(request, response, cluster)
            guard scale(cluster) == 1, !mountsVolume else { return }
            for mover in cluster.list(.pods, namespace: "shop")
            where mover.isMover && mover.mountedClaims.contains("data") && !mover.onlyHolds {
                Issue.record("a pass reads the volume")
            }
        }
    }

    /// What passes have left behind.
    private func leftovers(_ world: World) -> [JSON] {
        let claims = world.cluster.list(.persistentVolumeClaims).filter {
            $0[path: ["metadata", "annotations", Marks.kind]] == .string(Marks.Kind.copy)
        }
        let volumes = world.cluster.list(.persistentVolumes).filter {
            $0[path: ["spec", "claimRef", "name"]]?.string?.hasPrefix(Self.copy) == true
        }
        return claims + volumes + world.cluster.list(.volumeSnapshots) + world.cluster.list(.volumeSnapshotContents)
    }

    private func later(_ world: World) -> World {
        var world = world
        world.cluster.advance(to: world.cluster.now + .seconds(10))
        return world
    }

    @Test("copies a ReadWriteOncePod claim from a snapshot while its pod runs")
    func exclusive() throws {
        let world = try Self.world(mode: "ReadWriteOncePod")
        let invariants = Invariants(of: world)
        let run = world.migrate(options(.auto), observer: observer(invariants))
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(later(run.world).shortcomings(keepsLines: invariants) == [])
        let pass = try #require(run.messages.firstIndex { $0.contains("pass 1 took") })
        let stop = try #require(run.messages.firstIndex { $0.contains("stopped: scale 1") })
        #expect(pass < stop, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("snapshot \(Self.copy)") && $0.contains("taken") })
    }

    @Test("leaves what can be shared to be read as it is, though there are snapshots")
    func shared() throws {
        let world = try Self.world()
        let invariants = Invariants(of: world)
        let run = world.migrate(options(.auto), observer: observer(invariants, mountsVolume: true))
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(!run.messages.contains { $0.contains("snapshot") })
    }

    @Test(
        "makes each pass over a copy that is gone afterwards, whatever its class says",
        arguments: [CopyFrom.snapshot, .clone],
        ["Delete", "Retain"]
    )
    func copies(source: CopyFrom, policy: String) throws {
        let world = try Self.world(policy: policy)
        let invariants = Invariants(of: world)
        var options = options(source)
        // So short that there are two.
        options.maxOutage = .milliseconds(1)
        let run = world.migrate(options, observer: observer(invariants))
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("pass 2 took") }, "\(run.messages)")
        #expect(later(run.world).shortcomings(keepsLines: invariants) == [])
        #expect(leftovers(later(run.world)) == [])
    }

    @Test("stages from a clone again and again, and leaves nothing but the staging claim")
    func stage() throws {
        let world = try Self.world()
        let invariants = Invariants(of: world)
        var staging = options(.clone)
        (staging.goal, staging.isLive) = (.stage, false)
        let first = world.migrate(staging, observer: observer(invariants))
        #expect(first.report?.claims.map(\.result) == [.staged], "\(first.messages)")
        #expect(leftovers(later(first.world)) == [])
        let second = first.world.migrate(staging, observer: observer(invariants))
        #expect(second.report?.claims.map(\.result) == [.staged], "\(second.messages)")
        let last = second.world.migrate(options(.volume), observer: invariants.observer)
        #expect(last.report?.succeeded == true, "\(last.messages)")
        #expect(later(last.world).shortcomings(keepsLines: invariants) == [])
    }

    @Test("stops nothing and leaves nothing where a snapshot is never ready, and says why")
    func neverReady() throws {
        let world = try Self.world(failure: "rpc error: code = Internal desc = out of snapshots")
        let invariants = Invariants(of: world)
        let run = world.migrate(
            options(.snapshot),
            observer: { request, response, cluster in
                invariants.observer(request, response, cluster)
                if scale(cluster) != 1 { Issue.record("the workload was stopped") }
            }
        )
        #expect(run.report?.claims.map(\.result) == [.failed])
        #expect(run.report?.stopped == [])
        #expect(
            run.messages.contains { $0.contains("to be ready") && $0.contains("out of snapshots") },
            "\(run.messages)"
        )
        var next = later(run.world)
        #expect(leftovers(next) == [])
        next.cluster.behaviour.snapshotter?.failure = nil
        let rerun = next.migrate(options(.snapshot), observer: invariants.observer)
        #expect(rerun.report?.succeeded == true, "\(rerun.messages)")
        #expect(later(rerun.world).shortcomings(keepsLines: invariants) == [])
    }

    @Test(
        "copies volumes that one node mounts at a time, and those of a class that waits for the first consumer",
        arguments: ["disk.csi.example.com", "network.csi.example.com"],
        [true, false]
    )
    func placement(provisioner: String, bindsLate: Bool) throws {
        for source in [CopyFrom.snapshot, .clone] {
            let world = try Self.world(provisioner: provisioner, bindsLate: bindsLate)
            let invariants = Invariants(of: world)
            let run = world.migrate(options(source), observer: observer(invariants))
            #expect(run.report?.succeeded == true, "\(run.messages)")
            #expect(run.messages.contains { $0.contains("pass 1 took") }, "\(run.messages)")
            #expect(later(run.world).shortcomings(keepsLines: invariants) == [])
        }
    }

    @Test("says who is to blame where somebody deletes the snapshot, and stops nothing")
    func deleted() throws {
        let world = try Self.world()
        let run = world.migrate(
            options(.snapshot),
            meddler: once(when: { !$1.list(.volumeSnapshots).isEmpty }) {
                let name = $0.list(.volumeSnapshots).first?[path: ["metadata", "name"]]?.string ?? ""
                try $0.delete(ObjectKey(.volumeSnapshots, "shop", name))
            }
        )
        #expect(run.report?.claims.map(\.result) == [.failed])
        #expect(run.report?.stopped == [] && scale(run.world.cluster) == 1)
        #expect(
            run.messages.contains {
                $0.contains("VolumeSnapshot shop/\(Self.copy)") && $0.contains("was deleted by somebody")
            }
        )
        #expect(leftovers(later(run.world)) == [])
    }

    @Test(
        "that is interrupted at any request leaves no copy, and everything running",
        arguments: [CopyFrom.snapshot, .clone]
    )
    func interrupted(source: CopyFrom) throws {
        let world = try Self.world()
        for number in stride(from: 2, through: world.migrate(options(source)).requests, by: 3) {
            let interruption = Interruption()
            let invariants = Invariants(of: world)
            let run = world.migrate(
                options(source),
                interruption: interruption,
                interceptor: { _, now in
                    if now == number { interruption.request() }
                    return nil
                },
                observer: invariants.observer
            )
            #expect(run.report?.stopped == [] && scale(run.world.cluster) == 1, "at request \(number): \(run.messages)")
            #expect(invariants.violations == [])
            #expect(leftovers(later(run.world)) == [], "at request \(number): \(run.messages)")
        }
    }

    @Test("succeeds, or leaves things safe, when the API server misbehaves", arguments: Misbehaviour.allCases)
    func misbehaviour(_ misbehaviour: Misbehaviour) throws {
        let world = try Self.world()
        let first = (Misbehaviour.allCases.firstIndex(of: misbehaviour) ?? 0) % 5
        // Those before the passes and after them are as without.
        for number in stride(from: 28 + first, through: 70, by: 5) {
            let what = "\(misbehaviour.rawValue) at request \(number)"
            if FaultTests.check(
                world,
                options(.snapshot),
                seed: UInt64(number),
                what,
                fault: { $0 == number ? misbehaviour.fault : nil }
            ) {
                return
            }
        }
    }

    @Test(
        "that dies at any request leaves nothing after the next run, nor after abort",
        arguments: [CopyFrom.snapshot, .clone]
    )
    func dies(source: CopyFrom) throws {
        let world = try Self.world()
        let count = world.migrate(options(source)).requests
        for number in stride(from: 1, through: count, by: 3) {
            let invariants = Invariants(of: world)
            let first = world.migrate(
                options(source),
                seed: UInt64(number),
                interceptor: { _, now in now >= number ? .refuse : nil },
                observer: invariants.observer
            )
            var died = first.world
            died.mayLeak = true
            let next = died.migrate(options(source), as: "second", observer: invariants.observer)
            #expect(next.report?.succeeded == true, "after request \(number): \(next.messages)")
            #expect(later(next.world).shortcomings(keepsLines: invariants) == [], "after request \(number)")
            let back = first.world.migrate(as: "third", work: { migrator, _ in try await migrator.abort() })
            #expect(back.report?.succeeded == true, "after request \(number): \(back.messages)")
            // A copy that was not written down yet stays until its claim goes.
            let left = leftovers(later(back.world)).filter {
                $0[path: ["metadata", "ownerReferences"]] == nil && $0["kind"] != "VolumeSnapshotContent"
            }
            #expect(left.isEmpty || later(next.world).shortcomings(keepsLines: invariants) == [])
        }
    }

    @Test("copies real files from a clone with a real rsync, and what was written since from the volume")
    func realFiles() async throws {
        try await RealScene.with(.init()) { scene in
            func write(_ text: String) async throws {
                let path = try #require(try await scene.path())
                try text.write(toFile: path + "/file", atomically: false, encoding: .utf8)
            }
            try await write("before")
            var options = scene.options()
            (options.copyFrom, options.goal) = (.clone, .stage)
            let staged = try await scene.migrate(options)
            #expect(staged.claims.map(\.result) == [.staged], "\(staged.claims) \(scene.messages)")
            let copy = try #require(try await scene.path(ObjectName("data-pvcmigrate", in: "shop")))
            #expect(try String(contentsOfFile: copy + "/file", encoding: .utf8) == "before")
            // It may be newer than it says in the clone, so that its copy fits no file.
            let time = try FileManager.default.attributesOfItem(atPath: copy + "/file")[.modificationDate] as? Date
            #expect(time == Date(timeIntervalSince1970: 1_234_567))
            try await write("behind")
            (options.isLive, options.goal) = (true, .migrate)
            let report = try await scene.migrate(options)
            #expect(report.succeeded, "\(report.claims)")
            let path = try #require(try await scene.path())
            #expect(try String(contentsOfFile: path + "/file", encoding: .utf8) == "behind")
        }
    }

    // MARK: Preflight

    private func scene(_ source: CopyFrom, provisioner: String = "disk.csi.example.com") throws -> PreflightScene {
        var scene = try PreflightScene()
        try scene.cluster.delete(ObjectKey(.storageClasses, nil, "slow"))
        try scene.cluster.create(.storageClasses, PreflightScene.storageClass("slow", provisioner: provisioner))
        try scene.addClaim("data")
        (scene.options.isLive, scene.options.copyFrom) = (true, source)
        return scene
    }

    @Test("preflight says what a snapshot lacks: the API, a class, one class of several")
    func missing() throws {
        var scene = try scene(.snapshot)
        func row(_ what: String) -> [String] { [" | VolumeSnapshotClass | \(what); --copy-from volume needs none"] }
        #expect(
            try scene.preflight().table
                == row("is not served (snapshot.storage.k8s.io/v1): the cluster has no snapshot controller")
        )
        try scene.cluster.addSnapshotter()
        #expect(
            try scene.preflight().table
                == row(
                    "there is no VolumeSnapshotClass of the driver disk.csi.example.com with the deletionPolicy Delete"
                )
        )
        for name in ["a", "b"] {
            let snapshotClass: JSON = [
                "metadata": ["name": .string(name)], "driver": "disk.csi.example.com", "deletionPolicy": "Delete",
            ]
            try scene.cluster.create(.volumeSnapshotClasses, snapshotClass)
            let ambiguous =
                "the VolumeSnapshotClasses of the driver disk.csi.example.com are a, b; make one of them the default one"
            #expect(try scene.preflight().table == (name == "a" ? [] : row(ambiguous)))
        }
    }

    @Test("preflight refuses volumes that no CSI driver made", arguments: [CopyFrom.snapshot, .clone])
    func notCSI(source: CopyFrom) throws {
        let table = try scene(source, provisioner: Behaviour.hostPath).preflight().table
        #expect(table.count == 1 && table[0].contains("PersistentVolumeClaim shop/data"), "\(table)")
        #expect(table.first?.contains("is not of a CSI driver") == true)
    }

    @Test("snapshots are granted and asked for only where they are wanted", arguments: CopyFrom.allCases)
    func permissions(source: CopyFrom) {
        #expect(Permissions.rbac(for: options(source)).contains("volumesnapshots") == (source == .snapshot))
    }

    @Test("a snapshot's class is the default one of its driver, or the only one that keeps nothing")
    func chosen() throws {
        func make(_ name: String, policy: String = "Delete", isDefault: Bool = false) -> VolumeSnapshotClass {
            var metadata = ObjectMeta(name: name, namespace: nil, uid: name, resourceVersion: "1")
            metadata.annotations = ["snapshot.storage.kubernetes.io/is-default-class": "\(isDefault)"]
            return VolumeSnapshotClass(metadata: metadata, driver: "csi", deletionPolicy: policy)
        }
        let (a, b) = (make("a"), make("b", isDefault: true))
        let keeping = make("keeping", policy: "Retain", isDefault: true)
        #expect(try VolumeSnapshotClass.chosen(of: [a, b, keeping], for: "csi") == b)
        #expect(try VolumeSnapshotClass.chosen(of: [a, keeping], for: "csi") == a)
        for classes in [[a, make("c")], [keeping], []] {
            #expect(throws: Migration.Refusal.self) { try VolumeSnapshotClass.chosen(of: classes, for: "csi") }
        }
        #expect(throws: Migration.Refusal.self) { try VolumeSnapshotClass.chosen(of: [a], for: "other") }
    }
}

extension JSON {
    fileprivate var isMover: Bool { self[path: ["metadata", "annotations", Marks.kind]]?.string == Marks.Kind.mover }
    /// True where it keeps claims mounted, and makes no pass.
    fileprivate var onlyHolds: Bool { namesOfContainers == ["hold"] }
    fileprivate var mountedClaims: [String] {
        (self[path: ["spec", "volumes"]]?.array ?? []).compactMap {
            $0[path: ["persistentVolumeClaim", "claimName"]]?.string
        }
    }
}
