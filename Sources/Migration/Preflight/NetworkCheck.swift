import Kubernetes

/// Tries copies over the network.
struct NetworkCheck: Sendable {
    private let source: Client
    private let destination: Client
    private let options: Options
    private let journal: Journal
    private let policies: NetworkPolicyCheck
    private let reviews: AccessReviews
    private let serving: Serving
    private let pods: MoverPods
    private var time: TimeSource { destination.time }

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (options, journal) = (context.options, context.journal)
        policies = NetworkPolicyCheck(context)
        reviews = AccessReviews(context)
        serving = Serving(context)
        pods = MoverPods(context)
    }

    /// Checks copies over the network: no policy may cut them. A trial between two such nodes copies nothing and tries
    /// the image's sshd and ssh and the network itself. All its objects are removed again, whatever happens.
    func obstacles(_ discovery: Discovery, _ interruption: Interruption) async throws -> [Obstacle] {
        let states = discovery.units.flatMap(\.claims).filter { discovery.routes[$0.id]?.source != nil }
        let firsts = Dictionary(grouping: states) { $0.name.namespace ?? "" }.compactMapValues(\.first)
        let blocks = states.filter(\.isBlock).map {
            Obstacle(
                namespace: $0.name.namespace,
                resource: $0.title,
                message: "is a block volume, which is not copied over the network, and "
                    + (discovery.routes[$0.id]?.detour ?? "")
            )
        }
        let found = blocks + (try await policies.obstacles(in: firsts.keys.sorted()))
        let cut = Set(found.map(\.namespace))
        // Objects that cannot be removed again are not created.
        guard await reviews.mayTry() else { return found }
        let trials = firsts.filter { !cut.contains($0.key) }.values.compactMap { state in
            discovery.routes[state.id].map { NetworkTrial(state, $0, options) }
        }
        return found + (await trials.sideBySide { await carryOut($0, interruption) }.flatMap(\.self))
    }

    private func carryOut(_ trial: NetworkTrial, _ interruption: Interruption) async -> [Obstacle] {
        if interruption.isRequested { return [] }
        let began = time.now()
        var obstacles: [Obstacle] = []
        do {
            // A creation is never cancelled, because the request might take effect after everything was removed.
            let server = try await serving.createPod(of: trial.server)
            _ = try await serving.createSecret(of: trial.server, for: server)
            if let why = try await interruption.cancelling({ try await perform(trial, server) }) {
                obstacles.append(trial.failed(why))
            } else {
                journal.info("copy over the network", trial.passed(in: time.now() - began))
            }
        } catch is CancellationError {
            // An interrupted trial has neither passed nor failed.
        } catch {
            obstacles.append(trial.failed((error as? Failure)?.reason ?? (error as? APIError)?.message ?? "\(error)"))
        }
        for (name, client) in [(trial.clientName, destination), (trial.server.name, source)] {
            do {
                // The server's Secret is deleted with it.
                if let pod = try await client.find(Pod.self, name) { try await pods.using(client).remove(pod) }
            } catch {
                obstacles.append(
                    Obstacle(
                        namespace: trial.namespace,
                        resource: "Pod \(name)",
                        message: "preflight could not clean up: \(error)"
                    )
                )
            }
        }
        return obstacles
    }

    /// Copies nothing from one pod to the other.
    ///
    /// - Returns: The reason why that failed; nil where it succeeded.
    private func perform(_ trial: NetworkTrial, _ server: Pod) async throws -> String? {
        guard case .ready(let address) = try await serving.awaitReady(server, limit: options.podReadyTimeout) else {
            return "somebody deleted its pod"
        }
        _ = try await Capabilities.admitted(trial.client(of: address)) {
            try await destination.create(.pods, in: trial.namespace, $0)
        }
        return try await TrialFailure(destination).awaitFailure(
            of: trial.clientName,
            RsyncFlags(),
            limit: options.podReadyTimeout
        ) { last in
            let runs = last?.state(of: Trial.container)?.running != nil
            var why = "does anything cut connections between pods, such as a policy of the network itself?"
            if !runs, let last { why = await Complaints(destination).hindrance(of: last) ?? "nothing says why" }
            return "the pod that copies did not end within \(options.podReadyTimeout.inWords): \(why)"
        }
    }
}
