import Kubernetes

/// What a mover has done that ended well.
enum MoverResult: Sendable {
    /// It copied, and its check, unless none is wanted, found nothing left to transfer.
    case equal(CopyStatistics?)
    /// It only compared, and these items differ.
    case different([String])
    /// It copied what was there, which took so long; only a check can tell whether that is all.
    case unchecked(CopyStatistics?, took: Duration)
}

/// How one mover ended.
enum MoverOutcome: Sendable {
    case done(MoverResult)
    /// Nothing failed but what the copy can do without; this content does without it.
    case unsupported(any MoverContent, Loss)
    /// Something that another attempt may mend: what it was, and all that is known of it.
    case again(String, details: String = "")
}

/// What the last of as many movers as it took has done.
struct MoverRun: Sendable {
    var result: MoverResult
    /// From its creation to its removal.
    var duration: Duration
    /// False where what it has copied may be lost with its node for a while.
    var isFlushed: Bool
}

extension Migrator {
    /// How long a mover that is deleted may take to be gone: it has nothing to finish.
    private static let moverEnd: Duration = .seconds(60)

    /// Runs movers of a claim until one of them ends well.
    ///
    /// - Parameters:
    ///   - state: looked at again after each that failed.
    ///   - source: what they read.
    /// - Returns: nil for a pass where it turned out that the image has no shell, which passes need.
    /// - Throws: `Failure` where no attempt is left.
    func runMovers(
        for state: inout ClaimState,
        task: MoverPod.Task,
        reading source: PassSource = .volume
    ) async throws -> MoverRun? {
        var content = content(of: state)
        var attempt = 1
        while true {
            let attempted: MoverAttempt
            do {
                attempted = try await runMover(for: state, content, task: task, reading: source)
            } catch let error as APIError where Self.isWorthAnotherLook(error) {
                attempted = MoverAttempt(outcome: .again("\(error)"), duration: .zero)
            }
            switch attempted.outcome {
            case .done(let result):
                return MoverRun(result: result, duration: attempted.duration, isFlushed: content.isFlushed)
            case .unsupported(let reduced, let loss):
                tell(of: loss, state, task)
                content = reduced
                if task == .pass, content.passCommand == nil { return nil }
            case .again(let why, let details):
                guard attempt < limits.copyAttempts else {
                    throw Failure(
                        place: state.title,
                        reason: "\(attempt) movers have failed, the last one so: \(why)\(details)"
                    )
                }
                state = try await client.observe(state)
                if case .blocked(let why) = state.next { throw why }
                journal.warn(state.title, "\(why); the copy is repeated from where it stopped")
                attempt += 1
                content = content.repeated
            }
        }
    }

    private func tell(of loss: Loss, _ state: ClaimState, _ task: MoverPod.Task) {
        switch loss {
        // Of a pass, the copy after the stop says so.
        case .metadata(let kinds) where task != .pass:
            journal.warn(state.title, "the file systems can't hold \(kinds.joined(separator: " and ")); copied without")
        case .metadata: break
        case .shell: noteMissingShell()
        }
    }

    /// Runs one mover to its end and removes it, whatever happens; where no node can mount both volumes, with a pod that
    /// serves it the source.
    ///
    /// - Throws: `Failure` where another attempt would fail too.
    @inline(never)  // Inlined, its closure makes the optimiser of Swift 6.3 fail (in CopyPropagation).
    func runMover(
        for state: ClaimState,
        _ content: any MoverContent,
        task: MoverPod.Task
    ) async throws -> MoverOutcome {
        let isInUse = task == .pass && state.memory.standIn == nil
        let route = state.route(in: try await surroundings(of: state, isInUse: isInUse), isInUse: isInUse)
        guard let server = server(for: state, route) else { throw Refusal("the claim is gone") }
        // One that an earlier run left behind would go on serving.
        try await removeLeftover(server.name)
        guard let words = route.words else { return try await runMover(for: state, content, route, task: task) }
        journal.info(state.title, words)
        return try await serving(server, of: state) { address in
            guard let content = content.served(at: address) else {
                throw Failure(place: state.title, reason: "\(words), which can't be done with a block volume")
            }
            return try await runMover(for: state, content, route, server, task: task)
        }
    }

