import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

extension Options {
    static let keepingSource: Options = {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.keepSource = true
        return options
    }()

    /// The way back of the worlds' migration.
    static func rollback(discardingChanges: Bool) -> Options {
        var options = Options(sourceClass: World.destination, destinationClass: World.source)
        options.goal = .rollback(discardingChanges: discardingChanges)
        return options
    }
}

@Suite("Rollback")
struct RollbackTests {
    /// A world after a migration that kept the source volumes, some time later.
    private static func migrated(_ scenario: Scenario) throws -> World {
        var world = scenario.world()
        let run = world.migrate(.keepingSource)
        #expect(run.report?.succeeded == true, "\(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))")
        world = run.world
        world.cluster.advance(to: world.cluster.now + .seconds(20))
        return world
    }

    @Test("a source volume that is kept stays Released and Retain, and says what it belongs to")
    func keeps() throws {
        let world = try Self.migrated(.statefulSet)
        let kept = try world.keptVolumes()
        #expect(Set(kept.map(\.claim)) == world.claims)
        for volume in kept {
            #expect(volume.volume.phase == .released)
            #expect(volume.volume.reclaimPolicy == .retain)
            #expect(volume.reclaimPolicy == .delete)
            #expect(volume.since != nil)
            let successor = world.object(.persistentVolumeClaims, volume.claim)
            #expect(successor?[path: ["metadata", "uid"]]?.string == volume.successor)
        }
        let again = world.migrate()
        #expect(again.report?.claims.isEmpty == true, "they are not migrated once more")
    }

    @Test(
        "swaps every claim back to its old volume, and what was written since is given up only when asked for",
        arguments: [
            Scenario.deployment, .statefulSet, .twoClaimsInOnePod, .hostPath, .waitForFirstConsumer, .lostRaces,
        ]
    )
    func swapsBack(scenario: Scenario) throws {
        let world = try Self.migrated(scenario)
        let old = Dictionary(uniqueKeysWithValues: try world.keptVolumes().map { ($0.claim, $0.volume.metadata.name) })

        let refused = world.migrate(.rollback(discardingChanges: false))
        #expect(refused.report?.succeeded == false)
        let story = refused.messages.joined(separator: "\n")
        #expect(story.contains("has newer data") && story.contains("--discard-changes"), "\(story)")
        #expect(refused.report?.stopped == [], "\(story)")
        #expect(refused.world.isOn(World.destination), "\(story)")
        #expect(try Set(refused.world.keptVolumes().map(\.claim)) == world.claims, "still kept:\n\(story)")

        let run = refused.world.migrate(.rollback(discardingChanges: true))
        let whole = run.messages.joined(separator: "\n")
        #expect(run.report?.succeeded == true, "\(run.failure ?? "")\n\(whole)")
        #expect(run.world.isOn(World.source), "\(whole)")
        for claim in world.claims { #expect(run.world.volume(of: claim) == old[claim]) }
        #expect(run.world.marksLeft().isEmpty, "\(whole)")
        #expect(whole.contains("newer data is given up"), "\(whole)")
    }

    @Test("needs no permission to discard where nothing was written since")
    func unchanged() throws {
        var world = Scenario.claimWithoutPods.world()
        world = world.migrate(.keepingSource).world
        let run = world.migrate(.rollback(discardingChanges: false))
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.isOn(World.source))
        #expect(run.world.marksLeft().isEmpty)
    }

