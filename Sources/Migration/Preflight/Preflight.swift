import Kubernetes

/// One check of preflight.
public struct Check: Sendable {
    public let name: String
    /// What it makes sure of, for `--help`.
    public let summary: String
    /// False for a check that says nothing new where the destination class is missing.
    var runsWithoutDestination = true
    /// Finds what stands in the migration's way. It throws where it can't be carried out.
    let run: @Sendable (Migrator, Discovery) async throws -> [Obstacle]
}

/// Preflight: the list that runs is the list that `--help` prints.
public enum Preflight {
    public static let checks: [Check] = [
        Check(name: "storage classes", summary: "source and destination class exist and differ") {
            $0.checkStorageClasses($1)
        },
        Check(name: "permissions", summary: "the caller may do all that the run will do") { migrator, _ in
            await migrator.checkPermissions()
        },
        Check(name: "owners", summary: "claims are bound, and their pods belong to what can be stopped") {
            $1.units.flatMap(\.obstacles)
        },
        Check(name: "names", summary: "staging claims have names of their own, and claims can be carried over") {
            try await $0.checkNames($1)
        },
        Check(
            name: "admission",
            summary: "quotas, limits, Pod Security and webhooks let staging claims and movers in",
            runsWithoutDestination: false
        ) { try await $0.checkAdmission($1) },
        Check(
            name: "provisioning",
            summary: "the destination class really makes volumes that a pod can mount",
            runsWithoutDestination: false
        ) { try await $0.checkProvisioning($1) },
        Check(name: "default class", summary: "with --set-defaults, no third class is the default one") {
            $0.checkDefaultClass($1)
        },
    ]
}

extension Migrator {
    /// Makes all checks side by side, and leaves nothing behind.
    ///
    /// - Returns: everything that stands in the migration's way, by namespace and resource; a check that could not be
    ///   carried out, or was interrupted, is an obstacle too.
    public func preflight(_ discovery: Discovery, interruption: Interruption) async -> [Obstacle] {
        let isReady = checkStorageClasses(discovery).isEmpty || discovery.destination(options) != nil
        let checks = Preflight.checks.filter { $0.runsWithoutDestination || isReady }
        var found: Set<Obstacle> = []
        await withTaskGroup(of: [Obstacle]?.self) { group in
            for check in checks { group.addTask { await carryOut(check, discovery) } }
            group.addTask {
                await interruption.wait()
                return nil
            }
            var open = checks.count
            for await obstacles in group {
                if let obstacles {
                    found.formUnion(obstacles)
                    open -= 1
                }
                // Either all is checked, or the interruption came: what waits is given up then, and cleans up.
                if open == 0 || obstacles == nil { group.cancelAll() }
            }
        }
        if interruption.isRequested {
            found.insert(Obstacle(namespace: nil, resource: "preflight", message: "was interrupted"))
        }
        return found.sorted {
            ($0.namespace, $0.resource, $0.message) < ($1.namespace, $1.resource, $1.message)
        }
    }

    private func carryOut(_ check: Check, _ discovery: Discovery) async -> [Obstacle] {
        do {
            return try await check.run(self, discovery)
        } catch {
            // Given up because of the interruption, which is said once for all checks.
            if Task.isCancelled { return [] }
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
    /// The claims that staging claims are yet to be created for, as far as their own state allows it.
    var claimsToStage: [ClaimState] {
        units.flatMap(\.claims).filter { state in
            guard state.staging == nil, state.claim?.volumeMode != "Block" else { return false }
            switch state.next(stagingBindsAtOnce: true) {
            case .protect, .stage: return true
            default: return false
            }
        }
    }
}

extension Sequence where Element: Sendable {
    /// Does something with each element, several at once.
    ///
    /// - Returns: the results, in the elements' order.
    func sideBySide<Result: Sendable>(
        atMost limit: Int = 8,
        _ work: @escaping @Sendable (Element) async -> Result
    ) async -> [Result] {
        await withTaskGroup(of: (Int, Result).self) { group in
            var results: [(Int, Result)] = []
            for (index, element) in enumerated() {
                if index >= limit, let result = await group.next() { results.append(result) }
                group.addTask { (index, await work(element)) }
            }
            for await result in group { results.append(result) }
            return results.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }
}
