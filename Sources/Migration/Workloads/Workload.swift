public import Kubernetes

/// What owns pods and can be stopped and started again by its scale.
public struct Workload: Sendable, Equatable {
    public enum Kind: String, Sendable {
        case statefulSet = "StatefulSet"
        case deployment = "Deployment"
    }

    public var kind: Kind
    public var metadata: ObjectMeta
    public var replicas: Int
    /// The names of the claims that its pods mount at its scale, or would at the scale that it had.
    public var claimNames: Set<String>
    /// True where scaling it down would delete its claims (a StatefulSet's `whenScaled: Delete`).
    public var deletesClaims = false
    /// True when all its pods run and are ready, at the scale that it has now.
    public var isReady: Bool

    public var name: ObjectName { ObjectName(metadata.name, in: metadata.namespace) }
    public var title: String { "\(kind.rawValue) \(name)" }

    /// The scale that it had before it was stopped, where it was stopped by a migration.
    ///
    /// - Throws: `Refusal` where somebody wrote something else there.
    public func markedScale() throws(Refusal) -> Int? {
        guard let text = metadata.annotation(Marks.scale) else { return nil }
        // As a scale is an int32 to the API.
        guard let scale = Int32(text), scale >= 0 else {
            throw Refusal(
                "the annotation \(Marks.scale) is \"\(text.shortened(to: 100))\", which is no number of replicas"
            )
        }
        return Int(scale)
    }

    /// The one patch that stops it: the scale is written down and set to zero. Nil where it is stopped already.
    ///
    /// A scale that was written down before is kept: it is the one from before the first of several runs.
    func stopPatch() -> Patch? {
        guard replicas > 0 else { return nil }
        var change: JSON = ["spec": ["replicas": 0]]
        var annotations: [String: JSON] = [:]
        if metadata.annotation(Marks.scale) == nil { annotations[Marks.scale] = .string(String(replicas)) }
        if deletesClaims {
            annotations[Marks.whenScaled] = "Delete"
            change[path: ["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"]] = "Retain"
        }
        change[path: ["metadata", "annotations"]] = .object(annotations)
        return .merge(onto: metadata, change)
    }

    /// The one patch that starts it again and removes the mark. Nil where it bears none.
    ///
    /// - Throws: `Refusal` where the mark is no number.
    func startPatch() throws(Refusal) -> Patch? {
        guard let scale = try markedScale() else { return nil }
        var change: JSON = ["metadata": ["annotations": .object([Marks.scale: .null])]]
        // Where somebody has started it in the meantime, the scale is theirs.
        if replicas == 0 { change["spec"] = ["replicas": .integer(Int64(scale))] }
        if metadata.annotation(Marks.whenScaled) == "Delete" {
            change[path: ["metadata", "annotations", Marks.whenScaled]] = .null
            change[path: ["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"]] = "Delete"
        }
        return .merge(onto: metadata, change)
    }
}

extension Client {
    /// Reads a workload as it is now, or nil where it is gone or another one has its name.
    func current(_ workload: Workload) async throws -> Workload? {
        let found: Workload? =
            switch workload.kind {
            case .statefulSet: try await find(StatefulSet.self, workload.name).map(Workload.init)
            case .deployment: try await find(Deployment.self, workload.name).map(Workload.init)
            }
        return found?.metadata.uid == workload.metadata.uid ? found : nil
    }

    /// Changes a workload and returns it as it is then.
    func patch(_ workload: Workload, _ patch: Patch) async throws -> Workload {
        switch workload.kind {
        case .statefulSet: Workload(try await self.patch(StatefulSet.self, workload.name, patch))
        case .deployment: Workload(try await self.patch(Deployment.self, workload.name, patch))
        }
    }

    /// Waits until a workload is as somebody wants it; a workload that is gone is nil.
    func wait(
        for workload: Workload,
        limit: Duration,
        what: String,
        until condition: (Workload?) -> Bool
    ) async throws {
        func check(_ found: Workload?) -> Bool? { condition(found) ? true : nil }
        let (namespace, name) = (workload.name.namespace, workload.name.name)
        switch workload.kind {
        case .statefulSet:
            _ = try await wait(for: StatefulSet.self, in: namespace, named: name, limit: limit, what: what) {
                check($0.object(named: name).map(Workload.init))
            }
        case .deployment:
            _ = try await wait(for: Deployment.self, in: namespace, named: name, limit: limit, what: what) {
                check($0.object(named: name).map(Workload.init))
            }
        }
    }
}
