import Kubernetes

/// How one mover ended.
enum MoverOutcome: Sendable {
    /// It copied, and its check found nothing left to transfer.
    case equal(CopyStatistics?)
    /// It only compared, and these items differ.
    case different([String])
    /// Nothing failed but what the copy can do without; this content does without it.
    case unsupported(any MoverContent, Loss)
    /// A pass that copied what was there, and how long that took.
    case passed(CopyStatistics?, took: Duration)
    /// It copied all, perhaps: only a check can tell.
    case unchecked(CopyStatistics?)
    /// Something that another attempt may mend: what it was, and all that is known of it.
    case again(String, details: String = "")
}

extension Migrator {
    /// How long a mover that is deleted may take to be gone: it has nothing to finish.
    private static let moverEnd: Duration = .seconds(60)

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
        let isInUse = task == .pass
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
        guard task == .copy, case .unchecked(let statistics) = outcome else { return outcome }
        switch try await runOneMover(for: state, content, route, server, .compare) {
        case .equal: return .equal(statistics)
        case .different(let items): return .again(Self.stillDifferent(items))
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
        let outcome: MoverOutcome
        do {
            outcome = try await follow(pod, of: state, mover)
        } catch let error as CancellationError {
            // Whoever cancelled removes the movers: requests of this task would be cancelled too.
            throw error
        } catch {
            await orWarn(pod.title) { try await remove(pod) }
            throw error
        }
        try await remove(pod)
        return outcome
    }

    /// The mover of a claim; nil where the source claim is gone.
    func mover(
        for state: ClaimState,
        _ content: any MoverContent,
        _ route: Route,
        _ server: SourceServer? = nil,
        task: MoverPod.Task
    ) -> MoverPod? {
        guard let claim = state.sourceClaim else { return nil }
        return MoverPod(
            name: ObjectName(Marks.moverName(of: state.name.name, uid: claim.metadata.uid), in: state.name.namespace),
            sourceClaim: state.name.name,
            sourceUID: claim.metadata.uid,
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

    private func follow(
        _ pod: Pod,
        of state: ClaimState,
        _ mover: MoverPod
    ) async throws -> MoverOutcome {
        let started = try await awaitStart(of: pod, mover)
        guard let started, !started.metadata.isTerminating else { return .again(Self.lost(started ?? pod)) }
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
                // A container that others put beside ours may keep the pod running for ever.
                let isOver = now.isFinished || now.state(of: mover.lastContainer)?.terminated != nil
                if isOver { return .some(now) }
                return now.metadata.isTerminating ? .some(nil) : nil
            }
            return last
        }
        guard let last else { return .again(Self.lost(started)) }
        return try await judge(last, mover, took: time.now() - began)
    }

    private static func stillDifferent(_ items: [String]) -> String {
        "after the copy \(items.count) entries still differ, such as: \(items.first?.shortened(to: 1000) ?? "")"
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
                let state = now.state(of: mover.firstContainer)
                let isOver = now.isFinished || now.metadata.isTerminating
                return isOver || state?.running != nil || state?.terminated != nil ? .some(now) : nil
            }
            if let node = started?.spec.nodeName { nodesWithImage.insert(node) }
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

