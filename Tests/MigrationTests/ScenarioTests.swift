import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

/// Worlds that are migrated again and again, whole and with everything going wrong.
enum Scenario: String, CaseIterable, Sendable {
    case deployment
    case statefulSet
    case twoClaimsInOnePod
    case twoDeploymentsOnOneClaim
    case twoNamespaces
    case claimWithoutPods
    /// With Events.
    case retain
    case waitForFirstConsumer
    case whenScaledDelete
    case hostPath
    case lostRaces
    case keepSource
    case setDefaults
    /// With `--live` and two passes.
    case live
    /// With movers that stand, before a Deployment and beside passes, and before a StatefulSet.
    case standing
    case standingLive
    case standingSet
    /// Every kind of workload, each with a claim of its own.
    case replicaSet
    case replicationController
    case daemonSet
    case job
    case cronJob
    case pod
    case customScale
    case pausedOperator
    case keda
    /// With `--update-claim-templates`, of a set that takes its claims with it.
    case claimTemplates
    /// With `--retype`, of volumes that are attached, and back again.
    case retype
    case retypeBack
    /// To another namespace: the volume itself, and a copy of it.
    case move
    case copy
    /// The same of a StatefulSet that owns its claims; the copies are of other classes, on nodes of their pods.
    case moveSet
    case copySet
    /// A run of the Go tool that was cut off when it had copied, and one that was while it swapped.
    case goTool
    case goToolSwap

    static let kindsOfWorkloads: Set<Scenario> = [
        .replicaSet, .replicationController, .daemonSet, .job, .cronJob, .pod, .customScale, .pausedOperator, .keda,
        .claimTemplates,
    ]

