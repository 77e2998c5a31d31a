public import Kubernetes
import Synchronization

/// Watches a run from outside, by what it leaves in the cluster: its locks, its marks, and its log where it is a pod.
public struct Follower: Sendable {
    public enum News: Sendable {
        /// The status is another one now.
        case status(MigrationStatus)
        /// A line of the run's own log.
        case log(String)
    }

    /// The label of pods that run this program, and the name of their container.
    public static let podLabel = (name: "app.kubernetes.io/name", value: "pvmigrate")
    public static let container = "pvmigrate"

    /// A wait without an end of its own: somebody cancels it.
    private static let forever = Duration.seconds(1 << 31)
    /// What happens at once is told of at once: a status is read no more often than this.
    private static let pause = Duration.seconds(1)
    /// The time after which a holder that does not renew its locks seems dead.
    private static let patience = Locks.lease * 2

    private let client: Client
    private let scope: MigrationStatus.Scope
    private let reader: StatusReader
    private var time: TimeSource { client.time }

    public init(_ client: Client, _ scope: MigrationStatus.Scope) {
        (self.client, self.scope) = (client, scope)
        reader = StatusReader(client)
    }

    /// Tells what changes until no run is at work.
    ///
    /// - Returns: The last status.
    /// - Throws: `APIError`, `UnreadableSelector`.
    public func follow(_ tell: @escaping @Sendable (News) -> Void) async throws -> MigrationStatus {
        let (changes, change) = AsyncThrowingStream<Void, any Error>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let holders = Holders()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            let watches: [@Sendable () async throws -> Void] =
                [
                    { try await watchLocks(holders, change) }, { try await awaitSilence(of: holders, change) },
                    { try await watchVolumes(change) },
                ] + scope.selection.places.flatMap { watchers(in: $0, change) }
            for watch in watches {
                group.addTask {
                    do { try await watch() } catch is CancellationError {} catch { change.finish(throwing: error) }
                }
            }
            var followed: Set<String> = []
            for try await _ in changes {
                let status = try await reader.status(scope)
                tell(.status(status))
                guard let now = holders.atWork else { continue }
                if now.isEmpty { return status }
                for holder in now where followed.insert(holder).inserted {
                    group.addTask { await followLog(of: holder, tell) }
                }
                try await time.sleep(time.now() + Self.pause)
            }
            throw CancellationError()
        }
    }

    // MARK: Watches

    private typealias Change = AsyncThrowingStream<Void, any Error>.Continuation

    /// The holders of the locks, as they were last heard of.
    private final class Holders: Sendable {
        private struct State {
            /// The holder of each lock, with the version of its Lease; nil before the first list.
            var locks: [String: (holder: String, version: String)]?
            var heard: Duration = .zero
            var isSilent = false
        }

        private let state = Mutex(State())

        /// Those that are at work, as far as is known; nil before that is known.
        var atWork: Set<String>? {
            state.withLock { state in
                state.isSilent
                    ? [] : state.locks.map { locks in Set(locks.values.map(\.holder).filter { !$0.isEmpty }) }
            }
        }
        var heard: Duration { state.withLock { $0.heard } }

        /// Takes down the locks.
        ///
        /// - Returns: True where others hold them than before.
        func take(_ locks: [String: (holder: String, version: String)], at now: Duration) -> Bool {
            state.withLock { state in
                let known = state.locks
                state.locks = locks
                if known?.mapValues(\.version) != locks.mapValues(\.version) { state.heard = now }
                return known?.mapValues(\.holder) != locks.mapValues(\.holder)
            }
        }

        func fallSilent() { state.withLock { $0.isSilent = true } }
    }

    private func watchLocks(_ holders: Holders, _ change: Change) async throws {
        let asked = [scope.sourceClass, scope.destinationClass].compactMap(\.self)
        try await client.wait(
            for: Lease.self,
            in: Migrator.lockNamespace,
            where: { $0.metadata.name.hasPrefix(Marks.lockPrefix) },
            limit: Self.forever,
            what: "locks"
        ) { snapshot -> Void? in
            let leases = snapshot.objects.values.filter { lease in
                asked.isEmpty || asked.contains { lease.metadata.name == Marks.lockPrefix + $0 }
            }
            let locks = leases.map {
                ($0.metadata.name, (holder: $0.spec.holderIdentity ?? "", version: $0.metadata.resourceVersion))
            }
            if holders.take(Dictionary(locks) { $1 }, at: time.now()) { change.yield() }
            return nil
        }
    }

    /// Returns when no lock was renewed for so long that the run seems dead.
    private func awaitSilence(of holders: Holders, _ change: Change) async throws {
        var due = time.now() + Self.patience
        while time.now() < due {
            try await time.sleep(due)
            due = holders.heard + Self.patience
        }
        holders.fallSilent()
        change.yield()
    }

    private func watchVolumes(_ change: Change) async throws {
        try await watch(PersistentVolume.self, of: .volumes, in: nil, change) { volume in
            let claim = volume.spec.claimRef
            return ["\(volume.phase)", "\(volume.reclaimPolicy)", claim?.name ?? "", claim?.uid ?? ""]
        }
    }

    private func watchers(in place: String?, _ change: Change) -> [@Sendable () async throws -> Void] {
        let claims: @Sendable () async throws -> Void = {
            try await watch(PersistentVolumeClaim.self, of: .claims, in: place, change) { claim in
                ["\(claim.phase)", claim.spec.volumeName ?? ""]
            }
        }
        return [claims]
            + Workload.ownKinds.map { kind -> @Sendable () async throws -> Void in
                { @Sendable in
                    do {
                        try await watch(WorkloadObject.self, of: kind, in: place, change) { workload in
                            ["\(workload.metadata.generation ?? 0)"]
                        }
                    } catch let error as APIError where error.reason == .forbidden {
                        // The status says that it can't look at them.
                    }
                }
            }
    }

    /// Tells of each change of what a status is derived from.
    ///
    /// - Parameter facts: Returns what counts of an object besides its marks.
    private func watch<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource,
        in place: String?,
        _ change: Change,
        _ facts: @escaping @Sendable (Object) -> [String]
    ) async throws {
        var known: [String: [String]]?
        try await client.wait(
            for: type,
            of: resource,
            in: place,
            limit: Self.forever,
            what: resource.plural
        ) { snapshot -> Void? in
            let now = snapshot.objects.mapValues { object in
                let marks = (object.metadata.annotations ?? [:]).filter { Marks.isOurs($0.key) }
                return marks.map { "\($0)=\($1)" }.sorted() + [object.metadata.deletionTimestamp ?? ""] + facts(object)
            }
            if known != now { change.yield() }
            known = now
            return nil
        }
    }

    // MARK: The log

    /// Tells the log of a holder that is a pod. Where there is none, or nobody may read it, the marks tell enough.
    private func followLog(of holder: String, _ tell: @escaping @Sendable (News) -> Void) async {
        guard let host = holder.split(separator: " ").first.map(String.init) else { return }
        let name = ObjectName(host, in: Migrator.lockNamespace)
        do {
            guard let pod = try await client.find(Pod.self, name),
                pod.metadata.labels?[Self.podLabel.name] == Self.podLabel.value
            else { return }
            try await client.followLog(of: name, container: Self.container, tail: 10, silence: .seconds(3600)) { line in
                tell(.log(line))
            }
        } catch {
            // It is as if there were none.
        }
    }
}
