import Kubernetes
import FoundationEssentials

/// The Lease that keeps a second run from migrating the same class (coordination.k8s.io/v1).
///
/// A holder renews it every 5 s. Whoever finds it held looks on for as long as a lease lasts: if it is renewed in that
/// time, its holder lives. So no two clocks have to agree.
struct Lease: KubernetesObject {
    static let resource = APIResource.leases

    struct Spec: Decodable {
        var holderIdentity: String?
        var acquireTime: String?
        var renewTime: String?
        var leaseDurationSeconds: Int?
    }
    var metadata: ObjectMeta
    var spec: Spec
}

extension Migrator {
    /// All runs look in the same place, whatever namespace they migrate.
    public static let lockNamespace = "default"
    /// What a lock's name begins with; the source class follows.
    static let lockPrefix = "pvmigrate-"
    private static let lease: Duration = .seconds(15)
    private static let renewal: Duration = .seconds(5)

    /// Runs something while no other run migrates the same source class.
    ///
    /// Where the caller may not use Leases there is a warning, and no lock. When the lock is lost to another run, the
    /// interruption is requested.
    ///
    /// - Parameter identity: how others see who holds the lock.
    /// - Throws: `Refusal` where another run holds the lock and lives.
    public func exclusively<Value: Sendable>(
        as identity: String,
        interruption: Interruption,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let lock: ObjectMeta?
        do {
            lock = try await acquire(as: identity)
        } catch let error as APIError where error.reason == .forbidden {
            journal.warn("", "no lock against a second run: \(error.message)")
            lock = nil
        }
        guard let lock else { return try await body() }
        let end = await withTaskGroup(of: Ending<Value>.self) { group in
            group.addTask {
                do { return .body(.success(try await body())) } catch { return .body(.failure(error)) }
            }
            group.addTask { .lock(await keep(lock, as: identity, interruption: interruption)) }
            var end = End<Value>()
            for await ending in group {
                switch ending {
                case .body(let result):
                    end.result = result
                    group.cancelAll()
                case .lock(let lock): end.lock = lock
                }
            }
            return end
        }
        if let lock = end.lock { await release(lock, as: identity) }
        return try end.result.get()
    }

    private struct End<Value: Sendable>: Sendable {
        var result: Result<Value, any Error> = .failure(CancellationError())
        var lock: ObjectMeta?
    }

    private enum Ending<Value: Sendable>: Sendable {
        case body(Result<Value, any Error>)
        /// As it was when it was renewed last; nil where it was lost.
        case lock(ObjectMeta?)
    }

    /// Removes the lock, unless another has it by now. Where that fails for a while it stays, and ends by itself.
    private func release(_ last: ObjectMeta, as identity: String) async {
        do {
            try await time.within(.seconds(5), what: "the API server") {
                var lock = last
                var backoff = Backoff()
                while true {
                    do {
                        let version = lock.resourceVersion
                        try await client.delete(.leases, lockName, uid: lock.uid, resourceVersion: version)
                        return
                    } catch let error as APIError where error.reason == .conflict {
                        // A renewal whose answer did not come; or somebody else has it.
                        guard let now = try await client.find(Lease.self, lockName),
                            now.spec.holderIdentity == identity
                        else { return }
                        lock = now.metadata
                    } catch let error as APIError {
                        journal.warn("Lease \(lockName)", "is not removed yet: \(error)")
                        try await time.sleep(time.now() + backoff.next())
                    }
                }
            }
        } catch {
            journal.warn("Lease \(lockName)", "could not be removed, it ends by itself: \(error)")
        }
    }

    private var lockName: ObjectName {
        ObjectName(String((Self.lockPrefix + options.wayThere.source).prefix(253)), in: Self.lockNamespace)
    }

    private func acquire(as identity: String) async throws -> ObjectMeta {
        let manifest: JSON = [
            "apiVersion": .string(APIResource.leases.apiVersion), "kind": "Lease",
            "metadata": ["name": .string(lockName.name), "namespace": .string(Self.lockNamespace)],
            "spec": holding(identity, acquired: true),
        ]
        for _ in 1...10 {
            do {
                try await client.create(.leases, in: Self.lockNamespace, manifest)
            } catch let error as APIError where Self.isWorthAnotherLook(error) {
                // Held by another, or by us where the answer got lost.
            }
            guard let held = try await client.find(Lease.self, lockName) else { continue }
            if held.spec.holderIdentity == identity { return held.metadata }
            if held.spec.holderIdentity?.isEmpty ?? true {
                if let taken = try await take(held, as: identity) { return taken }
                continue
            }
            if let taken = try await takeOver(held, as: identity) { return taken }
        }
        throw Refusal("the lock Lease \(lockName) could not be had; somebody else keeps changing it")
    }

