import Kubernetes

/// One check of preflight.
public struct Check: Sendable {
    public let name: String
    /// The summary of the check, for `--help`.
    public let summary: String
    /// False where the check finds nothing new without the destination class.
    var runsWithoutDestination = true
    /// True where the check creates objects for a moment. It runs after all others, because its objects take from their
    /// quotas, and handles an interruption itself; the others are cancelled.
    var createsObjects = false
    /// True where only copies to and from this computer need it.
    var isOfTrees = false
    /// Finds the obstacles of the migration. It throws where it cannot be carried out.
    let run: @Sendable (Context, Discovery, Interruption) async throws -> [Obstacle]
}

/// The checks of preflight. The list that runs is the list that `--help` prints.
public struct Preflight: Sendable {
    public static let checks: [Check] = [
        Check(
            name: "storage classes",
            summary: "source and destination class exist and differ"
        ) { context, discovery, _ in discovery.missingClasses(context.options) },
        Check(
            name: "permissions",
            summary: "the caller may do all that the run will do"
        ) { context, discovery, _ in await AccessReviews(context).obstacles(discovery) },
        Check(
            name: "selection",
            summary: "what --pvc and --include name is there, and may go"
        ) { _, discovery, _ in discovery.unmatched },
        Check(
            name: "owners",
            summary: "claims are bound, no other volume is their storage, and their pods belong to what can be stopped"
        ) { _, discovery, _ in discovery.units.flatMap(\.obstacles) },
        Check(
            name: "namespace",
            summary: "in a transfer, the namespace of the destinations exists, or may be created"
        ) { context, _, _ in try await TargetNamespace(context).obstacles() },
        Check(
            name: "objects",
            summary: "with --include, the other namespace takes the objects; the API server knows what --wait-for names"
        ) { context, discovery, _ in
            try await Objects(context).hindrances(of: discovery.objects)
                + (try await AwaitedObjects(context).obstacles())
        },
        Check(
            name: "names",
            summary: "staging claims have names of their own, and claims can be carried over"
        ) { _, discovery, _ in NameCheck.obstacles(discovery) },
        Check(
            name: "access modes",
            summary: "running workloads can live with the access modes that claims are to have"
        ) { context, discovery, _ in try await AccessModeCheck(context).obstacles(discovery) },
        Check(
            name: "retype",
            summary: "with --retype, the class may have the volumes, and is the truth or what --accept names"
        ) { context, discovery, _ in
            let check = RetypeCheck(options: context.options, classes: discovery.classes)
            return check.obstacles(of: discovery.units.flatMap(\.claims)).values.flatMap(\.self)
        },
        Check(
            name: "copy sources",
            summary: "with --copy-from, snapshots or clones can be made of the source volumes"
        ) { context, discovery, _ in try await StandInCheck(context).obstacles(discovery) },
        Check(
            name: "usage",
            summary: "what volumes hold fits on the new ones, as far as the kubelets tell"
        ) { context, discovery, _ in try await UsageCheck(context).obstacles(discovery) },
        Check(
            name: "admission",
            summary: "quotas, limits, Pod Security and webhooks let staging claims, their successors and movers in",
            runsWithoutDestination: false
        ) { context, discovery, _ in try await AdmissionCheck(context).obstacles(discovery) },
        Check(
            name: "provisioning",
            summary: "the destination class really makes volumes that a pod can mount",
            runsWithoutDestination: false,
            createsObjects: true
        ) { context, discovery, interruption in
            try await ProvisioningCheck(context).obstacles(discovery, interruption)
        },
        Check(
            name: "network copies",
            summary: "where no node can mount both volumes, pods of two nodes reach each other with ssh",
            runsWithoutDestination: false,
            createsObjects: true
        ) { context, discovery, interruption in
            try await NetworkCheck(context).obstacles(discovery, interruption)
        },
        Check(
            name: "local trees",
            summary: "in an upload or download, what is written to may be, and a mover answers",
            createsObjects: true,
            isOfTrees: true
        ) { context, discovery, interruption in
            try await TreeCheck(context).obstacles(discovery, interruption)
        },
        Check(
            name: "default class",
            summary: "with --set-defaults, no third class is the default one"
        ) { context, discovery, _ in discovery.thirdDefaults(context.options) },
    ]

    private let context: Context

    init(_ context: Context) { self.context = context }

    /// Makes all checks, as many side by side as possible, and leaves nothing behind.
    ///
    /// - Parameter proceeds: True where the migration follows if nothing stands in its way. The volumes of trials may then be
    ///   deleted beside it, which it waits for.
    /// - Returns: The obstacles of the migration, by namespace and resource. A check that failed or was interrupted is
    ///   an obstacle too.
    func obstacles(_ discovery: Discovery, _ interruption: Interruption, proceeds: Bool) async -> [Obstacle] {
        await context.journal.orWarn("snapshots") { try await SnapshotWarning(context).warn(discovery) }
        await context.journal.orWarn("advice") { try await Advice(context).give(discovery) }
        let options = context.options
        let hasDestination = discovery.destination(options) != nil || options.handover != nil
        let checks = Preflight.checks.filter {
            guard !$0.isOfTrees else { return options.tree != nil }
            // A rollback and a retype make no new volumes.
            return ($0.runsWithoutDestination || hasDestination)
                && !($0.createsObjects && options.pipeline.method != .copy)
        }
        var found: Set<Obstacle> = []
        for round in [checks.filter { !$0.createsObjects }, checks.filter(\.createsObjects)] {
            for obstacles in await round.sideBySide({ await carryOut($0, discovery, interruption) }) {
                found.formUnion(obstacles)
            }
        }
        if !proceeds || !found.isEmpty || interruption.isRequested {
            found.formUnion(await TrialRemoval(context).awaitFreedStorage())
        }
        if interruption.isRequested {
            found.insert(Obstacle(namespace: nil, resource: "preflight", message: "was interrupted"))
        }
        return found.sorted {
            ($0.namespace, $0.resource, $0.message) < ($1.namespace, $1.resource, $1.message)
        }
    }

    private func carryOut(_ check: Check, _ discovery: Discovery, _ interruption: Interruption) async -> [Obstacle] {
        do {
            if check.createsObjects { return try await check.run(context, discovery, interruption) }
            return try await interruption.cancelling { try await check.run(context, discovery, interruption) }
        } catch is CancellationError {
            // One message covers the interruption of all checks.
            return []
        } catch {
            return [
                Obstacle(
                    namespace: nil,
                    resource: "check of \(check.name)",
                    message: "could not be carried out: \(error)"
                )
            ]
        }
    }
}

extension Discovery {
    /// The claims that are still to be deleted and made anew.
    var claimsToSwap: [ClaimState] {
        units.flatMap(\.claims).filter { $0.sourceClaim?.phase == .bound && !$0.isPastReturn }
    }

    /// The claims that still need a staging claim, as far as their own state allows one and there is room for it before
    /// other units are done.
    var claimsToStage: [ClaimState] {
        units.flatMap(\.claims).filter { state in
            guard state.staging == nil, !state.transfer.method.keepsStorage, !withoutRoom.contains(state.id) else {
                return false
            }
            return [.protect(.protect), .stage(.create)].contains(state.next)
        }
    }
}
