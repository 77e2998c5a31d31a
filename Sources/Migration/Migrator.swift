public import Kubernetes

/// All that a person can have done with claims: each command is one of its functions.
public struct Migrator: Sendable {
    let context: Context

    public var options: Options { context.options }
    /// All runs look for locks in the same place, whatever namespace they migrate.
    public static let lockNamespace = "default"

    /// - Parameter client: of the cluster, which is both ends.
    public init(client: Client, options: Options, limits: Limits = Limits(), journal: Journal) {
        self.init(ends: Ends(client), options: options, limits: limits, journal: journal)
    }

    public init(ends: Ends, options: Options, limits: Limits = Limits(), journal: Journal) {
        context = Context(ends: ends, options: options, limits: limits, journal: journal)
    }

    /// Runs something while no other run migrates from or to one of the two classes.
    ///
    /// Where the caller may not use Leases there is a warning, and no lock. When a lock is lost to another run, the
    /// interruption is requested.
    ///
    /// - Parameter identity: how others see who holds the locks.
    /// - Throws: `Refusal` where another run holds one of the locks and lives.
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

    /// Makes all checks, and leaves nothing behind.
    ///
    /// - Returns: everything that stands in the migration's way, by namespace and resource; a check that could not be
    ///   carried out, or was interrupted, is an obstacle too.
    public func preflight(_ discovery: Discovery, interruption: Interruption) async -> [Obstacle] {
        await Preflight(context).obstacles(discovery, interruption)
    }

    /// Asks the API server for every permission that the run needs.
    ///
    /// It can do without a discovery, to say why that failed. What a run can do without is a warning in the journal.
    public func checkPermissions(_ discovery: Discovery? = nil) async -> [Obstacle] {
        await AccessReviews(context).obstacles(discovery)
    }

    /// Migrates what discovery found, a few units side by side, and always says what became of each.
    ///
    /// A failing unit is brought back to a safe state and doesn't keep the others from being migrated.
    public func migrate(_ discovery: Discovery, interruption: Interruption) async -> Report {
        let seesAll = options.selection.namespaces.isEmpty
        return await context.ends.sharingReads(ofAllNamespaces: seesAll) { ends in
            var context = context
            context.ends = ends
            let run = Run(context)
            return await Events(context).sending { await run.migrate(discovery, interruption) }
        }
    }

    /// Takes every unit that a run has left half done back to where it was: its workloads run on their old volumes, its
    /// staging claims are removed, its source volumes have their reclaim policy again. A claim that is deleted
    /// already is finished instead.
    ///
    /// It looks at the way back too, as a rollback may have been left half done.
    ///
    /// - Returns: what became of each claim that bore traces of a run.
    /// - Throws: `APIError` where the cluster can't be looked at.
    public func abort() async throws -> Report { try await Abort(context).abort() }

    /// Removes the volumes that are kept for a rollback longer than some days.
    ///
    /// - Parameters:
    ///   - age: how long a volume must have been kept at least.
    ///   - dryRun: nothing is changed; what would become of each volume is said.
    /// - Throws: `APIError` where volumes and claims can't be listed, `UnreadableSelector`.
    public func cleanup(olderThan age: Duration, dryRun: Bool) async throws -> [Cleaned] {
        try await Cleanup(context).cleanup(olderThan: age, dryRun: dryRun)
    }

    /// Reads a workload as it is now, or nil where it is gone or another one has its name.
    public func current(_ workload: Workload) async throws -> Workload? {
        try await Workloads(context).current(workload)
    }
}
