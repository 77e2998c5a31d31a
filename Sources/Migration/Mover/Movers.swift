import Kubernetes

/// One mover that has ended, well or not.
private struct MoverAttempt: Sendable {
    var outcome: MoverOutcome
    /// The time from its creation to its removal, without the making of a stand-in.
    var duration: Duration
}

/// Runs movers.
struct Movers: Sendable {
    let pods: MoverPods
    private let destination: Client
    private let options: Options
    private let limits: Limits
    private let journal: Journal
    private let findings: Findings
    private let reader: StateReader
    private let standIns: StandIns
    private let nodes: Nodes
    private let detachment: Detachment
    private let serving: Serving
    private let judge: MoverJudge
    private let output: MoverOutput
    private let standing: StandingMovers
    private let image: Image
    private var time: TimeSource { destination.time }

    init(_ context: Context) {
        (destination, options, limits) = (context.destination, context.options, context.limits)
        (journal, findings) = (context.journal, context.findings)
        pods = MoverPods(context)
        reader = StateReader(context)
        standIns = StandIns(context)
        nodes = Nodes(context)
        detachment = Detachment(context)
        serving = Serving(context)
        judge = MoverJudge(context)
        output = MoverOutput(context)
        standing = StandingMovers(context)
        image = Image(context)
    }

    /// Returns the content of a claim's movers, as far as the image is known.
    func content(of state: ClaimState) -> any MoverContent { state.content(options, found: findings.all) }

    /// Runs movers of a claim until one of them ends well.
    ///
    /// - Parameters:
    ///   - state: The state of the claim. It is read again after each failure.
    ///   - source: The object that they read.
    ///   - standing: The mover that stands for it. Where it fails, or hears nothing, others are made. It is gone at the
    ///     end, unless this throws.
    /// - Returns: The last run; nil for a pass where it turned out that the image has no shell, which passes need.
    /// - Throws: `Failure` where no attempt is left.
    func run(
        for state: inout ClaimState,
        task: MoverPod.Task,
        reading source: PassSource = .volume,
        by standing: StandingMover? = nil
    ) async throws -> MoverRun? {
        var standing = standing
        var content = standing?.mover.content ?? content(of: state)
        var attempt = 1
        while true {
            let attempted: MoverAttempt
            do {
                attempted =
                    if let mover = standing, mover.hears {
                        try await run(mover, for: state, content, task, next: &standing)
                    } else {
                        try await runOne(for: state, content, task, reading: source, beside: standing)
                    }
            } catch let error as APIError where error.isWorthAnotherLook {
                attempted = MoverAttempt(outcome: .again("\(error)"), duration: .zero)
            }
            switch attempted.outcome {
            case .done(let result):
                if let standing { try await pods.remove(standing.pod, isIdle: true) }
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
                state = try await reader.read(state)
                if case .blocked(let why) = state.next { throw why }
                // What fails beside it may be due to its node.
                if let mover = standing, !mover.hears {
                    try await pods.remove(mover.pod, isIdle: true)
                    standing = nil
                }
                journal.warn(state.title, "\(why); the copy is repeated from where it stopped")
                attempt += 1
                content = content.repeated
            }
        }
    }

    private func runOne(
        for state: ClaimState,
        _ content: any MoverContent,
        _ task: MoverPod.Task,
        reading source: PassSource,
        beside holder: StandingMover?
    ) async throws -> MoverAttempt {
        try await standIns.with(source, for: state) { state in
            let began = time.now()
            let outcome = try await runMover(for: state, content, task: task, beside: holder)
            return MoverAttempt(outcome: outcome, duration: time.now() - began)
        }
    }