    @Test("may keep the volume that it leaves, and the way forward is open again from there")
    func thereAndBack() throws {
        var world = try Self.migrated(.deployment)
        var back = Options.rollback(discardingChanges: true)
        back.keepSource = true
        world = world.migrate(back).world
        #expect(world.isOn(World.source))
        #expect(try world.keptVolumes().map(\.volume.spec.storageClassName) == [World.destination])
        var forth = Options.rollback(discardingChanges: true)
        swap(&forth.sourceClass, &forth.destinationClass)
        let run = world.migrate(forth)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.world.isOn(World.destination))
        #expect(run.world.marksLeft().isEmpty)
    }

    @Test("takes only the claims that were asked for")
    func selection() throws {
        let world = try Self.migrated(.twoNamespaces)
        var options = Options.rollback(discardingChanges: true)
        options.selection.claims = [ObjectName("data", in: "bank")]
        let run = world.migrate(options)
        #expect(run.report?.claims.map(\.name) == [ObjectName("data", in: "bank")])
        #expect(run.world.isOn(World.source, [ObjectName("data", in: "bank")]))
        #expect(run.world.isOn(World.destination, [ObjectName("data", in: "shop")]))
    }

    @Test("leaves a volume alone whose claim is another one by now")
    func otherClaim() throws {
        var world = try Self.migrated(.claimWithoutPods)
        let claim = ObjectName("data", in: "shop")
        try world.cluster.delete(ObjectKey(.persistentVolumeClaims, "shop", "data"))
        world.cluster.advance(to: world.cluster.now + .seconds(10))
        #expect(try world.discovery(.rollback(discardingChanges: true)).units.isEmpty)
        world.addClaim("data")
        world.cluster.advance(to: world.cluster.now + .seconds(10))
        let discovery = try world.discovery(.rollback(discardingChanges: true))
        #expect(discovery.units.isEmpty)
        #expect(discovery.notes.first?.message.contains("\(claim)") == true)
    }

    @Test(
        "that dies at any request is finished by the next one",
        arguments: [Scenario.deployment, .twoClaimsInOnePod, .claimWithoutPods, .whenScaledDelete]
    )
    func crashes(scenario: Scenario) throws {
        let world = try Self.migrated(scenario)
        let options = Options.rollback(discardingChanges: true)
        for (index, point) in world.crashPoints(options, seed: 3).enumerated() {
            var start = point.world
            start.cluster.advance(to: start.cluster.now + .milliseconds(index * 37 % 10_000))
            let isLost = Mutex(false)
            let crashed = start
            let run = start.migrate(
                options,
                as: "second",
                seed: UInt64(index),
                observer: { _, _, cluster in
                    if !crashed.with(cluster).isKeptSomewhere { isLost.withLock { $0 = true } }
                }
            )
            let isRight =
                !isLost.withLock(\.self) && run.report?.succeeded == true && run.world.isOn(World.source)
                && run.world.marksLeft().isEmpty
            guard isRight else {
                Issue.record(
                    """
                    \(scenario), died \(point.name): \(run.failure ?? "") \(run.world.marksLeft())
                    \(run.messages.joined(separator: "\n"))
                    """
                )
                return
            }
        }
    }

    @Test("that dies at any request can be aborted: every claim has its data and every workload runs")
    func abortedRollback() throws {
        let world = try Self.migrated(.deployment)
        let options = Options.rollback(discardingChanges: true)
        for (index, point) in world.crashPoints(options, seed: 4).enumerated() {
            let run = point.world.abort(seed: UInt64(index))
            let isBack = run.world.isOn(World.destination)
            let isRight =
                run.report?.succeeded == true && run.world.areScalesRight
                && (isBack ? run.world.marksLeft(butKept: true).isEmpty : run.world.marksLeft().isEmpty)
                && (isBack || run.world.isOn(World.source))
            // The volume that was kept is kept again, or has its claim.
            guard isRight, !run.world.sourceVolumes.isEmpty else {
                Issue.record(
                    "died \(point.name): \(run.world.marksLeft(butKept: true)) \(run.messages.joined(separator: "\n"))"
                )
                return
            }
        }
    }
}

