import Kubernetes

/// Makes the pods that hold claims for copies to and from this computer.
struct TreeMovers: Sendable {
    private let journal: Journal
    private let movers: Movers
    private let standing: StandingMovers
    private let tree: LocalTree?
    private let time: TimeSource

    init(_ context: Context) {
        (journal, tree, time) = (context.journal, context.options.tree, context.time)
        movers = Movers(context)
        standing = StandingMovers(context)
    }

    /// Makes the mover of a claim, which stands and hears.
    ///
    /// - Parameter looks: True where it only reads, perhaps beside the claim's pods.
    /// - Throws: `Failure` where it can't be made, or is of no use.
    func make(for state: ClaimState, looks: Bool) async throws -> StandingMover {
        guard let tree else { throw Refusal("this is no copy to or from this computer") }
        try await removeLeftovers(of: state, looks: looks)
        let task = MoverPod.Task.tree(tree.direction, looks: looks)
        let route = Route(mover: Placement(ofTree: state, isInUse: looks))
        let (pod, mover) = try await movers.create(for: state, movers.content(of: state), route, nil, task)
        do {
            let started = try await movers.pods.awaitStart(of: pod, mover)
            guard let started, !started.metadata.isTerminating else {
                throw Failure(place: pod.title, reason: "was deleted by somebody")
            }
            if let end = started.state(of: MoverPod.copyContainer)?.terminated { throw failure(of: started, end) }
            let standingMover = StandingMover(started, mover, seen: time.now())
            try await hear(standingMover)
            if !looks { journal.info(state.title, "a mover stands ready on node \(started.spec.nodeName ?? "?")") }
            return standingMover
        } catch {
            // Whoever cancelled removes it.
            guard !Task.isCancelled else { throw error }
            await journal.orWarn(pod.title) { try await movers.pods.remove(pod) }
            throw error
        }
    }

    private func hear(_ mover: StandingMover) async throws {
        do {
            try await standing.stay(mover)
        } catch let error as APIError where error.reason == .forbidden {
            throw Failure(
                place: mover.pod.title,
                reason: "pods/exec is needed (get and create), and forbidden: \(error.message)"
            )
        }
    }

    /// Removes the mover of a claim that an earlier run has left.
    func removeLeftovers(of state: ClaimState, looks: Bool) async throws {
        guard looks else { return try await movers.pods.removeLeftovers(of: state) }
        guard let name = MoverPod.Task.tree(.upload, looks: true).podName(for: state) else { return }
        try await movers.pods.removeLeftover(name)
    }

    func remove(_ mover: StandingMover) async throws { try await movers.pods.remove(mover.pod, isIdle: true) }

    /// Returns why a mover ended at once.
    private func failure(of pod: Pod, _ end: Pod.ContainerStatus.State.Terminated) -> Failure {
        let words = end.message ?? ""
        let why =
            CopyScript.lacksShell(words)
            ? "its image has no shell, which copies to and from this computer need; another one can be given with --rsync-image"
            : "it ended at once with exit code \(end.exitCode)\(words.isEmpty ? "" : ": \(words.shortened(to: 300))")"
        return Failure(place: pod.title, reason: why)
    }

    /// Does some work while a mover stands, which else ends by itself.
    func keeping<Value: Sendable>(
        _ mover: StandingMover,
        _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                while true {
                    try await time.sleep(time.now() + StandingMover.idle / 5)
                    // The work learns itself where the mover is gone.
                    await journal.orWarn(mover.pod.title) { try await standing.stay(mover) }
                }
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let value = first else { throw CancellationError() }
            return value
        }
    }

    /// Runs a command in a mover.
    ///
    /// - Throws: `Failure` where it fails.
    func run(_ command: [String], in mover: StandingMover) async throws -> StandingMovers.Said {
        let said = try await standing.run(command, beside: mover)
        guard said.code == 0 else {
            throw Failure(
                place: mover.pod.title,
                reason: "\(command.first ?? "") failed with exit code \(said.code): \(said.complaint)"
            )
        }
        return said
    }
}

extension Placement {
    /// Places a mover that mounts the claim alone.
    ///
    /// - Parameter isInUse: True where pods may mount it meanwhile, and keep its volume on their node.
    init(ofTree state: ClaimState, isInUse: Bool) {
        let node = state.transfer.consumer?.nodeName
        let isThere = state.source?.isOfOneNodeUnsaid == true || isInUse && state.source?.isAttachedToOneNode == true
        guard node == nil || !isThere else {
            self.init(node: node, onlyThere: true)
            return
        }
        self.init(of: state)
        if !onlyThere { self.node = node ?? self.node }
    }
}

extension ClaimState {
    /// True where nothing tells on which node the data of its directory is.
    var isOfNodeUnknown: Bool {
        source?.isOfOneNodeUnsaid == true && !Placement(ofTree: self, isInUse: true).onlyThere
    }

    /// The advice for such a claim.
    var adviceOnNode: String {
        let volume = source?.metadata.name ?? "?"
        return "its volume \(volume) is a directory of one node, and nothing tells of which; to name the node, run: "
            + "kubectl annotate pv \(volume) \(Marks.sourceNode)=NODE"
    }
}