    /// Has a standing mover do a task, and removes it once that is done or it fails.
    ///
    /// - Parameter next: The mover for another attempt; nil where it is gone.
    private func run(
        _ mover: StandingMover,
        for state: ClaimState,
        _ content: any MoverContent,
        _ task: MoverPod.Task,
        next: inout StandingMover?
    ) async throws -> MoverAttempt {
        let began = time.now()
        var mover = mover
        next = nil
        do {
            try await pods.removeLeftovers(of: state, except: mover.pod)
            let outcome = try await standing.run(task, of: state, content, by: &mover)
            if case .done = outcome { try await pods.remove(mover.pod, isIdle: true) } else { next = mover }
            return MoverAttempt(outcome: outcome, duration: time.now() - began)
        } catch let error as CancellationError {
            // Whoever cancelled removes the movers. Requests of this task would be cancelled too.
            throw error
        } catch {
            await journal.orWarn(mover.pod.title) { try await pods.remove(mover.pod) }
            if error is Failure { throw error }
            return MoverAttempt(outcome: .again("\(error)"), duration: time.now() - began)
        }
    }

    private func tell(of loss: Loss, _ state: ClaimState, _ task: MoverPod.Task) {
        switch loss {
        // For a pass the copy after the stop reports it.
        case .metadata(let kinds) where task != .pass:
            journal.warn(state.title, "the file systems can't hold \(kinds.joined(separator: " and ")); copied without")
        case .metadata: break
        case .shell: image.noteMissingShell()
        }
    }