    private func runMover(
        for state: ClaimState,
        _ content: any MoverContent,
        _ route: Route,
        _ server: SourceServer? = nil,
        task: MoverPod.Task
    ) async throws -> MoverOutcome {
        let outcome = try await runOneMover(for: state, content, route, server, task)
        guard task == .copy, case .done(.unchecked(let statistics, _)) = outcome else { return outcome }
        switch try await runOneMover(for: state, content, route, server, .compare) {
        case .done(.equal): return .done(.equal(statistics))
        case .done(.different(let items)): return .again(Self.stillDifferent(items))
        case let other: return other
        }
    }

    private func runOneMover(
        for state: ClaimState,
        _ content: any MoverContent,
        _ route: Route,
        _ server: SourceServer?,
        _ task: MoverPod.Task
    ) async throws -> MoverOutcome {
        let (pod, mover) = try await createMover(for: state, content, route, server, task)
        let end: (pod: Pod, outcome: MoverOutcome)
        do {
            end = try await follow(pod, of: state, mover)
        } catch let error as CancellationError {
            // Whoever cancelled removes the movers: requests of this task would be cancelled too.
            throw error
        } catch {
            await orWarn(pod.title) { try await remove(pod) }
            throw error
        }
        try await remove(end.pod)
        return end.outcome
    }

    /// The mover of a claim; nil where the source claim is gone.
    func mover(
        for state: ClaimState,
        _ content: any MoverContent,
        _ route: Route,
        _ server: SourceServer? = nil,
        task: MoverPod.Task
    ) -> MoverPod? {
        guard let claim = state.sourceClaim, let name = state.moverName else { return nil }
        return MoverPod(
            name: name,
            sourceClaim: state.name.name,
            sourceUID: claim.metadata.uid,
            standIn: state.memory.standIn,
            stagingClaim: state.stagingName.name,
            image: options.rsyncImage,
            content: content,
            server: server,
            task: task,
            placement: route.mover,
            deadline: state.deadline,
            template: options.moverTemplate
        )
    }

    func createMover(
        for state: ClaimState,
        _ content: any MoverContent,
        _ route: Route,
        _ server: SourceServer?,
        _ task: MoverPod.Task
    ) async throws -> (Pod, MoverPod) {
        var route = route
        let destination = state.givenDestination ?? state.destination
        let volumes = [server == nil ? state.source : nil, destination].compactMap(\.self)
        try await awaitDetachment(of: volumes, of: state, from: &route.mover)
        guard let namespace = state.name.namespace,
            let mover = mover(for: state, content, route, server, task: task)
        else { throw Refusal("the claim is gone") }
        // One that an earlier run left behind copies with that run's flags.
        try await removeLeftover(mover.name)
        // What logs in to a server has to be root.
        let owner = server == nil ? state.owner : nil
        let admitted = try await explaining(state) {
            try await mover.admitted(orAs: owner) { try await client.create(Pod.self, in: namespace, $0) }
        }
        return (admitted.created, admitted.mover)
    }

    /// Removes a pod of a copy that an earlier run left behind.
    func removeLeftover(_ name: ObjectName) async throws {
        guard let leftover = try await client.find(Pod.self, name) else { return }
        guard leftover.isOfCopy else {
            throw Failure(
                place: leftover.title,
                reason: "has the name of a mover and is none; it is left untouched. Delete it, and run again"
            )
        }
        try await remove(leftover)
    }

    /// Gives advice where a pod of a copy is refused.
    func explaining<Value>(_ state: ClaimState, _ create: () async throws -> Value) async throws -> Value {
        do {
            return try await create()
        } catch let error as APIError where error.reason == .forbidden {
            let advice = MoverExit.advice(refusal: error.message, namespace: state.name.namespace ?? "")
            throw Failure(place: state.title, reason: "\(error)" + (advice.map { "\n  advice: \($0)" } ?? ""))
        }
    }

    /// - Returns: the pod as it was last seen, and what it has done.
    private func follow(_ pod: Pod, of state: ClaimState, _ mover: MoverPod) async throws -> (Pod, MoverOutcome) {
        let started = try await awaitStart(of: pod, mover)
        guard let started, !started.metadata.isTerminating else { return (pod, .again(Self.lost(started ?? pod))) }
        let node = started.spec.nodeName ?? "?"
        let who = mover.owner.map { " as \($0.inWords)" } ?? ""
        let what =
            switch mover.task {
            case .copy: "copying"
            case .pass: "copying while it is in use"
            case .compare: "comparing"
            case .nothing: "running"
            }
        let began = time.now()
        journal.info(state.title, "\(what) on node \(node)\(who)")
        let last: Pod? = try await showing(pod, of: state, mover) {
            let last: Pod? = try await client.wait(
                for: Pod.self,
                in: pod.name.namespace,
                named: pod.name.name,
                limit: .seconds(30 * 86_400),
                what: "\(pod.title) to finish"
            ) { snapshot -> Pod?? in
                guard let now = snapshot.objects[pod.metadata.uid] else { return .some(nil) }
                if now.hasEnded { return .some(now) }
                return now.metadata.isTerminating ? .some(nil) : nil
            }
            return last
        }
        guard let last else { return (started, .again(Self.lost(started))) }
        return (last, try await judge(last, mover, took: time.now() - began))
    }

