public import Kubernetes

/// The commands that a person can run on claims: each is one function.
public struct Migrator: Sendable {
    let context: Context

    public var options: Options { context.options }
    /// The namespace of all locks, whatever namespaces a run migrates.
    public static let lockNamespace = "default"

    /// - Parameter client: The client of the cluster, which is both ends.
    /// - Parameter local: This computer, for copies to and from it.
    public init(
        client: Client,
        options: Options,
        limits: Limits = Limits(),
        journal: Journal,
        local: (any LocalEnd)? = nil
    ) {
        self.init(ends: Ends(client), options: options, limits: limits, journal: journal, local: local)
    }

    public init(
        ends: Ends,
        options: Options,
        limits: Limits = Limits(),
        journal: Journal,
        local: (any LocalEnd)? = nil
    ) {
        context = Context(ends: ends, options: options, limits: limits, journal: journal, local: local)
    }

    /// Runs work while no other run migrates from or to one of the two classes.
    ///
    /// Where the caller may not use Leases there is a warning, and no lock. When another run takes a lock, the
    /// interruption is requested.
    ///
    /// - Parameter identity: The holder's identity, as others see it.
    /// - Throws: `Refusal` where a living run holds one of the locks.
    public func exclusively<Value: Sendable>(
        as identity: String,
        interruption: Interruption,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await Locks(context).holding(as: identity, interruption, body)
    }

    /// Lists volumes, claims, pods and workloads, recognises half-done runs, and builds the units. It only reads.
    ///
    /// - Throws: `APIError`.
    public func discover() async throws -> Discovery { try await Discover(context).discover() }

    /// Returns how the cluster differs from a plan; nothing where a run may do what was planned. What an earlier run of the
    /// plan has done is no difference.
    ///
    /// - Throws: `APIError`.
    public func differences(of plan: Plan, _ discovery: Discovery) async throws -> [Obstacle] {
        try await PlanCheck(context).differences(of: plan, discovery)
    }

    /// Makes all checks, and leaves nothing behind.
    ///
    /// - Parameter proceeds: True where `migrate` follows if there are no obstacles; volumes that were made for a trial may
    ///   then be deleted meanwhile.
    /// - Returns: The obstacles of the migration, by namespace and resource. A check that failed or was interrupted is
    ///   an obstacle too.
    public func preflight(
        _ discovery: Discovery,
        interruption: Interruption,
        proceeds: Bool = false
    ) async -> [Obstacle] {
        await Preflight(context).obstacles(discovery, interruption, proceeds: proceeds)
    }

    /// Waits until the volumes of preflight's trials are deleted, where no migration followed it.
    ///
    /// - Returns: The obstacles of those that are not.
    public func awaitRemovedTrials() async -> [Obstacle] { await TrialRemoval(context).awaitFreedStorage() }

    /// Asks the API server for every permission that the run needs.
    ///
    /// Without a discovery it finds out why that failed. A permission that a run can do without is a warning in the
    /// journal.
    public func checkPermissions(_ discovery: Discovery? = nil) async -> [Obstacle] {
        await AccessReviews(context).obstacles(discovery)
    }

    /// Waits until the other namespace has the objects that a transfer waits for.
    ///
    /// It does not wait while something is stopped already.
    ///
    /// - Returns: The discovery; without the units that nothing was begun with, where the objects are missing and others
    ///   are stopped.
    /// - Throws: `WaitTimeout`, `APIError`, or `Refusal` where the API server does not know a kind.
    public func awaitObjects(_ discovery: Discovery) async throws -> Discovery {
        guard options.pipeline.makesTargets, options.handover?.awaited.isEmpty == false else { return discovery }
        let awaited = AwaitedObjects(context)
        guard discovery.units.contains(where: \.isUnderWay) || !discovery.forgotten.isEmpty else {
            try await awaited.wait()
            return try await discover()
        }
        guard let missing = try await awaited.missing() else { return discovery }
        var begun = discovery
        begun.units.removeAll { !$0.isUnderWay }
        context.journal.warn(missing, "is not there yet: only what an earlier run has begun with is finished now")
        return begun
    }

    /// Migrates the discovered units, a few side by side, and always reports the result of each.
    ///
    /// A failing unit is brought back to a safe state and does not keep the others from being migrated.
    public func migrate(_ discovery: Discovery, interruption: Interruption) async -> Report {
        let seesAll = options.selection.namespaces.isEmpty
        return await context.ends.sharingReads(ofAllNamespaces: seesAll) { ends in
            var context = context
            context.ends = ends
            let run = Run(context)
            return await Events(context).sending { await run.migrate(discovery, interruption) }
        }
    }

    /// Takes back every unit that a run left half done: its workloads run on their old volumes, its staging claims are
    /// removed, its source volumes have their reclaim policy again. A claim that is already deleted is finished
    /// instead.
    ///
    /// It also looks for half-done rollbacks.
    ///
    /// - Returns: The result of each claim that bore traces of a run.
    /// - Throws: `APIError` where the cluster cannot be read.
    public func abort() async throws -> Report { try await Abort(context).abort() }

    /// Removes the volumes that are kept for a rollback longer than a given age.
    ///
    /// - Parameters:
    ///   - age: The shortest time that a volume must have been kept.
    ///   - dryRun: True to change nothing and report what would happen to each volume.
    /// - Throws: `APIError` where volumes and claims cannot be listed, `UnreadableSelector`.
    public func cleanup(olderThan age: Duration, dryRun: Bool) async throws -> [Cleaned] {
        try await Cleanup(context).cleanup(olderThan: age, dryRun: dryRun)
    }

    /// Reads a workload as it is now; nil where it is gone or another one has its name.
    public func current(_ workload: Workload) async throws -> Workload? {
        try await Workloads(context).current(workload)
    }
}
