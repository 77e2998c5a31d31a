import FoundationEssentials
import Kubernetes

/// A sighting of a lock that another run holds, with its time.
struct LockSighting: Sendable {
    var version: String
    var since: Duration
}

extension Locks {
    /// Takes a lock. Where another run holds it, watches whether that run lives.
    ///
    /// - Parameters:
    ///   - others: The locks to be taken next. They are watched together with this one, so a dead run that held all of
    ///     them is waited for once.
    ///   - seen: The sightings of locks so far.
    /// - Throws: `Refusal` where the other run lives.
    func acquire(
        _ lock: ClassLock,
        before others: ArraySlice<ClassLock>,
        _ seen: inout [ClassLock.ID: LockSighting]
    ) async throws -> ObjectMeta {
        var manifest = hold(on: lock)
        manifest["apiVersion"] = .string(APIResource.leases.apiVersion)
        manifest["kind"] = "Lease"
        manifest[path: ["metadata", "name"]] = .string(lock.name.name)
        manifest[path: ["metadata", "namespace"]] = .string(Migrator.lockNamespace)
        for _ in 1...10 {
            do {
                try await lock.client.create(.leases, in: Migrator.lockNamespace, manifest)
            } catch let error as APIError where error.isWorthAnotherLook {
                // Held by another, or by us where the answer got lost.
            }
            guard let held = try await lock.client.find(Lease.self, lock.name) else { continue }
            if held.spec.holderIdentity == lock.identity { return held.metadata }
            if held.spec.holderIdentity?.isEmpty ?? true {
                if let taken = try await take(held, lock) { return taken }
                continue
            }
            if let taken = try await takeOver(held, lock, before: others, &seen) { return taken }
        }
        throw Refusal("the lock \(lock.title) could not be had; somebody else keeps changing it")
    }

    /// Watches whether the holder lives, and takes the lock where it does not.
    private func takeOver(
        _ held: Lease,
        _ lock: ClassLock,
        before others: ArraySlice<ClassLock>,
        _ seen: inout [ClassLock.ID: LockSighting]
    ) async throws -> ObjectMeta? {
        let holder = held.spec.holderIdentity ?? "?"
        let end = try await sighting(of: held, lock, before: others, &seen).since + Self.lease
        if end > time.now() {
            journal.info(
                "",
                "the lock of the class \(lock.storageClass) is held by \(holder) since "
                    + "\(held.spec.acquireTime ?? "?"); looking whether it is still at work"
            )
        }
        do {
            try await lock.client.wait(
                for: Lease.self,
                in: Migrator.lockNamespace,
                named: lock.name.name,
                limit: max(.zero, end - time.now()),
                what: "\(lock.title) to change"
            ) { snapshot in
                guard let now = snapshot.objects[held.metadata.uid] else { return () }
                return now.metadata.resourceVersion == held.metadata.resourceVersion ? nil : ()
            }
        } catch is WaitTimeout {
            journal.warn(
                "",
                "\(holder) has not renewed the lock of the class \(lock.storageClass) and seems dead; taking over"
            )
            return try await take(held, lock)
        }
        guard let now = try await lock.client.find(Lease.self, lock.name) else { return nil }
        throw Refusal(
            "another pvmigrate is at work on the class \(lock.storageClass)\(now.classesInWords): "
                + "\(now.spec.holderIdentity ?? holder), since \(now.spec.acquireTime ?? held.spec.acquireTime ?? "?"). "
                + "Wait until it has ended"
        )
    }

    /// Returns the first sighting of the lock in its present version. It also looks at the other held locks.
    private func sighting(
        of held: Lease,
        _ lock: ClassLock,
        before others: ArraySlice<ClassLock>,
        _ seen: inout [ClassLock.ID: LockSighting]
    ) async throws -> LockSighting {
        let version = held.metadata.resourceVersion
        let sighting = seen[lock.id].flatMap { $0.version == version ? $0 : nil }
        for other in others {
            guard let lease = try await other.client.find(Lease.self, other.name) else { continue }
            let version = lease.metadata.resourceVersion
            if seen[other.id]?.version != version {
                seen[other.id] = LockSighting(version: version, since: time.now())
            }
        }
        return sighting ?? LockSighting(version: version, since: time.now())
    }

    private func take(_ held: Lease, _ lock: ClassLock) async throws -> ObjectMeta? {
        do {
            return try await lock.client.patch(
                Lease.self,
                lock.name,
                .merge(onto: held.metadata, hold(on: lock))
            ).metadata
        } catch let error as APIError where error.isWorthAnotherLook {
            return nil
        }
    }

    /// Returns the spec of a Lease at the beginning of a hold.
    private func hold(on lock: ClassLock) -> JSON {
        let now = JSON.string(time.microTime)
        return [
            "metadata": ["annotations": .object([Marks.classes: .string(lock.classes)])],
            "spec": [
                "holderIdentity": .string(lock.identity),
                "leaseDurationSeconds": .integer(Int64(Self.lease.components.seconds)), "renewTime": now,
                "acquireTime": now,
            ],
        ]
    }
}

extension TimeSource {
    /// The time of day as a `metav1.MicroTime`, which has exactly six decimals.
    var microTime: String {
        let micros = Int64((timeOfDay.timeIntervalSince1970 * 1e6).rounded(.down))
        let whole = Date(timeIntervalSince1970: Double(micros / 1_000_000)).formatted(.iso8601)
        let digits = String(String(1_000_000 + micros % 1_000_000).dropFirst())
        return whole.replacing("Z", with: ".\(digits)Z")
    }
}

extension Lease {
    /// The classes of the lock's run, where they are known.
    fileprivate var classesInWords: String { classes.map { " (from \($0.source) to \($0.destination))" } ?? "" }
}