    private func judge(_ pod: Pod, _ mover: MoverPod, took: Duration) async throws -> MoverOutcome {
        let content = mover.content
        let copied = pod.state(of: MoverPod.copyContainer)?.terminated
        let checked = pod.state(of: MoverPod.checkContainer)?.terminated
        if mover.task == .pass, [0, MoverExit.vanished].contains(copied?.exitCode) {
            let output = try await client.log(of: pod.name, container: MoverPod.copyContainer, tail: 60)
            return .passed(content.statistics(in: output), took: took)
        }
        let isCopied = mover.task == .compare || mover.task == .copy && copied?.exitCode == 0
        if isCopied, checked?.exitCode == 0 {
            let check = try await client.log(of: pod.name, container: MoverPod.checkContainer, tail: 1000)
            guard let differences = content.differences(in: check) else {
                return .again("the check after the copy said nothing; do --rsync-flags silence it?")
            }
            if !options.rollsBack, let why = content.whyFinal(differences) {
                let advice = MoverExit.adviceOnRoot(in: pod.metadata.namespace ?? "")
                throw Failure(place: pod.title, reason: "\(why)\n  advice: \(advice)")
            }
            if mover.task == .compare {
                return differences.isEmpty ? .equal(content.statistics(in: check)) : .different(differences)
            }
            if differences.isEmpty {
                let output = try await client.log(of: pod.name, container: MoverPod.copyContainer, tail: 60)
                return .equal(content.statistics(in: output))
            }
            return .again(Self.stillDifferent(differences))
        }
        // Evicted, its deadline passed, its node shut down: it says more than an exit code.
        let end = pod.status?.reason.map { "\($0)\(pod.status?.message.map { ": \($0)" } ?? "")" }
        let failedContainer = isCopied ? MoverPod.checkContainer : MoverPod.copyContainer
        guard let failed = isCopied ? checked : copied else {
            return .again("\(pod.title) failed: \(end ?? pod.failureOfOthers ?? "and nothing says why")")
        }
        let output = try await output(of: failedContainer, of: pod, failed)
        let code = failed.exitCode
        if let reduced = content.reduced(after: code, output: output) {
            return .unsupported(reduced.content, reduced.loss)
        }
        if content.isHarmless(code, output: output) { return .unchecked(content.statistics(in: output)) }
        let exit = content.exit(code)
        let tail = MoverExit.complaints(in: output).joined(separator: "\n    ")
        let isDenied = mover.owner != nil && output.lowercased().contains("permi")
        let advice =
            (isDenied ? MoverExit.adviceOnRoot(in: pod.metadata.namespace ?? "") : content.advice(output: output))
            .map { "\n  advice: \($0)" } ?? ""
        let why = "\(content.tool) ended with exit code \(code), \(exit.meaning)\(end.map { " (\($0))" } ?? "")"
        let details = (tail.isEmpty ? "" : ". It says:\n    \(tail)") + advice
        if exit.isWorthRepeating || end != nil { return .again(why, details: details) }
        throw Failure(place: pod.title, reason: why + details)
    }

    /// What a container that failed has said; where it never ran, what the kubelet says of it.
    private func output(
        of container: String,
        of pod: Pod,
        _ end: Pod.ContainerStatus.State.Terminated
    ) async throws -> String {
        do {
            let log = try await client.log(of: pod.name, container: container, tail: 200)
            return log.isEmpty ? end.message ?? "" : log
        } catch let error as APIError {
            return end.message ?? "(its output could not be read: \(error))"
        }
    }

    /// Deletes a mover and waits until it is gone, so that its claims are free.
    ///
    /// - Throws: `Failure` where it is not gone in time. It may be writing still: nothing may use the staging claim
    ///   then.
    func remove(_ pod: Pod, limit: Duration? = nil) async throws {
        try await client.delete(.pods, pod.name, uid: pod.metadata.uid, grace: pod.isFinished ? 0 : 1)
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
        let uids = Set(unit.claims.compactMap { $0.sourceClaim?.metadata.uid ?? $0.seal?.uid })
        for namespace in Set(unit.claims.compactMap(\.name.namespace)) {
            for pod in try await client.list(Pod.self, in: namespace) where pod.isOfCopy {
                let owner = pod.metadata.annotation(Marks.sourceUID)
                // The Go tool's movers name the claim only.
                let isGoTools =
                    owner == nil && unit.claims.contains { $0.name.name == pod.metadata.annotation(Marks.claim) }
                if isGoTools || owner.map(uids.contains) == true { try await remove(pod, limit: limit) }
            }
        }
    }
}

extension ClaimState {
    /// How many seconds a pod of its copy may run: a day, and one for each mebibyte.
    var deadline: Int { 86_400 + Int((size?.bytes ?? 0) >> 20) }
}

extension Pod {
    /// True of movers, and of what serves them their source.
    fileprivate var isOfCopy: Bool {
        [Marks.Kind.mover, Marks.Kind.server].contains(metadata.annotation(Marks.kind))
    }

    /// How a container failed that is not ours: one that others put into the mover.
    fileprivate var failureOfOthers: String? {
        let statuses = (status?.initContainerStatuses ?? []) + (status?.containerStatuses ?? [])
        return statuses.lazy.compactMap { status in
            guard let end = status.state?.terminated, end.exitCode != 0 else { return nil }
            return "its container \(status.name), which is not of this program, ended with exit code \(end.exitCode)"
        }.first
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
