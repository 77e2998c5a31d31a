import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

extension World {
    /// What a claim asks for.
    fileprivate func request(of claim: String) -> String? {
        object(.persistentVolumeClaims, ObjectName(claim, in: "shop"))?[
            path: ["spec", "resources", "requests", "storage"]
        ]?.string
    }

    /// How large the volume of a claim is, as the claim's status says it.
    fileprivate func capacity(of claim: String) -> Quantity? {
        object(.persistentVolumeClaims, ObjectName(claim, in: "shop"))?[path: ["status", "capacity", "storage"]]?.string
            .flatMap { Quantity($0) }
    }

    fileprivate mutating func annotate(_ claim: String, _ size: String?) throws {
        try cluster.update(ObjectKey(.persistentVolumeClaims, "shop", claim)) {
            $0[path: ["metadata", "annotations", Marks.size]] = size.map(JSON.string)
        }
    }
}

extension Options {
    fileprivate static func sized(_ size: String?, keepSource: Bool = false) -> Options {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.destinationSize = size.flatMap { Percentage($0) }
        options.keepSource = keepSource
        return options
    }
}

@Suite("The size of a destination")
struct DestinationSizeTests {
    @Test(
        "is a whole number of MiB, no less than the percentage",
        arguments: [
            ("120%", "10Gi", "12288Mi"), ("80%", "10Gi", "8192Mi"), ("50%", "1Mi", "1Mi"), ("101%", "10G", "9633Mi"),
            ("1000%", "8Ei", nil),
        ]
    )
    func percentage(share: String, size: String, expected: String?) throws {
        #expect(try #require(Percentage(share)).of(try #require(Quantity(size)))?.text == expected)
    }

    @Test(
        "may be given in percent, and for single claims by an annotation; claims ask for it afterwards",
        arguments: ["200%", "50%"]
    )
    func sizes(share: String) throws {
        var world = Scenario.twoClaimsInOnePod.world()
        try world.annotate("two", "20Mi")
        let run = world.migrate(.sized(share))
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        let expected = share == "200%" ? "32Mi" : "8Mi"
        #expect(run.world.request(of: "one") == expected && run.world.capacity(of: "one")?.text == expected)
        #expect(run.world.request(of: "two") == "20Mi" && run.world.capacity(of: "two")?.text == "20Mi")
        #expect(run.world.isOn(World.destination))
        // What the person wrote stays, as the access mode does.
        #expect(run.world.marksLeft() == ["PersistentVolumeClaim two \(Marks.size)"])
    }

    @Test("is what it was after a rollback, and what it became after the way forward again")
    func rollback() throws {
        let world = Scenario.claimWithoutPods.world().migrate(.sized("50%", keepSource: true)).world
        #expect(world.request(of: "data") == "8Mi")
        var back = Options.sized(nil).back(discardingChanges: true)
        back.keepSource = true
        let old = world.migrate(back).world
        #expect(old.isOn(World.source) && old.request(of: "data") == "16Mi" && old.capacity(of: "data")?.text == "16Mi")
        var forth = back
        swap(&forth.sourceClass, &forth.destinationClass)
        let run = old.migrate(forth)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.request(of: "data") == "8Mi" && run.world.isOn(World.destination))
        #expect(run.world.marksLeft(butKept: true).isEmpty)
    }

    @Test("survives a crash at any request", arguments: ["200%", "50%"])
    func crashes(share: String) throws {
        let world = Scenario.deployment.world(alone: true)
        let expected = share == "200%" ? "32Mi" : "8Mi"
        for (index, point) in world.crashPoints(.sized(share), seed: 5).enumerated() {
            let isLost = Mutex(false)
            let crashed = point.world
            let run = crashed.migrate(
                .sized(share),
                as: "second",
                seed: UInt64(index),
                observer: { _, _, cluster in
                    if !crashed.with(cluster).isKeptSomewhere { isLost.withLock { $0 = true } }
                }
            )
            let isRight =
                !isLost.withLock(\.self) && run.report?.succeeded == true && run.world.isOn(World.destination)
                && run.world.request(of: "data") == expected && run.world.marksLeft().isEmpty
            guard isRight else {
                Issue.record("died \(point.name): \(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))")
                return
            }
        }
    }

    struct Rerun: Sendable {
        var first: String?
        var second: String?
        /// The claim's size in the end.
        var size: String
        var isMadeAnew: Bool
    }

    @Test(
        "is that of the run that finishes, unless it has no wish and what is there is large enough",
        arguments: [
            Rerun(first: "200%", second: "300%", size: "48Mi", isMadeAnew: true),
            Rerun(first: "200%", second: "50%", size: "8Mi", isMadeAnew: true),
            Rerun(first: "200%", second: nil, size: "32Mi", isMadeAnew: false),
            Rerun(first: "50%", second: nil, size: "16Mi", isMadeAnew: true),
            Rerun(first: nil, second: "100%", size: "16Mi", isMadeAnew: false),
        ]
    )
    func resumed(rerun: Rerun) throws {
        let world = Scenario.deployment.world(alone: true)
        let cut = Mutex<Cluster?>(nil)
        _ = world.migrate(
            .sized(rerun.first),
            observer: { _, _, cluster in cut.withLock { if $0 == nil, cluster.isCopying { $0 = cluster } } }
        )
        let run = world.with(try #require(cut.withLock { $0 })).migrate(.sized(rerun.second), as: "second")
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.request(of: "data") == rerun.size && run.world.capacity(of: "data")?.text == rerun.size)
        #expect(run.world.isOn(World.destination) && run.world.areScalesRight && run.world.marksLeft().isEmpty)
        #expect(run.messages.contains { $0.contains("it is made anew") } == rerun.isMadeAnew)
    }

    @Test("meets what a namespace's limits demand by now, and so does the claim afterwards")
    func limits() throws {
        var world = Scenario.deployment.world(alone: true)
        world.make(
            .limitRanges,
            "shop",
            [
                "metadata": ["name": "l"],
                "spec": ["limits": [["type": "PersistentVolumeClaim", "min": ["storage": "24Mi"]]]],
            ]
        )
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.request(of: "data") == "24Mi")
        #expect(run.world.marksLeft().isEmpty)
    }
}