    /// Looks on whether the holder lives, and takes the lock where it doesn't.
    private func takeOver(_ held: Lease, as identity: String) async throws -> ObjectMeta? {
        let holder = held.spec.holderIdentity ?? "?"
        let since = held.spec.acquireTime ?? "?"
        journal.info(
            "",
            "the lock of this class is held by \(holder) since \(since); looking whether it is still at work"
        )
        do {
            try await client.wait(
                for: Lease.self,
                in: Self.lockNamespace,
                named: lockName.name,
                limit: Self.lease,
                what: "Lease \(lockName) to change"
            ) { snapshot in
                guard let now = snapshot.objects[held.metadata.uid] else { return () }
                return now.metadata.resourceVersion == held.metadata.resourceVersion ? nil : ()
            }
        } catch is WaitTimeout {
            journal.warn("", "\(holder) has not renewed the lock and seems dead; taking over")
            return try await take(held, as: identity)
        }
        guard let now = try await client.find(Lease.self, lockName) else { return nil }
        throw Refusal(
            "another pvmigrate is migrating the class \(options.wayThere.source): \(now.spec.holderIdentity ?? holder), since "
                + "\(now.spec.acquireTime ?? since). Wait until it has ended"
        )
    }

    private func take(_ held: Lease, as identity: String) async throws -> ObjectMeta? {
        do {
            return try await client.patch(
                Lease.self,
                lockName,
                .merge(onto: held.metadata, ["spec": holding(identity, acquired: true)])
            ).metadata
        } catch let error as APIError where Self.isWorthAnotherLook(error) {
            return nil
        }
    }

    private func holding(_ identity: String, acquired: Bool) -> JSON {
        let now = JSON.string(microTime)
        var spec: JSON = [
            "holderIdentity": .string(identity),
            "leaseDurationSeconds": .integer(Int64(Self.lease.components.seconds)), "renewTime": now,
        ]
        if acquired { spec["acquireTime"] = now }
        return spec
    }

    /// Renews the lock until the task is cancelled, or until another has it.
    ///
    /// - Returns: the lock as it was last; nil where it was lost.
    private func keep(_ lock: ObjectMeta, as identity: String, interruption: Interruption) async -> ObjectMeta? {
        var lock = lock
        while !Task.isCancelled {
            do {
                try await time.sleep(time.now() + Self.renewal)
                // The UID and the holder are tested: a lock that is no longer ours is not renewed.
                lock = try await client.patch(
                    Lease.self,
                    lockName,
                    .json([
                        ["op": "test", "path": "/metadata/uid", "value": .string(lock.uid)],
                        ["op": "test", "path": "/spec/holderIdentity", "value": .string(identity)],
                        ["op": "replace", "path": "/spec/renewTime", "value": .string(microTime)],
                    ])
                ).metadata
            } catch let error as APIError where [.invalid, .notFound, .conflict].contains(error.reason) {
                await tellLoss()
                interruption.request()
                return nil
            } catch is CancellationError {
                return lock
            } catch {
                // The server is away for the moment; so it is for the others.
                journal.warn("", "the lock could not be renewed: \(error)")
            }
        }
        return lock
    }

    private func tellLoss() async {
        var holder: Lease?
        do { holder = try await client.find(Lease.self, lockName) } catch {
            journal.warn("Lease \(lockName)", "who has it now can't be told: \(error)")
        }
        let whose =
            holder.map { "is held by \($0.spec.holderIdentity ?? "?") since \($0.spec.acquireTime ?? "?")" }
            ?? "was deleted by somebody"
        journal.error("Lease \(lockName)", "the lock \(whose); this run begins nothing more and ends")
    }

    /// The time of day as a `metav1.MicroTime`, which has exactly six decimals.
    private var microTime: String {
        let micros = Int64((time.timeOfDay.timeIntervalSince1970 * 1e6).rounded(.down))
        let whole = Date(timeIntervalSince1970: Double(micros / 1_000_000)).formatted(.iso8601)
        let digits = String(String(1_000_000 + micros % 1_000_000).dropFirst())
        return whole.replacing("Z", with: ".\(digits)Z")
    }
}
