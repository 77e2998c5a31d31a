import Kubernetes

/// Handles the pods of copies from their creation to their removal.
struct MoverPods: Sendable {
    private var client: Client
    private let limits: Limits
    private let findings: Findings
    /// The time that a deleted mover may take to be gone. It has nothing to finish.
    private static let end: Duration = .seconds(60)

    init(_ context: Context) {
        (client, limits, findings) = (context.destination, context.limits, context.findings)
    }

    /// Returns the same with another client.
    func using(_ client: Client) -> MoverPods {
        var other = self
        other.client = client
        return other
    }

    /// Removes the pods of a claim's copies that an earlier run left behind, so that their names are this run's alone.
    ///
    /// - Parameter own: A pod that is this run's.
    func removeLeftovers(of state: ClaimState, except own: Pod? = nil) async throws {
        try await withThrowingTaskGroup { group in
            for name in state.namesOfMovers { group.addTask { try await removeLeftover(name, except: own) } }
            try await group.waitForAll()
        }
    }

    /// Removes a pod of a copy that has a name.
    func removeLeftover(_ name: ObjectName, except own: Pod? = nil) async throws {
        guard let leftover = try await client.find(Pod.self, name), leftover.metadata.uid != own?.metadata.uid else {
            return
        }
        guard leftover.isOfCopy else {
            throw Failure(
                place: leftover.title,
                reason: "has the name of a mover and is none; it is left untouched. Delete it, and run again"
            )
        }
        try await remove(leftover)
    }

    /// Adds advice to the error where a pod of a copy is refused.
    func explaining<Value>(_ state: ClaimState, _ create: () async throws -> Value) async throws -> Value {
        do {
            return try await create()
        } catch let error as APIError where error.reason == .forbidden {
            let advice = MoverExit.advice(refusal: error.message, namespace: state.name.namespace ?? "")
            throw Failure(place: state.title, reason: "\(error)" + (advice.map { "\n  advice: \($0)" } ?? ""))
        }
    }

    /// Waits until the mover's first container has started. It may have ended by then.
    ///
    /// - Parameter untilEnd: True to wait until it has ended.
    /// - Returns: The mover at that time. Where somebody deletes it, it is terminating, or nil.
    func awaitStart(of pod: Pod, _ mover: MoverPod, untilEnd: Bool = false) async throws -> Pod? {
        var last: Pod = pod
        do {
            let started: Pod? = try await client.wait(
                for: Pod.self,
                in: pod.name.namespace,
                named: pod.name.name,
                limit: limits.moverStart,
                what: "\(pod.title) to start"
            ) { snapshot -> Pod?? in
                guard let now = snapshot.objects[pod.metadata.uid] else { return .some(nil) }
                last = now
                let state = now.state(of: mover.nameOfFirstContainer)
                let isOver = now.isFinished || now.metadata.isTerminating
                return isOver || state?.running != nil && !untilEnd || state?.terminated != nil ? .some(now) : nil
            }
            if let node = started?.spec.nodeName { findings.note { $0.nodesWithImage.insert(node) } }
            return started
        } catch let timeout as WaitTimeout {
            let why = await Complaints(client).hindrance(of: last)
            let isImage = why?.contains("Image") == true
            throw Failure(
                place: pod.title,
                reason: "\(timeout)\(why.map { ": \($0)" } ?? "")"
                    + (isImage ? "\n  advice: another image can be given with --rsync-image" : "")
            )
        }
    }

    /// Waits until a mover has ended.
    ///
    /// - Parameter isEnough: Returns true where it need not end.
    /// - Returns: The mover at its end; nil where somebody deletes it, or its node is lost.
    func awaitEnd(of pod: Pod, orUntil isEnough: @escaping @Sendable (Pod) -> Bool = { _ in false }) async throws
        -> Pod?
    {
        let ended: Pod? = try await client.wait(
            for: Pod.self,
            in: pod.name.namespace,
            named: pod.name.name,
            limit: .seconds(30 * 86_400),
            what: "\(pod.title) to finish"
        ) { snapshot -> Pod?? in
            guard let now = snapshot.objects[pod.metadata.uid] else { return .some(nil) }
            if now.hasEnded || isEnough(now) { return .some(now) }
            return now.metadata.isTerminating ? .some(nil) : nil
        }
        return ended
    }

    /// Returns true where a pod is still there and has not ended.
    func isRunning(_ pod: Pod) async throws -> Bool {
        guard let now = try await client.find(Pod.self, pod.name), now.metadata.uid == pod.metadata.uid else {
            return false
        }
        return !now.hasEnded && !now.metadata.isTerminating
    }

    /// Deletes a mover and waits until it is gone, so that its claims are free.
    ///
    /// - Parameter isIdle: True where it runs and does nothing.
    /// - Throws: `Failure` where it is not gone in time. It may still be writing, so nothing may use the staging claim
    ///   then.
    func remove(_ pod: Pod, isIdle: Bool = false, limit: Duration? = nil) async throws {
        // A mover that writes no more is gone at once, and waiting for the kubelet would only prolong the outage.
        try await client.delete(.pods, pod.name, uid: pod.metadata.uid, grace: isIdle || pod.hasEnded ? 0 : 1)
        var last: Pod = pod
        do {
            try await client.wait(
                for: Pod.self,
                in: pod.name.namespace,
                named: pod.name.name,
                limit: limit ?? Self.end,
                what: "\(pod.title) to be gone"
            ) { snapshot in
                guard let now = snapshot.objects[pod.metadata.uid] else { return () }
                last = now
                return nil
            }
        } catch let timeout as WaitTimeout {
            let finalizers = last.metadata.finalizers ?? []
            let node = last.spec.nodeName ?? "?"
            throw Failure(
                place: pod.title,
                reason: "\(timeout): "
                    + (finalizers.isEmpty
                        ? "its node \(node) doesn't say that it has ended. It may be writing still, so no other one is "
                            + "started. Bring the node back, or make sure that it is off and `kubectl delete node "
                            + "\(node)`; then run again"
                        : "it is held by its finalizers \(finalizers.joined(separator: ", ")); run again when they are gone")
            )
        }
    }

    /// Removes all movers of a unit.
    func removeAll(of unit: Unit, limit: Duration? = nil) async throws {
        let names = Set(unit.claims.map(\.name.name))
        for pod in try await client.list(Pod.self, in: unit.namespace)
        where pod.isMover(unit.uid(ofClaim:)) || pod.isGoToolsMover(of: names) {
            try await remove(pod, limit: limit)
        }
    }
}

extension Pod {
    /// True where the pod is a mover or a server.
    fileprivate var isOfCopy: Bool {
        [Marks.Kind.mover, Marks.Kind.server].contains(metadata.annotation(Marks.kind))
    }

    /// True where the mover's own containers have ended. A container that others put beside them may keep it running
    /// for ever, and the kubelet reports the end of the pod only later.
    var hasEnded: Bool {
        isFinished
            || status?.containerStatuses?.contains {
                [MoverPod.copyContainer, MoverPod.checkContainer].contains($0.name) && $0.state?.terminated != nil
            } == true
    }
}