@Suite("What volumes hold")
struct UsageTests {
    /// A claim of 1Gi that a running pod mounts, and that holds so much.
    private func scene(_ bytes: Int, _ share: String? = nil, annotation: String? = nil) throws -> PreflightScene {
        var scene = try PreflightScene()
        try scene.addClaim("data", annotations: annotation.map { [Marks.size: .string($0)] } ?? [:])
        var template = PreflightScene.pod("web", claim: "data")
        template[path: ["metadata", "name"]] = nil
        try scene.add(
            .deployments,
            [
                "metadata": ["name": "web"],
                "spec": ["replicas": 1, "selector": ["matchLabels": ["app": "web"]], "template": template],
            ]
        )
        let volume = scene.cluster.get(ObjectKey(.persistentVolumeClaims, "shop", "data"))?[
            path: ["spec", "volumeName"]
        ]
        scene.cluster.write(["file": File(size: bytes)], toVolumeNamed: volume?.string ?? "", node: "node-1")
        scene.options.destinationSize = share.flatMap { Percentage($0) }
        return scene
    }

    @Test("may be too much for a smaller destination, or for one of the same size")
    func tooMuch() throws {
        func rows(_ scene: PreflightScene) throws -> [String] { try scene.preflight().rows.map(\.message) }
        #expect(try rows(scene(600 << 20, "80%")) == [])
        #expect(try rows(scene(800 << 20)) == [])
        #expect(try rows(scene(800 << 20, annotation: "2Gi")) == [])
        #expect(
            try rows(scene(800 << 20, "80%")) == [
                "holds 800.0 MiB, and is to be 820Mi instead of 1Gi: a tenth has to stay free; ask for more, or without a "
                    + "size (--dest-size, the annotation kurl.sh/pvcmigrate-destinationsize)"
            ]
        )
        #expect(try rows(scene(800 << 20, "80%", annotation: "900Mi")) == [])
        #expect(
            try rows(scene(1300 << 20)) == [
                "holds 1.2 GiB, which is more than the 1Gi of its destination; ask for more (--dest-size, or the annotation "
                    + "kurl.sh/pvcmigrate-destinationsize)"
            ]
        )
        #expect(try rows(scene(1100 << 20, "120%")) == [])
    }

    @Test("has to be known where the destination is to be smaller, and only there")
    func unknown() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data", annotations: [Marks.size: "512Mi"])
        try scene.addClaim("other")
        #expect(
            try scene.preflight().table == [
                "shop | PersistentVolumeClaim shop/data | is to be 512Mi instead of 1Gi, but how much it holds is not known "
                    + "(no running pod mounts it); ask for 1Gi or more, or without a size (--dest-size, the annotation "
                    + "kurl.sh/pvcmigrate-destinationsize)"
            ]
        )
    }

    @Test("does not matter for a block device, which can't become smaller")
    func block() throws {
        var scene = try PreflightScene()
        try scene.add(
            .persistentVolumeClaims,
            [
                "metadata": ["name": "device"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "slow", "volumeMode": "Block",
                    "resources": ["requests": ["storage": "1Gi"]],
                ],
            ]
        )
        scene.options.destinationSize = Percentage("50%")
        let rows = try scene.preflight().rows.map(\.message)
        #expect(
            rows.contains("is a block device, which can't become smaller (512Mi instead of 1Gi); ask for 1Gi or more")
        )
    }

    @Test("is not told by a file system that others share, nor without the permission to ask")
    func shared() throws {
        var scene = try scene(600 << 20, "80%")
        scene.interceptor = { request, _ in
            guard request.target.contains("stats/summary") else { return nil }
            let volume: JSON = [
                "name": "data", "pvcRef": ["name": "data", "namespace": "shop"], "capacityBytes": .integer(1 << 40),
                "usedBytes": .integer(1 << 39),
            ]
            let summary: JSON = ["node": [:], "pods": [["podRef": [:], "volume": [volume]]]]
            return .answer(Response(status: 200, headers: [], body: summary.text))
        }
        let rows = try scene.preflight().rows
        #expect(rows.count == 1)
        #expect(
            rows.first?.message.contains("(it shares its file system with others, which hold 512.0 GiB together)")
                == true
        )
        scene.options.destinationSize = nil
        #expect(try scene.preflight().rows.isEmpty)
    }

    @Test("that can't be read, since the annotation is no size, is said", arguments: ["much", "0", "-1Gi"])
    func noSize(text: String) throws {
        var scene = try PreflightScene()
        try scene.addClaim("data", annotations: [Marks.size: .string(text)])
        #expect(
            try scene.preflight().rows.map(\.message) == [
                "the annotation kurl.sh/pvcmigrate-destinationsize is \"\(text)\", which is no size such as 10Gi"
            ]
        )
    }
}
