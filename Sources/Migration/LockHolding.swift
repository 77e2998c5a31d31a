import Kubernetes

/// The locks of a run.
struct Locks: Sendable {
    private let clusters: [ClusterEnd]
    private let source: Client
    private let options: Options
    let journal: Journal
    private let findings: Findings
    let time: TimeSource

    init(_ context: Context) {
        (clusters, source, options) = (context.ends.clusters, context.source, context.options)
        (journal, findings, time) = (context.journal, context.findings, context.time)
    }

    static let lease: Duration = .seconds(15)
    private static let renewal: Duration = .seconds(5)

    /// Runs work while no other run migrates from or to one of the classes, at either end.
    ///
    /// - Parameter identity: The holder's identity, as others see it.
    func holding<Value: Sendable>(
        as identity: String,
        _ interruption: Interruption,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let classes = try await storageClasses()
        let locks = clusters.flatMap { options.locks(of: classes, as: identity, in: $0) }
        return try await holding(locks[...], seen: [:], interruption, body)
    }

    /// Returns the classes of a run. Those of a transfer, and of a copy to or from this computer, are its claims', and
    /// those of volumes that it has begun with.
    private func storageClasses() async throws -> Set<String> {
        guard !options.hasClasses else { return [options.sourceClass, options.destinationClass] }
        async let claims = SelectedObjects(source, options.selection).listReadable(PersistentVolumeClaim.self)
        async let volumes = source.list(PersistentVolume.self)
        // Claims without a class share a lock. A class of that name shares it, too, which does no harm.
        let sources =
            try await claims.items.filter { options.selection.whatLeavesOut($0.name) == nil }
            .map { $0.storageClassName ?? Self.classless }
            + (try await volumes).filter { volume in
                let name = Seal(of: volume)?.name ?? Origin(volume)?.name
                return name.map { options.selection.whatLeavesOut($0) == nil } == true
            }
            .map { $0.spec.storageClassName ?? Self.classless }
        let all = sources + (options.handover.map { handover in sources.map { handover.storageClass(for: $0) } } ?? [])
        return Set(all.compactMap { $0?.isEmpty == true ? Self.classless : $0 })
    }
    private static let classless = "no-class"

    /// Runs work while it holds some locks. Each is renewed while the next one is awaited.
    private func holding<Value: Sendable>(
        _ locks: ArraySlice<ClassLock>,
        seen: [ClassLock.ID: LockSighting],
        _ interruption: Interruption,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard let lock = locks.first else { return try await body() }
        let others = locks.dropFirst()
        let held: ObjectMeta
        var sightings = seen
        do {
            held = try await acquire(lock, before: others, &sightings)
        } catch let error as APIError where error.reason == .forbidden {
            journal.warn("", "no lock against a second run: \(error.message)")
            return try await body()
        }
        let known = sightings
        let began = time.now()
        findings.note { $0.locks[lock.id] = HeldLock(lock: lock, renewed: began) }
        let end = await withTaskGroup(of: Finished<Value>.self) { group in
            group.addTask { .body(await .of { try await holding(others, seen: known, interruption, body) }) }
            group.addTask { .lock(await keep(lock, held, interruption: interruption)) }
            var end = Both<Value>()
            for await ending in group {
                switch ending {
                case .body(let result):
                    end.result = result
                    group.cancelAll()
                case .lock(let held): end.lock = held
                }
            }
            return end
        }
        findings.note { $0.locks[lock.id] = nil }
        if let last = end.lock { await release(lock, last) }
        return try end.result.get()
    }

    private struct Both<Value: Sendable>: Sendable {
        var result: Result<Value, any Error> = .failure(CancellationError())
        var lock: ObjectMeta?
    }

    private enum Finished<Value: Sendable>: Sendable {
        case body(Result<Value, any Error>)
        /// The lock at its last renewal; nil where it was lost.
        case lock(ObjectMeta?)
    }

    /// Removes the lock, unless another run has it. Where that keeps failing, the lock stays and expires.
    private func release(_ lock: ClassLock, _ last: ObjectMeta) async {
        do {
            try await time.within(.seconds(5), what: "the API server") {
                var held = last
                var backoff = Backoff()
                while true {
                    do {
                        let version = held.resourceVersion
                        try await lock.client.delete(.leases, lock.name, uid: held.uid, resourceVersion: version)
                        return
                    } catch let error as APIError where error.reason == .conflict {
                        // The answer to a renewal was lost, or another run has the lock.
                        guard let now = try await lock.client.find(Lease.self, lock.name),
                            now.spec.holderIdentity == lock.identity
                        else { return }
                        held = now.metadata
                    } catch let error as APIError {
                        journal.warn(lock.title, "is not removed yet: \(error)")
                        try await time.sleep(time.now() + backoff.next())
                    }
                }
            }
        } catch {
            journal.warn(lock.title, "could not be removed, it ends by itself: \(error)")
        }
    }

    /// Renews the lock until the task is cancelled or another run has the lock.
    ///
    /// - Returns: The last version of the lock; nil where it was lost.
    private func keep(_ lock: ClassLock, _ taken: ObjectMeta, interruption: Interruption) async -> ObjectMeta? {
        var held = taken
        while !Task.isCancelled {
            do {
                try await time.sleep(time.now() + Self.renewal)
                let asked = time.now()
                // The patch tests UID and holder, so a lock that is no longer ours is not renewed.
                held = try await lock.client.patch(
                    Lease.self,
                    lock.name,
                    .json([
                        ["op": "test", "path": "/metadata/uid", "value": .string(held.uid)],
                        ["op": "test", "path": "/spec/holderIdentity", "value": .string(lock.identity)],
                        ["op": "replace", "path": "/spec/renewTime", "value": .string(time.microTime)],
                    ])
                ).metadata
                findings.note { $0.locks[lock.id]?.renewed = asked }
            } catch let error as APIError where [.invalid, .notFound, .conflict].contains(error.reason) {
                await tellLoss(of: lock)
                interruption.request()
                return nil
            } catch is CancellationError {
                return held
            } catch {
                // The server is away, and it is away for other runs too.
                journal.warn("", "the lock of the class \(lock.storageClass) could not be renewed: \(error)")
            }
        }
        return held
    }

    /// Checks that no other run took this one for dead, which can happen where the process was suspended.
    ///
    /// - Throws: `Refusal` where another run has a lock; `APIError` where the locks cannot be read.
    func confirm() async throws {
        for held in findings.all.locks.values where time.now() - held.renewed >= Self.lease {
            let lease = try await held.lock.client.find(Lease.self, held.lock.name)
            guard lease?.spec.holderIdentity == held.lock.identity else {
                throw Refusal(
                    "this run stood still, and \(lease?.spec.holderIdentity ?? "somebody") has taken its lock of the class "
                        + "\(held.lock.storageClass); nothing is deleted. See what that run says"
                )
            }
        }
    }

    private func tellLoss(of lock: ClassLock) async {
        var holder: Lease?
        do { holder = try await lock.client.find(Lease.self, lock.name) } catch {
            journal.warn(lock.title, "who has it now can't be told: \(error)")
        }
        let whose =
            holder.map { "is held by \($0.spec.holderIdentity ?? "?") since \($0.spec.acquireTime ?? "?")" }
            ?? "was deleted by somebody"
        journal.error(lock.title, "the lock \(whose); this run begins nothing more and ends")
    }
}