    private static func lost(_ pod: Pod) -> String {
        "\(pod.title) was deleted by somebody, or its node \(pod.spec.nodeName ?? "?") is lost"
    }

    /// Waits until the mover's first container has started; it may have ended by then.
    ///
    /// - Returns: the mover as it is then; where somebody deletes it, it is terminating, or nil.
    func awaitStart(of pod: Pod, _ mover: MoverPod) async throws -> Pod? {
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
                return isOver || state?.running != nil || state?.terminated != nil ? .some(now) : nil
            }
            if let node = started?.spec.nodeName { findings.note { $0.nodesWithImage.insert(node) } }
            return started
        } catch let timeout as WaitTimeout {
            let why = await client.hindrance(of: last)
            let isImage = why?.contains("Image") == true
            throw Failure(
                place: pod.title,
                reason: "\(timeout)\(why.map { ": \($0)" } ?? "")"
                    + (isImage ? "\n  advice: another image can be given with --rsync-image" : "")
            )
        }
    }

    /// Deletes a mover and waits until it is gone, so that its claims are free.
    ///
    /// - Throws: `Failure` where it is not gone in time. It may be writing still: nothing may use the staging claim
    ///   then.
    func remove(_ pod: Pod, limit: Duration? = nil) async throws {
        // What has ended writes no more: to wait for the kubelet would only prolong the outage.
        try await client.delete(.pods, pod.name, uid: pod.metadata.uid, grace: pod.hasEnded ? 0 : 1)
        var last: Pod = pod
        do {
            try await client.wait(
                for: Pod.self,
                in: pod.name.namespace,
                named: pod.name.name,
                limit: limit ?? Self.moverEnd,
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

    /// Removes whatever movers of a unit there are.
    func removeMovers(of unit: Unit, limit: Duration? = nil) async throws {
        let names = Set(unit.claims.map(\.name.name))
        for pod in try await client.list(Pod.self, in: unit.namespace)
        where pod.isMover(unit.uid(ofClaim:)) || pod.isGoToolsMover(of: names) {
            try await remove(pod, limit: limit)
        }
    }
}

extension ClaimState {
    /// The name of its movers, one after the other; nil where the source claim is gone.
    var moverName: ObjectName? {
        guard let uid = sourceClaim?.metadata.uid else { return nil }
        return ObjectName(Marks.moverName(of: name.name, uid: uid), in: name.namespace)
    }

    /// How many seconds a pod of its copy may run: a day, and one for each mebibyte.
    var deadline: Int { 86_400 + Int((size?.bytes ?? 0) >> 20) }
}

extension Pod {
    /// True of movers, and of what serves them their source.
    fileprivate var isOfCopy: Bool {
        [Marks.Kind.mover, Marks.Kind.server].contains(metadata.annotation(Marks.kind))
    }

    /// True of a mover whose own containers have ended. One that others put beside them may keep it running for ever; and
    /// the kubelet says of the pod only later that it is finished.
    fileprivate var hasEnded: Bool {
        isFinished
            || status?.containerStatuses?.contains {
                [MoverPod.copyContainer, MoverPod.checkContainer].contains($0.name) && $0.state?.terminated != nil
            } == true
    }
}

extension Client {
    /// Why a pod does not run, in the cluster's words.
    func hindrance(of pod: Pod) async -> String? {
        let statuses = (pod.status?.initContainerStatuses ?? []) + (pod.status?.containerStatuses ?? [])
        let waiting = statuses.lazy.compactMap { $0.state?.waiting }.first {
            !["PodInitializing", "ContainerCreating"].contains($0.reason ?? "PodInitializing")
        }
        if let waiting { return "\(waiting.reason ?? ""): \(waiting.message ?? "")" }
        if let condition = pod.status?.conditions?.first(where: { $0.type == "PodScheduled" && $0.status == "False" }) {
            return "\(condition.reason ?? ""): \(condition.message ?? "")"
        }
        return await lastWarning(about: "Pod", pod.name)
    }
}
