import Kubernetes

/// One check of preflight.
public struct Check: Sendable {
    public let name: String
    /// What it makes sure of, for `--help`.
    public let summary: String
    /// False for a check that says nothing new where the destination class is missing.
    var runsWithoutDestination = true
    /// True for a check that creates objects for a moment. It runs after all others, as it would take from their
    /// quotas, and sees to an interruption itself; the others are simply given up.
    var createsObjects = false
    /// Finds what stands in the migration's way. It throws where it can't be carried out.
    let run: @Sendable (Migrator, Discovery, Interruption) async throws -> [Obstacle]
}

/// Preflight: the list that runs is the list that `--help` prints.
public enum Preflight {
    public static let checks: [Check] = [
        Check(
            name: "storage classes",
            summary: "source and destination class exist and differ"
        ) { migrator, discovery, _ in migrator.checkStorageClasses(discovery) },
        Check(
            name: "permissions",
            summary: "the caller may do all that the run will do"
        ) { migrator, discovery, _ in await migrator.checkPermissions(discovery) },
        Check(
            name: "selection",
            summary: "what --pvc names is there to be migrated"
        ) { _, discovery, _ in discovery.unmatched },
        Check(
            name: "owners",
            summary: "claims are bound, no other volume is their storage, and their pods belong to what can be stopped"
        ) { _, discovery, _ in discovery.units.flatMap(\.obstacles) },
        Check(
            name: "names",
            summary: "staging claims have names of their own, and claims can be carried over"
        ) { migrator, discovery, _ in migrator.checkNames(discovery) },
        Check(
            name: "access modes",
            summary: "running workloads can live with the access modes that claims are to have"
        ) { migrator, discovery, _ in try await migrator.checkAccessModes(discovery) },
        Check(
            name: "copy sources",
            summary: "with --copy-from, snapshots or clones can be made of the source volumes"
        ) { migrator, discovery, _ in try await migrator.checkCopySources(discovery) },
        Check(
            name: "usage",
            summary: "what volumes hold fits on the new ones, as far as the kubelets tell"
        ) { migrator, discovery, _ in try await migrator.checkUsage(discovery) },
        Check(
            name: "admission",
            summary: "quotas, limits, Pod Security and webhooks let staging claims, their successors and movers in",
            runsWithoutDestination: false
        ) { migrator, discovery, _ in try await migrator.checkAdmission(discovery) },
        Check(
            name: "provisioning",
            summary: "the destination class really makes volumes that a pod can mount",
            runsWithoutDestination: false,
            createsObjects: true
        ) { migrator, discovery, interruption in
            try await migrator.checkProvisioning(discovery, interruption: interruption)
        },
        Check(
            name: "network copies",
            summary: "where no node can mount both volumes, pods of two nodes reach each other with ssh",
            runsWithoutDestination: false,
            createsObjects: true
        ) { migrator, discovery, interruption in
            try await migrator.checkNetworkCopies(discovery, interruption: interruption)
        },
        Check(
            name: "default class",
            summary: "with --set-defaults, no third class is the default one"
        ) { migrator, discovery, _ in migrator.checkDefaultClass(discovery) },
    ]
}

extension Migrator {
    /// Makes all checks, as many side by side as can be, and leaves nothing behind.
    ///
    /// - Returns: everything that stands in the migration's way, by namespace and resource; a check that could not be
    ///   carried out, or was interrupted, is an obstacle too.
    public func preflight(_ discovery: Discovery, interruption: Interruption) async -> [Obstacle] {
        await orWarn("snapshots") { try await warnOfSnapshots(discovery) }
        let hasDestination = discovery.destination(options) != nil
        let checks = Preflight.checks.filter {
            // A rollback makes no new volumes.
            ($0.runsWithoutDestination || hasDestination) && !($0.createsObjects && options.rollsBack)
        }
        var found: Set<Obstacle> = []
        for round in [checks.filter { !$0.createsObjects }, checks.filter(\.createsObjects)] {
            for obstacles in await round.sideBySide({ await carryOut($0, discovery, interruption) }) {
                found.formUnion(obstacles)
            }
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
            if check.createsObjects { return try await check.run(self, discovery, interruption) }
            return try await interruption.cancelling { try await check.run(self, discovery, interruption) }
        } catch is CancellationError {
            // The interruption is said once for all checks.
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
    /// The claims that are yet to be deleted and made anew.
    var claimsToSwap: [ClaimState] {
        units.flatMap(\.claims).filter { $0.sourceClaim?.phase == .bound && !$0.isPastReturn }
    }

    /// The claims that staging claims are yet to be created for, as far as their own state allows it, and there is room
    /// for them before other units are done.
    var claimsToStage: [ClaimState] {
        units.flatMap(\.claims).filter { state in
            guard state.staging == nil, !withoutRoom.contains(state.name) else { return false }
            switch state.next(stagingBindsAtOnce: true) {
            case .protect, .stage: return true
            default: return false
            }
        }
    }
}

/// A result with its place. A struct: with tuples the optimiser of Swift 6.3 made programs that trapped.
private struct Numbered<Value: Sendable>: Sendable {
    var number: Int
    var value: Value
}

extension Sequence where Element: Sendable {
    /// Does something with each element, several at once.
    ///
    /// - Returns: the results, in the elements' order.
    func sideBySide<Result: Sendable>(
        atMost limit: Int = 8,
        _ work: @escaping @Sendable (Element) async -> Result
    ) async -> [Result] {
        await withTaskGroup(of: Numbered<Result>.self) { group in
            var results: [Numbered<Result>] = []
            for (index, element) in enumerated() {
                if index >= limit, let result = await group.next() { results.append(result) }
                group.addTask { Numbered(number: index, value: await work(element)) }
            }
            for await result in group { results.append(result) }
            return results.sorted { $0.number < $1.number }.map(\.value)
        }
    }
}

extension Result where Failure == any Error {
    /// What some work returns or throws, as a value.
    static func of(_ work: () async throws -> Success) async -> Self {
        do { return .success(try await work()) } catch { return .failure(error) }
    }
}
