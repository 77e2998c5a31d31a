import Kubernetes

/// Tries the destination class.
struct ProvisioningCheck: Sendable {
    private let client: Client
    private let options: Options
    private let journal: Journal
    private let reviews: AccessReviews
    private let removal: TrialRemoval
    private let image: Image
    private let labels: Labels
    private var time: TimeSource { client.time }

    init(_ context: Context) {
        (client, options, journal) = (context.destination, context.options, context.journal)
        reviews = AccessReviews(context)
        removal = TrialRemoval(context)
        image = Image(context)
        labels = Labels(context)
    }

    /// Tries the class, scheduling, mounting and the image in one: for each distinct need with a temporary claim on the
    /// destination class, and a pod that mounts it and runs a mover's command. All its objects are removed again,
    /// whatever happens. A killed preflight leaves objects whose marks anybody may write, so they stay, and `status`
    /// reports them.
    func obstacles(_ discovery: Discovery, _ interruption: Interruption) async throws -> [Obstacle] {
        // Objects that cannot be removed again are not created. The check of permissions names the missing permissions.
        guard await reviews.mayTry() else { return [] }
        let trials = try Trial.all(for: discovery.claimsToStage, options: options)
        return await trials.sideBySide { await carryOut($0, interruption) }.flatMap(\.self)
    }

    private func carryOut(_ trial: Trial, _ interruption: Interruption) async -> [Obstacle] {
        if interruption.isRequested { return [] }
        let began = time.now()
        var trial = trial
        var obstacles: [Obstacle] = []
        var reduced: Trial?
        do {
            // A creation is never cancelled, because the request might take effect after everything was removed.
            trial.made = try await client.create(PersistentVolumeClaim.self, in: trial.namespace, trial.claim)
            try await createPod(of: trial)
            if let why = try await interruption.cancelling({ [trial] in try await awaitSuccess(of: trial) }) {
                reduced = trial.withoutShell(after: why)
                if reduced == nil { obstacles.append(trial.failed(why)) }
            } else {
                if let pod = try await client.find(Pod.self, trial.podName) {
                    await labels.learn(from: pod, container: Trial.container)
                }
                journal.info("StorageClass \(trial.storageClass)", trial.passed(in: time.now() - began))
            }
        } catch is CancellationError {
            // An interrupted trial has neither passed nor failed.
        } catch {
            let reason = (error as? APIError)?.message ?? "\(error)"
            obstacles.append(trial.failed(reason))
        }
        obstacles += await removal.remove(trial)
        if let reduced, obstacles.isEmpty {
            image.noteMissingShell()
            return await carryOut(reduced, interruption)
        }
        return obstacles
    }

    /// Creates the pod as root, or as the data's owner where a policy refuses root, like a mover.
    private func createPod(of trial: Trial) async throws {
        do {
            try await create(trial.pod(as: nil), in: trial.namespace)
        } catch let error as APIError {
            guard let owner = trial.owner, MoverExit.refusesRoot(error.message) else { throw error }
            try await create(trial.pod(as: owner), in: trial.namespace)
        }
    }

    private func create(_ pod: JSON, in namespace: String) async throws {
        _ = try await Capabilities.admitted(pod) { try await client.create(.pods, in: namespace, $0) }
    }

    /// Waits until the pod has run, or is ready.
    ///
    /// - Returns: The reason why it did not in time; nil where it did.
    private func awaitSuccess(of trial: Trial) async throws -> String? {
        let failure = TrialFailure(client)
        return try await failure.awaitFailure(
            of: trial.podName,
            trial.content,
            limit: options.podReadyTimeout,
            orUntil: \.isReady
        ) { last in
            let reason = "its pod did not run within \(options.podReadyTimeout.inWords)"
            guard let last else { return reason }
            return reason + ": " + (await failure.hindrance(of: last, waitingFor: trial.claimName))
        }
    }
}
