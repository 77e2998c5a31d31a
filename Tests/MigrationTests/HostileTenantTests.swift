import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// The commands, each with the world that it is run in.
enum HostileCommand: String, CaseIterable, Sendable {
    case migrate, retype, preflight, stage, abort, rollback, cleanup, status

    /// What a seed makes of the world before anybody plants anything in it.
    func world(_ scenario: Scenario) -> World {
        let world = scenario.world(alone: true)
        switch self {
        case .rollback, .cleanup: return world.migrate(.keepingSource).world
        case .abort:
            let points = world.crashPoints(scenario.options, seed: 1)
            return points[points.count / 2].world
        default: return world
        }
    }

    func options(_ scenario: Scenario) -> Options {
        switch self {
        case .rollback: return .rollback(discardingChanges: true)
        case .stage, .retype:
            var options = scenario.options
            options.goal = self == .stage ? .stage : .retype
            return options
        default: return scenario.options
        }
    }

    func run(_ migrator: Migrator, _ interruption: Interruption) async throws -> Report {
        switch self {
        case .migrate, .retype, .stage, .rollback:
            return await migrator.migrate(try await migrator.discover(), interruption: interruption)
        case .preflight:
            _ = await migrator.preflight(try await migrator.discover(), interruption: interruption)
        case .abort: return try await migrator.abort()
        case .cleanup: _ = try await migrator.cleanup(olderThan: .zero, dryRun: false)
        case .status: _ = try await StatusReader(migrator.context.source).status(MigrationStatus.Scope())
        }
        return Report()
    }
}

@Suite("A hostile tenant")
struct HostileTenantTests {
    private static let scenarios: [Scenario] = [.deployment, .statefulSet, .claimWithoutPods, .waitForFirstConsumer]
    private static let environment = ProcessInfo.processInfo.environment
    private static let seeds: ClosedRange<UInt64> =
        1...(environment["PVMIGRATE_SEEDS"].flatMap(UInt64.init)
        ?? (environment["PVMIGRATE_EXHAUSTIVE"] == nil ? 12 : 120))

    private struct Case: Sendable, CustomTestStringConvertible {
        var command: HostileCommand
        var scenario: Scenario
        var testDescription: String { "\(command.rawValue), \(scenario.rawValue)" }
    }

    private static let cases =
        HostileCommand.allCases.flatMap { command in
            scenarios.map { Case(command: command, scenario: $0) }
        }
        + [HostileCommand.migrate, .preflight, .abort].flatMap { command in
            [Scenario.move, .copy].map { Case(command: command, scenario: $0) }
        }

    private static let count = Mutex((runs: 0, cases: 0))

    @Test(
        "changes nothing but his own objects: all other writes are the same without him, and no storage is freed",
        arguments: cases
    )
    private func plants(_ tried: Case) throws {
        let world = tried.command.world(tried.scenario)
        let options = tried.command.options(tried.scenario)
        let plain = Self.writes(of: tried.command, world, options, besides: [])
        for seed in Self.seeds {
            var hostile = world
            let plants = Plants.sow(in: &hostile, seed: seed)
            let run = Self.writes(of: tried.command, hostile, options, besides: plants.paths)
            let (lost, new) = (plain.writes.subtracting(run.writes), run.writes.subtracting(plain.writes))
            let freed = Self.freed(run.world, since: hostile, plants)
            guard lost.isEmpty, new.isEmpty, freed.isEmpty, run.failure == plain.failure else {
                Issue.record(
                    """
                    seed \(seed), planted \(plants.names)
                    \(run.failure ?? "")
                    not done: \(lost.sorted().prefix(4).map { $0.prefix(500) }.joined(separator: "\n"))
                    done besides: \(new.sorted().prefix(4).map { $0.prefix(500) }.joined(separator: "\n"))
                    freed or changed: \(freed)
                    \(run.messages.map { String($0.prefix(200)) }.joined(separator: "\n"))
                    """
                )
                return
            }
        }
        Self.count.withLock {
            $0.runs += Int(Self.seeds.upperBound)
            $0.cases += 1
            if $0.cases == Self.cases.count {
                print("hostile tenant: \($0.runs) runs of \(HostileCommand.allCases.count) commands, nothing gained")
            }
        }
    }