@Suite("Cleanup")
struct CleanupTests {
    private static func clean(_ world: World, days: Int, after wait: Duration, dryRun: Bool = false) throws -> (
        [Cleaned], World
    ) {
        let time = VirtualTime()
        var cluster = world.cluster
        cluster.advance(to: cluster.now + .seconds(1))
        let simulator = ClusterSimulator(cluster, time: time.source)
        let migrator = Migrator(
            client: Client(transport: simulator, time: time.source),
            options: Options(sourceClass: "", destinationClass: ""),
            journal: Journal(time: time.source) { _ in }
        )
        return try time.run {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await simulator.run() }
                try await time.source.sleep(wait)
                let cleaned = try await migrator.cleanup(olderThan: .seconds(86_400 * days), dryRun: dryRun)
                group.cancelAll()
                var after = world
                after.cluster = await simulator.snapshot
                return (cleaned, after)
            }
        }
    }

    @Test("frees what is kept for long enough, and nothing else")
    func frees() throws {
        let world = Scenario.claimWithoutPods.world().migrate(.keepingSource).world
        let (early, before) = try Self.clean(world, days: 7, after: .seconds(3600))
        #expect(early.map(\.result) == [.kept("not old enough")])
        #expect(before.sourceVolumes.count == 1)
        let (shown, same) = try Self.clean(world, days: 7, after: .seconds(8 * 86_400), dryRun: true)
        #expect(shown.map(\.result) == [.freed])
        #expect(same.sourceVolumes.count == 1, "a dry run changes nothing")
        let (late, after) = try Self.clean(world, days: 7, after: .seconds(8 * 86_400))
        #expect(late.map(\.result) == [.freed])
        #expect(after.sourceVolumes.isEmpty)
        #expect(after.isOn(World.destination))
    }

    @Test("leaves storage that was Retain to its owner, and says its handle")
    func retain() throws {
        let world = Scenario.retain.world().migrate(.keepingSource).world
        let handle = try #require(try world.keptVolumes().first?.volume.handle)
        let (cleaned, after) = try Self.clean(world, days: 0, after: .seconds(60))
        #expect(cleaned.map(\.result) == [.forgotten(handle: handle)])
        #expect(after.sourceVolumes.isEmpty)
    }

    @Test("frees a kept volume that a rollback has had in hand and given back, from whichever moment of it")
    func afterRollback() throws {
        let world = Scenario.deployment.world(alone: true).migrate(.keepingSource).world
        for point in world.crashPoints(.rollback(discardingChanges: true), seed: 4) {
            let aborted = point.world.abort().world
            guard aborted.isOn(World.destination) else { continue }
            let (cleaned, after) = try Self.clean(aborted, days: 0, after: .seconds(60))
            #expect(cleaned.map(\.result) == [.freed], "\(point.name)")
            #expect(after.sourceVolumes.isEmpty && after.isOn(World.destination), "\(point.name)")
        }
    }

    @Test("frees nothing that a rollback is swapping to, whichever request that has come to")
    func duringRollback() throws {
        let world = Scenario.deployment.world(alone: true).migrate(.keepingSource).world
        let options = Options.rollback(discardingChanges: true)
        for point in world.crashPoints(options, seed: 1) {
            let (cleaned, after) = try Self.clean(point.world, days: 0, after: .seconds(60))
            if case .failed(let why)? = cleaned.first?.result { Issue.record("\(point.name): \(why)") }
            guard point.world.cluster.isSealed else { continue }
            #expect(cleaned.first?.result != .freed, "\(point.name)")
            let last = after.migrate(options, as: "again")
            #expect(last.report?.succeeded == true && last.world.isOn(World.source), "\(point.name): \(last.messages)")
        }
    }

    @Test("leaves a volume alone that an administrator has reserved for another claim")
    func reserved() throws {
        var world = Scenario.claimWithoutPods.world().migrate(.keepingSource).world
        let name = try #require(try world.keptVolumes().first?.volume.metadata.name)
        world.change(ObjectKey(.persistentVolumes, nil, name)) {
            $0[path: ["spec", "claimRef"]] = ["namespace": "shop", "name": "other"]
        }
        let (cleaned, after) = try Self.clean(world, days: 0, after: .seconds(60))
        #expect(cleaned.map(\.result) == [.kept("it is in use (Available, for the claim shop/other)")])
        #expect(after.sourceVolumes == [name])
    }

    @Test("keeps a volume of which no workload was seen ready on its successor, until one is")
    func unready() throws {
        var world = Scenario.deployment.world(alone: true)
        let run = world.migrate(meddler: ReadyBeforeReleaseTests.onceSwapped { try $0.cordonNodes(true) })
        world = run.world
        let (early, before) = try Self.clean(world, days: 0, after: .seconds(60))
        guard case .kept(let why)? = early.first?.result else {
            Issue.record("\(early) \(run.messages)")
            return
        }
        #expect(why.contains("no workload was seen ready"))
        #expect(before.sourceVolumes.count == 1)
        try world.cluster.cordonNodes(false)
        let (late, after) = try Self.clean(world, days: 0, after: .seconds(60))
        #expect(late.map(\.result) == [.freed])
        #expect(after.sourceVolumes.isEmpty && after.isOn(World.destination))
    }

    @Test("keeps what may be the only copy: that of a claim which is gone")
    func onlyCopy() throws {
        var world = Scenario.claimWithoutPods.world().migrate(.keepingSource).world
        try world.cluster.delete(ObjectKey(.persistentVolumeClaims, "shop", "data"))
        let (cleaned, after) = try Self.clean(world, days: 0, after: .seconds(60))
        guard case .kept(let why)? = cleaned.first?.result else {
            Issue.record("\(cleaned)")
            return
        }
        #expect(why.contains("only copy"))
        #expect(after.sourceVolumes.count == 1)
    }
}

