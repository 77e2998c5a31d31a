import Kubernetes

/// Checks by dry runs that the API server admits the objects of a run.
struct AdmissionCheck: Sendable {
    private let destination: Client
    private let options: Options
    private let journal: Journal
    private let lists: SelectedObjects
    private let successor: Successor
    private let movers: Movers

    init(_ context: Context) {
        (destination, options, journal) = (context.destination, context.options, context.journal)
        lists = SelectedObjects(context.destination, context.options.selection)
        successor = Successor(context)
        movers = Movers(context)
    }

    /// Makes the API server admit every staging claim and successor, and a mover for each namespace, by dry runs. Each
    /// dry run sees only its own object; discovery has added up all of them against the quotas.
    func obstacles(_ discovery: Discovery) async throws -> [Obstacle] {
        // The check of permissions reports once that the caller may not create them.
        let mayCreateClaims = try await lists.mayI("create", .claims)
        let mayCreatePods = try await lists.mayI("create", .pods)
        let states = mayCreateClaims ? discovery.claimsToSwap : []
        let isToStage = Set(mayCreateClaims ? discovery.claimsToStage.map(\.name) : [])
        let copies = mayCreatePods ? discovery.units.flatMap(\.claims).filter(\.isToBeCopied) : []
        let namespaces = Dictionary(grouping: copies) { $0.name.namespace ?? "" }.values.map(\.self)
        async let claims = states.sideBySide { state -> [Obstacle] in
            let obstacles = isToStage.contains(state.name) ? await dryRun(stagingClaimOf: state) : []
            return obstacles.isEmpty ? await dryRun(successorOf: state) : obstacles
        }
        async let movers = namespaces.sideBySide { await dryRun(moversOf: $0) }
        return await claims.flatMap(\.self) + (await movers.flatMap(\.self)) + discovery.shortages
    }

    private func dryRun(stagingClaimOf state: ClaimState) async -> [Obstacle] {
        do {
            let manifest = try Stage.stagingManifest(of: state)
            try await destination.create(.claims, in: state.name.namespace, manifest, dryRun: true)
            return []
        } catch is Refusal {
            // The claim's annotation is invalid, and the check of names reports it.
            return []
        } catch {
            return obstacle(state, "its staging claim", error)
        }
    }

    private func dryRun(successorOf state: ClaimState) async -> [Obstacle] {
        do {
            _ = try state.accessModes()
            let why = try await successor.hindrance(
                of: state,
                namespaceComes: options.handover?.createsNamespace == true || !options.pipeline.makesTargets
            )
            return why.map { [Obstacle(namespace: state.name.namespace, resource: state.title, message: $0)] } ?? []
        } catch is Refusal {
            return []
        } catch {
            return obstacle(state, "the claim that is to take its place", error)
        }
    }

    /// Tries a mover of one claim of a namespace. Where the namespace refuses root it tries one for each claim, because
    /// each has its own data owner.
    private func dryRun(moversOf states: [ClaimState]) async -> [Obstacle] {
        guard let first = states.first else { return [] }
        do {
            _ = try await dryRun(moverOf: first, orAs: nil)
            return []
        } catch let error as APIError where MoverExit.refusesRoot(error.message) {
            return await states.sideBySide { await dryRun(moverOf: $0, refused: error) }.flatMap(\.self)
        } catch {
            return obstacle(first, "its mover", error)
        }
    }

    /// Tries a mover that is not root, after one that is root was refused.
    private func dryRun(moverOf state: ClaimState, refused error: APIError) async -> [Obstacle] {
        guard let owner = state.owner else {
            var obstacles = obstacle(state, "its mover", error)
            let advice = MoverExit.adviceOnRoot(in: state.name.namespace ?? "")
            for index in obstacles.indices {
                obstacles[index].message +=
                    "; and its pods don't tell of one user other than root who could copy it; "
                    + advice
            }
            return obstacles
        }
        do {
            if let mover = try await dryRun(moverOf: state, orAs: owner), mover.owner != nil {
                journal.info(
                    state.title,
                    "its mover will run as \(owner.inWords), as its pods do, since the namespace refuses root; files of "
                        + "others would fail its check"
                )
            }
            return []
        } catch {
            return obstacle(state, "its mover as \(owner.inWords)", error)
        }
    }

    /// - Returns: The admitted mover; nil where there is none.
    private func dryRun(moverOf state: ClaimState, orAs owner: DataOwner?) async throws -> MoverPod? {
        let route = Route(mover: Placement(of: state))
        guard let mover = movers.mover(for: state, movers.content(of: state), route, task: .copy) else { return nil }
        do {
            return try await mover.admitted(orAs: owner) {
                try await destination.create(.pods, in: state.name.namespace, $0, dryRun: true)
            }.mover
        } catch let error as APIError where error.reason == .alreadyExists {
            // The mover of an earlier run exists, and the copy removes it first.
            return nil
        }
    }

    private func obstacle(_ state: ClaimState, _ what: String, _ error: any Error) -> [Obstacle] {
        if Task.isCancelled { return [] }
        let reason = (error as? APIError).map { "the API server refuses \(what): \($0.message)" } ?? "\(what): \(error)"
        return [Obstacle(namespace: state.name.namespace, resource: state.title, message: reason)]
    }
}