    /// Runs one mover to its end and removes it, whatever happens. Where no node can mount both volumes, a pod serves
    /// it the source.
    ///
    /// - Throws: `Failure` where another attempt would fail too.
    @inline(never)  // Inlined, its closure makes the optimiser of Swift 6.3 fail (in CopyPropagation).
    private func runMover(
        for state: ClaimState,
        _ content: any MoverContent,
        task: MoverPod.Task,
        beside holder: StandingMover?
    ) async throws -> MoverOutcome {
        // A server or mover that an earlier run left behind would go on.
        try await pods.removeLeftovers(of: state, except: holder?.pod)
        if let holder {
            // Both claims are mounted there.
            let route = Route(mover: Placement(node: holder.pod.spec.nodeName, onlyThere: true))
            return try await runMover(for: state, content, route, task: task, beside: holder)
        }
        let isInUse = task == .pass && state.memory.standIn == nil
        let route = state.route(in: try await nodes.routeSites(of: state, isInUse: isInUse), isInUse: isInUse)
        guard let words = route.words else { return try await runMover(for: state, content, route, task: task) }
        guard let server = serving.server(for: state, route) else { throw Refusal("the claim is gone") }
        journal.info(state.title, words)
        return try await serving.with(server, of: state) { address in
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
        task: MoverPod.Task,
        beside holder: StandingMover? = nil
    ) async throws -> MoverOutcome {
        let outcome = try await runOneMover(for: state, content, route, server, task, beside: holder)
        // Only a copy without root ends unchecked.
        guard task == .copy, case .done(.unchecked(let statistics, _)) = outcome else { return outcome }
        let check = try await runOneMover(for: state, content, route, server, .compare, beside: holder)
        return try judge.judgeCopy(
            statistics,
            checked: check,
            content.withoutRoot,
            at: state.title,
            in: state.name.namespace
        )
    }

    private func runOneMover(
        for state: ClaimState,
        _ content: any MoverContent,
        _ route: Route,
        _ server: SourceServer?,
        _ task: MoverPod.Task,
        beside holder: StandingMover?
    ) async throws -> MoverOutcome {
        let (pod, mover) = try await create(for: state, content, route, server, task, beside: holder)
        let end: (pod: Pod, outcome: MoverOutcome)
        do {
            end = try await follow(pod, of: state, mover)
        } catch let error as CancellationError {
            // Whoever cancelled removes the movers. Requests of this task would be cancelled too.
            throw error
        } catch {
            await journal.orWarn(pod.title) { try await pods.remove(pod) }
            throw error
        }
        try await pods.remove(end.pod)
        return end.outcome
    }

    /// Returns the mover of a claim; nil where the source claim is gone.
    func mover(
        for state: ClaimState,
        _ content: any MoverContent,
        _ route: Route,
        _ server: SourceServer? = nil,
        task: MoverPod.Task
    ) -> MoverPod? {
        guard let claim = state.sourceClaim, let name = task.podName(for: state) else { return nil }
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

    func create(
        for state: ClaimState,
        _ content: any MoverContent,
        _ route: Route,
        _ server: SourceServer?,
        _ task: MoverPod.Task,
        beside holder: StandingMover? = nil
    ) async throws -> (Pod, MoverPod) {
        var route = route
        let target = state.givenDestination ?? state.destination
        let volumes = [server == nil ? state.source : nil, target].compactMap(\.self)
        try await detachment.wait(for: volumes, of: state, from: &route.mover)
        guard let mover = mover(for: state, content, route, server, task: task)
        else { throw Refusal("the claim is gone") }
        // A client that logs in to a server must be root.
        let owner = server == nil ? state.owner : nil
        let admitted = try await pods.explaining(state) {
            do {
                return try await admit(mover, orAs: owner)
            } catch let error as APIError where error.reason == .forbidden && MoverExit.isWantOfRoom(error.message) {
                guard let holder else { throw error }
                // It leaves its room to the mover.
                try await pods.remove(holder.pod, isIdle: true)
                return try await admit(mover, orAs: owner)
            }
        }
        return (admitted.created, admitted.mover)
    }

    private func admit(_ mover: MoverPod, orAs owner: DataOwner?) async throws -> (mover: MoverPod, created: Pod) {
        try await mover.admitted(orAs: owner) { try await destination.create(Pod.self, in: mover.name.namespace, $0) }
    }

    /// - Returns: The pod as last seen, and its outcome.
    private func follow(_ pod: Pod, of state: ClaimState, _ mover: MoverPod) async throws -> (Pod, MoverOutcome) {
        let started = try await pods.awaitStart(of: pod, mover)
        guard let started, !started.metadata.isTerminating else { return (pod, .again(Self.lost(started ?? pod))) }
        let began = time.now()
        journal.info(state.title, mover.inWords(on: started))
        let last: Pod?
        switch mover.task {
        // What only compares shows nothing.
        case .compare: last = try await pods.awaitEnd(of: pod)
        case .copy, .pass, .nothing, .stand, .hold, .tree:
            last = try await output.showing(pod, of: state, mover.content) { try await pods.awaitEnd(of: pod) }
        }
        guard let last else { return (started, .again(Self.lost(started))) }
        return (last, try await judge.judge(last, mover, took: time.now() - began))
    }

    private static func lost(_ pod: Pod) -> String {
        "\(pod.title) was deleted by somebody, or its node \(pod.spec.nodeName ?? "?") is lost"
    }
}

extension ClaimState {
    /// The name of its movers, one after the other; nil where the source claim is gone.
    fileprivate var moverName: ObjectName? { nameOfPod(Marks.moverName) }

    /// The name of the mover that stands for it; nil where the source claim is gone.
    fileprivate var standingName: ObjectName? { nameOfPod(Marks.standingName) }

    /// The names of the pods of its copies; none where the source claim is gone.
    var namesOfMovers: [ObjectName] { [moverName, standingName, nameOfPod(Marks.serverName)].compactMap(\.self) }

    fileprivate func nameOfPod(_ name: (_ claim: String, _ uid: String) -> String) -> ObjectName? {
        guard let uid = sourceClaim?.metadata.uid else { return nil }
        return ObjectName(name(self.name.name, uid), in: self.name.namespace)
    }

    /// The time in seconds that a pod of its copy may run: a day, and a second for each mebibyte.
    var deadline: Int { 86_400 + Int((size?.bytes ?? 0) >> 20) }
}

extension MoverPod.Task {
    /// Returns the name of the pod that does it for a claim; nil where the source claim is gone.
    func podName(for state: ClaimState) -> ObjectName? {
        switch self {
        case .copy, .pass, .compare, .nothing: state.moverName
        case .stand, .hold, .tree(_, looks: false): state.standingName
        case .tree(_, looks: true): state.nameOfPod(Marks.lookName)
        }
    }
}