    var options: Options {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        // The second is made ready while the first has its turn.
        if self == .twoNamespaces { options.parallel = 1 }
        if [.retype, .retypeBack].contains(self) { options.goal = .retype }
        if self == .retypeBack { swap(&options.sourceClass, &options.destinationClass) }
        if isTransfer {
            options.handover = Handover(
                to: World.otherNamespace,
                ending: [.move, .moveSet].contains(self) ? .move : .copy
            )
            options.selection.namespaces = ["shop"]
            let names =
                [.move, .copy].contains(self) ? ["data"] : ["data", "logs"].flatMap { ["\($0)-db-0", "\($0)-db-1"] }
            // Others have claims there, too.
            options.selection.claims = Set(names.map { ObjectName($0, in: "shop") })
        }
        if self == .copySet { options.handover?.classes = [World.source: World.destination] }
        options.keepSource = self == .keepSource
        options.setDefaults = self == .setDefaults
        options.recordsEvents = self == .retain
        options.recreatesPods = self == .pod
        if [.live, .standingLive].contains(self) { (options.isLive, options.maxOutage) = (true, .milliseconds(1)) }
        options.updatesClaimTemplates = self == .claimTemplates
        if self == .pausedOperator {
            options.pauses = [Pause(#"Roller/db={"spec":{"paused":true}}"#)].compactMap(\.self)
        }
        return options
    }

    /// Whether the claims go to another namespace.
    var isTransfer: Bool { [.move, .copy, .moveSet, .copySet].contains(self) }

    /// - Parameter alone: without the objects of others that a migration has to leave as they are.
    func world(seed: UInt64 = 1, alone: Bool = false) -> World {
        var world: World
        switch self {
        case .retain: world = World(seed: seed, policy: "Retain")
        case .waitForFirstConsumer, .copySet: world = World(seed: seed, waitForFirstConsumer: true)
        case .hostPath: world = World(seed: seed, provisioner: Behaviour.hostPath)
        case .lostRaces: world = World(seed: seed, lostRaces: 1)
        case .retype: world = World(seed: seed, provisioner: "disk.csi.example.com")
        default: world = World(seed: seed)
        }
        if isTransfer {
            world.make(.namespaces, nil, ["metadata": ["name": .string(World.otherNamespace)]])
        }
        if [.standing, .standingLive, .standingSet].contains(self) { world.letMoversStand() }
        // Some of the others' claims are of the class that the way back begins at.
        if !alone, self != .retypeBack { world.addBystanders() }
        switch self {
        case .deployment, .retain, .waitForFirstConsumer, .hostPath, .lostRaces, .keepSource, .setDefaults, .live,
            .standing, .standingLive, .retype, .retypeBack, .goTool, .goToolSwap, .move,
            .copy:
            world.addClaim("data")
            world.addDeployment("web", claims: ["data"])
        case .statefulSet: world.addStatefulSet("db", templates: ["data", "logs"], replicas: 3)
        case .standingSet: world.addStatefulSet("db", templates: ["data"], replicas: 2)
        case .twoClaimsInOnePod:
            world.addClaim("one")
            world.addClaim("two")
            world.addDeployment("web", claims: ["one", "two"])
        case .twoDeploymentsOnOneClaim:
            world.addClaim("data")
            world.addDeployment("web", claims: ["data"])
            world.addDeployment("cron", claims: ["data"], replicas: 0)
        case .twoNamespaces:
            world.make(.namespaces, nil, ["metadata": ["name": "bank"]])
            world.addClaim("data")
            world.addDeployment("web", claims: ["data"])
            world.addClaim("data", in: "bank")
            world.addDeployment("web", in: "bank", claims: ["data"])
        case .claimWithoutPods: world.addClaim("data")
        case .replicaSet, .replicationController, .daemonSet, .job, .cronJob, .pod:
            world.addClaim("data")
            let resources: [Scenario: Resource] = [
                .replicaSet: .replicaSets, .replicationController: .replicationControllers, .daemonSet: .daemonSets,
                .job: .jobs, .cronJob: .cronJobs,
            ]
            world.addOwner(resources[self] ?? .pods, "web", claim: "data")
        case .moveSet, .copySet:
            world.addStatefulSet("db", templates: ["data", "logs"], replicas: 2, whenDeleted: "Delete")
        case .claimTemplates:
            world.addStatefulSet("db", templates: ["data"], replicas: 2, whenDeleted: "Delete")
            world.hasNewTemplates = true
        case .customScale: world.addRoller("db", hasScale: true)
        case .pausedOperator: world.addRoller("db", hasScale: false)
        case .keda:
            world.addClaim("data")
            world.addDeployment("web", claims: ["data"])
            world.addScaledObject("web-by-queue", of: "web")
        case .whenScaledDelete: world.addStatefulSet("db", templates: ["data"], replicas: 2, whenScaled: "Delete")
        }
        world.settle()
        do {
            if self == .goTool { try world.runGoTool(until: .destinationMarked) }
            if self == .goToolSwap { try world.runGoTool(until: .stagingDeleted) }
        } catch {
            Issue.record("the Go tool could not be followed: \(error)")
        }
        if self == .retypeBack {
            let run = world.migrate(Scenario.retype.options)
            if run.report?.succeeded != true { Issue.record("the way there failed: \(run.messages)") }
            world = run.world
            world.turn()
        }
        if self == .keepSource { world.sourcesLater = .kept }
        if self == .goToolSwap { world.sourcesLater = .left }
        world.handover = options.handover
        world.hasNewDefault = self == .setDefaults
        return world
    }
}

@Suite("A whole migration")
struct ScenarioTests {
    @Test("everything is on the new class afterwards, and nothing is lost or left behind", arguments: Scenario.allCases)
    func migrates(scenario: Scenario) throws {
        let world = scenario.world()
        let invariants = Invariants(of: world)
        let run = world.migrate(scenario.options, observer: invariants.observer)
        let shortcomings = run.world.shortcomings(keepsLines: invariants)
        #expect(run.report?.succeeded == true, "\(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))")
        #expect(shortcomings.isEmpty, "\(run.messages.joined(separator: "\n"))")
    }

    @Test("a second run finds nothing to do", arguments: [Scenario.statefulSet, .retain])
    func repeats(scenario: Scenario) throws {
        let first = scenario.world().migrate()
        let second = first.world.migrate()
        #expect(second.report?.claims.isEmpty == true)
        #expect(second.report?.succeeded == true)
    }
}
