import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

extension World {
    /// What `pvmigrate status` would be told of the world as it is.
    func status(
        source: String? = nil,
        destination: String? = nil,
        interceptor: Interceptor? = nil
    ) throws -> MigrationStatus {
        var scope = MigrationStatus.Scope()
        (scope.sourceClass, scope.destinationClass) = (source, destination)
        let time = VirtualTime()
        let simulator = ClusterSimulator(cluster, time: time.source, interceptor: interceptor)
        let client = Client(transport: simulator, time: time.source)
        return try time.run { [scope] in
            try await withThrowingTaskGroup(of: MigrationStatus?.self) { group in
                group.addTask {
                    try await simulator.run()
                    return nil
                }
                group.addTask { try await StatusReader(client).status(scope) }
                defer { group.cancelAll() }
                while let next = try await group.next() {
                    if let next { return next }
                }
                throw CancellationError()
            }
        }
    }
}

@Suite("The status of a run that died")
struct CrashStatusTests {
    private static let options = Options(sourceClass: World.source, destinationClass: World.destination)

    @Test(
        "is open from its first mark to its last, and a rerun closes it",
        // The Go tool leaves a source volume that nothing tells of. Of a transfer `TransferTests` has the status.
        arguments: Scenario.allCases.filter { ![.goToolSwap, .retypeBack].contains($0) && !$0.isTransfer }
    )
    func everyCrash(scenario: Scenario) throws {
        let world = scenario.world(alone: true)
        // What these options do besides is nothing that a status could tell of.
        let options = [.keepSource, .setDefaults, .claimTemplates].contains(scenario) ? Self.options : scenario.options
        let way = scenario == .retype ? " --retype" : ""
        for (index, point) in world.crashPoints(options, seed: 1).enumerated() {
            let status = try point.world.status(source: World.source, destination: World.destination)
            #expect(status.isOpen == !point.world.marksLeft().isEmpty, "\(point.name): \(point.world.marksLeft())")
            #expect(
                status.commands
                    == (status.isOpen ? ["pvmigrate --source-sc slow --dest-sc fast" + way] : []),
                "\(point.name)"
            )
            let leaked = point.world.leakedClaims().sorted().map { "PersistentVolumeClaim \($0)" }
            let leftovers = status.leftovers.filter { !leaked.contains($0.resource) }
            #expect(leftovers.isEmpty || !status.isOpen, "\(point.name): \(leftovers)")
            #expect(status.claims.allSatisfy { !$0.isBlocked }, "\(point.name)")
            #expect(status.claims.allSatisfy { $0.stage != .begun || !$0.state.contains("complete") }, "\(point.name)")
            #expect(status.unseen.isEmpty && status.notes.isEmpty, "\(point.name): \(status.notes)")
            // Each claim is told of once, as far as it is bound somewhere.
            let told = status.claims.count + (status.toMigrate ?? 0)
            #expect(told + (status.onDestination ?? 0) >= world.claims.count, "\(point.name)")
            #expect(told <= world.claims.count, "\(point.name)")
            // What is said to be done is not touched again; of the others some are taken up, since that takes long.
            guard told == 0 && !status.isOpen || index % 40 == 20 else { continue }
            let changes = Mutex(0)
            let observer: Observer = { request, _, _ in
                if request.method != .get, !request.target.contains("/leases") { changes.withLock { $0 += 1 } }
            }
            let rerun = point.world.migrate(options, as: "second", seed: 2, observer: observer)
            #expect(changes.withLock { $0 } == 0 || told > 0 || status.isOpen, "\(point.name)")
            let afterwards = try rerun.world.status(source: World.source, destination: World.destination)
            #expect(!afterwards.isOpen && afterwards.locks.isEmpty, "\(point.name)")
            #expect(afterwards.leftovers.map(\.resource) == leaked, "\(point.name)")
            #expect(afterwards.toMigrate == 0 && afterwards.onDestination == world.claims.count, "\(point.name)")
        }
    }

    @Test("has no class in its command that the cluster doesn't tell")
    func command() throws {
        var commands: Set<[String]> = []
        for point in Scenario.deployment.world(alone: true).crashPoints(Self.options, seed: 1) {
            commands.insert(try point.world.status().commands)
        }
        #expect(
            commands == [
                [], ["pvmigrate --source-sc slow --dest-sc <destination class>"],
                ["pvmigrate --source-sc slow --dest-sc fast"],
            ]
        )
    }

    @Test("and keeps its source volumes is open until only those are left", arguments: [Scenario.statefulSet, .retain])
    func keeping(scenario: Scenario) throws {
        let world = scenario.world(alone: true)
        for point in world.crashPoints(.keepingSource, seed: 1) {
            let status = try point.world.status()
            let marks = point.world.marksLeft(butKept: true)
            #expect(status.isOpen == !marks.isEmpty, "\(point.name): \(marks)")
            #expect(try status.kept.count == point.world.keptVolumes().count, "\(point.name)")
            #expect(status.kept.allSatisfy(\.hasSuccessor) && status.notes.isEmpty, "\(point.name)")
        }
    }

    @Test("on its way back is open as well, and the command that finishes it is a rollback")
    func rollingBack() throws {
        let world = Scenario.twoClaimsInOnePod.world(alone: true).migrate(.keepingSource).world
        for (index, point) in world.crashPoints(.rollback(discardingChanges: true), seed: 1).enumerated() {
            let status = try point.world.status(source: World.source, destination: World.destination)
            let marks = point.world.marksLeft(butKept: true)
            #expect(status.isOpen == !marks.isEmpty, "\(point.name): \(marks)")
            #expect(
                status.commands == (status.isOpen ? ["pvmigrate rollback --source-sc slow --dest-sc fast"] : []),
                "\(point.name)"
            )
            #expect(status.claims.allSatisfy { $0.isRollback && !$0.isBlocked }, "\(point.name): \(status.claims)")
            #expect(status.claims.allSatisfy { $0.stage != .begun || !$0.state.contains("complete") }, "\(point.name)")
            let told = try point.world.status().commands
            let destination = status.claims.isEmpty ? "<destination class>" : "fast"
            #expect(told == (status.isOpen ? ["pvmigrate rollback --source-sc slow --dest-sc \(destination)"] : []))
            guard index % 40 == 20 else { continue }
            let rerun = point.world.migrate(.rollback(discardingChanges: true), as: "second", seed: 2)
            let afterwards = try rerun.world.status()
            #expect(!afterwards.isOpen && afterwards.kept.isEmpty && afterwards.leftovers.isEmpty, "\(point.name)")
        }
    }

    @Test("of the Go tool is open at each of its moments, and a rerun closes it", arguments: GoStage.allCases)
    func goTool(stage: GoStage) throws {
        var world = Scenario.deployment.world(alone: true)
        try world.runGoTool(until: stage)
        let status = try world.status(source: World.source, destination: World.destination)
        // What it has made while nothing but its marks tells of it is left over, and no more.
        let isProven = stage >= .destinationMarked
        #expect(status.isOpen == (stage != .staged) && status.claims.allSatisfy { !$0.isBlocked })
        #expect(status.commands == (status.isOpen ? ["pvmigrate --source-sc slow --dest-sc fast"] : []))
        #expect(status.claims.isEmpty == (stage >= .claimCreated || !isProven), "\(status.claims)")
        let isSwapped = stage >= .claimDeleted
        #expect(status.claims.allSatisfy { $0.state.hasSuffix("(left so by the Go tool)") == isSwapped })
        let afterwards = try world.migrate().world.status(source: World.source, destination: World.destination)
        #expect(!afterwards.isOpen && afterwards.leftovers.isEmpty == isProven, "\(afterwards)")
    }

    @Test("is not taken from what others have", arguments: [Scenario.claimWithoutPods, .deployment])
    func bystanders(scenario: Scenario) throws {
        let world = scenario.world()
        for status in [try world.status(), try world.migrate().world.status()] {
            #expect(!status.isOpen && status.leftovers.isEmpty && status.kept.isEmpty && status.notes.isEmpty)
        }
    }

    @Test("says what was given back when it was interrupted before the seal")
    func givenBack() throws {
        let interruption = Interruption()
        let observer: Observer = { request, _, _ in
            if request.method == .post, request.target.contains("/pods") { interruption.request() }
        }
        let run = Scenario.deployment.world(alone: true).migrate(interruption: interruption, observer: observer)
        let status = try run.world.status()
        #expect(status.isOpen && status.workloads.isEmpty && status.locks.isEmpty)
        #expect(
            status.claims.map(\.state) == [
                "it was given back to its source volume; what was copied is kept on its staging claim"
            ]
        )
    }

    @Test("does without what the caller may not list, and says so; but not without volumes and claims")
    func forbidden() throws {
        let world = Scenario.deployment.world(alone: true)
        func status(forbidding resource: String) throws -> MigrationStatus {
            try world.status { request, _ in
                guard request.target.contains("/\(resource)?") else { return nil }
                let refusal = #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not you"}"#
                return .answer(Response(status: 403, body: Data(refusal.utf8)))
            }
        }
        for resource in ["pods", "statefulsets", "deployments", "leases", "storageclasses"] {
            let unseen = try status(forbidding: resource).unseen
            #expect(unseen.map(\.resource) == [resource])
            #expect(unseen.first?.message.hasSuffix(": not you") == true)
        }
        for resource in ["persistentvolumes", "persistentvolumeclaims"] {
            #expect(throws: APIError.self) { try status(forbidding: resource) }
        }
    }
}