extension World {
    /// The volumes that are kept for a rollback.
    func keptVolumes() throws -> [KeptVolume] {
        try cluster.list(.persistentVolumes).compactMap {
            KeptVolume(try JSONDecoder().decode(PersistentVolume.self, from: $0.text))
        }
    }

    /// True when claims are bound to volumes of a class that hold their files.
    func isOn(_ storageClass: String, _ some: Set<ObjectName>? = nil) -> Bool {
        (some ?? claims).allSatisfy { claim in
            let object = self.object(.persistentVolumeClaims, claim)
            guard object?[path: ["spec", "storageClassName"]]?.string == storageClass,
                object?[path: ["status", "phase"]] == "Bound", let volume = volume(of: claim),
                let content = cluster.content(ofVolumeNamed: volume)
            else { return false }
            return Self.lines(in: content, of: claim) != nil
        }
    }

    /// True when each claim's files are on a volume that nothing will reclaim.
    var isKeptSomewhere: Bool {
        claims.allSatisfy { claim in
            cluster.list(.persistentVolumes).contains { volume in
                let name = volume[path: ["metadata", "name"]]?.string ?? ""
                guard let content = cluster.content(ofVolumeNamed: name), Self.lines(in: content, of: claim) != nil
                else { return false }
                if volume[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain" { return true }
                let holder = object(.persistentVolumeClaims, claim)
                return holder?[path: ["metadata", "uid"]] == volume[path: ["spec", "claimRef", "uid"]]
                    && holder?[path: ["metadata", "deletionTimestamp"]] == nil
            }
        }
    }

    var areScalesRight: Bool {
        scales.allSatisfy { cluster.get($0)?[path: ["spec", "replicas"]]?.integer == Int64($1) }
    }

    /// Every mark that objects bear; with `butKept`, those of volumes that are kept for a rollback are left out.
    func marksLeft(butKept: Bool = false) -> [String] {
        let all: [Resource] = [
            .persistentVolumes, .persistentVolumeClaims, .pods, .statefulSets, .deployments, .replicaSets,
            .replicationControllers, .daemonSets, .jobs, .cronJobs,
        ]
        let leaked = mayLeak ? leakedClaims().map(\.name) : []
        return records()
            + all.flatMap { resource in
                cluster.list(resource).flatMap { object -> [String] in
                    if leaked.contains(object[path: ["metadata", "name"]]?.string ?? "") { return [] }
                    let annotations = object[path: ["metadata", "annotations"]]?.object ?? [:]
                    if butKept, annotations[Marks.kept] != nil, annotations[Marks.manifest] == nil { return [] }
                    return annotations.keys.filter { $0.hasPrefix(Marks.claim) && $0 != Marks.origin }.sorted().map {
                        "\(resource.kind) \(object[path: ["metadata", "name"]]?.string ?? "") \($0)"
                    }
                }
            }
    }
}