    private struct Outcome {
        var writes: Set<String>
        var failure: String?
        var world: World
        var messages: [String]
    }

    /// Runs a command, and notes what it writes but for some objects.
    private static func writes(
        of command: HostileCommand,
        _ world: World,
        _ options: Options,
        besides paths: Set<String>
    ) -> Outcome {
        let writes = Mutex<Set<String>>([])
        let run = world.migrate(
            options,
            as: "process",
            observer: { request, _, _ in
                guard request.method != .get, let write = WriteInWords(request, besides: paths) else { return }
                writes.withLock { _ = $0.insert(write.text) }
            },
            work: { try await command.run($0, $1) }
        )
        var later = run.world
        later.cluster.advance(to: later.cluster.now + .seconds(60))
        return Outcome(
            writes: writes.withLock { $0 },
            failure: run.failure,
            world: later,
            messages: run.messages
        )
    }

    /// The volumes of planted claims that a command has freed, or whose policy or claim it has changed.
    private static func freed(_ after: World, since before: World, _ plants: Plants) -> [String] {
        before.cluster.list(.persistentVolumes).compactMap { volume in
            let reference = volume[path: ["spec", "claimRef"]]
            let claim = "/api/v1/namespaces/\(reference?["namespace"]?.string ?? "")/persistentvolumeclaims/"
            guard plants.paths.contains(claim + (reference?["name"]?.string ?? "")) else { return nil }
            let name = volume[path: ["metadata", "name"]]?.string ?? ""
            let now = after.object(.persistentVolumes, ObjectName(name, in: nil))
            return now?["spec"] == volume["spec"] ? nil : "\(name): \(now?["spec"] ?? .null)"
        }
    }
}

/// A write as two runs make it alike, whatever UIDs, versions and moments they meet.
private struct WriteInWords {
    var text: String

    /// - Returns: nil for a write to one of some objects, and for what depends on the moment.
    init?(_ request: Request, besides paths: Set<String>) {
        let path = String(request.target.prefix { $0 != "?" })
        guard !paths.contains(where: { path == $0 || path.hasPrefix($0 + "/") }) else { return nil }
        let body = request.body.map { String(decoding: $0, as: UTF8.self) } ?? ""
        // Renewals, Events, and what wakes the binder, come when they come.
        if path.contains("/leases/") || path.contains("/events") || body.contains(Marks.wake) { return nil }
        let dryRun = request.target.contains("dryRun") ? " (dry run)" : ""
        text = "\(request.method.rawValue) \(Self.plain(path)) \(Self.plain(Self.sorted(body)))\(dryRun)"
    }

    /// A text without what differs between two clusters.
    private static func plain(_ text: String) -> String {
        var text = text
        let id = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/
        text = text.replacing(id, with: "UID")
        text = text.replacing(/-pvcmigrate-[0-9]+/, with: "-pvcmigrate")
        text = text.replacing(/"resourceVersion":"[0-9]+"/, with: "")
        text = text.replacing(/pf-(pvc|pod)-[0-9a-f]+/, with: "pf")
        text = text.replacing(/(migrate|serve)-([a-z0-9-]+)-[0-9a-f]{8}/) { "\($0.output.1)-\($0.output.2)" }
        text = text.replacing(/pvcmigrate-nonce":"[0-9a-f]+"/, with: "nonce")
        text = text.replacing(/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/, with: "TIME")
        text = text.replacing(/pvcmigrate-copy-[0-9a-f]+/, with: "copy")
        return text
    }

    private static func sorted(_ body: String) -> String {
        JSON(parsingLeniently: body).map { String(decoding: $0.text, as: UTF8.self) } ?? body
    }
}
