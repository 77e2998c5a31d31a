import Kubernetes

extension Migrator {
    /// Lets the API server check and admit every staging claim, and a mover for each namespace, without keeping them;
    /// what each of them passes alone is then added up against the quotas.
    func checkAdmission(_ discovery: Discovery) async throws -> [Obstacle] {
        async let quotas = checkQuotas(discovery)
        // Whoever may not create them at all is told so once, by the check of permissions.
        let mayCreateClaims = try await client.mayI("create", .claims, in: options.namespace)
        let mayCreatePods = try await client.mayI("create", .pods, in: options.namespace)
        let states = mayCreateClaims ? discovery.claimsToStage : []
        let copies = mayCreatePods ? discovery.units.flatMap(\.claims).filter(\.isToBeCopied) : []
        let firsts = Dictionary(grouping: copies) { $0.name.namespace ?? "" }.values.compactMap(\.first)
        async let claims = states.sideBySide { await dryRun(stagingClaimOf: $0) }
        async let movers = firsts.sideBySide { await dryRun(moverOf: $0) }
        return await claims.flatMap(\.self) + (await movers.flatMap(\.self)) + (try await quotas)
    }

    private func dryRun(stagingClaimOf state: ClaimState) async -> [Obstacle] {
        do {
            let manifest = try Self.stagingManifest(of: state, class: options.destinationClass)
            try await client.create(.claims, in: state.name.namespace, manifest, dryRun: true)
            return []
        } catch is Refusal {
            // The claim's annotation; the check of names says so.
            return []
        } catch {
            return obstacle(state, "its staging claim", error)
        }
    }

    private func dryRun(moverOf state: ClaimState) async -> [Obstacle] {
        do {
            guard let mover = mover(for: state, state.content(options)) else { return [] }
            try await client.create(.pods, in: state.name.namespace, mover.manifest, dryRun: true)
            return []
        } catch let error as APIError where error.reason == .alreadyExists {
            // That of an earlier run, which the copy removes first.
            return []
        } catch {
            return obstacle(state, "its mover", error)
        }
    }

    private func obstacle(_ state: ClaimState, _ what: String, _ error: any Error) -> [Obstacle] {
        if Task.isCancelled { return [] }
        let reason = (error as? APIError).map { "the API server refuses \(what): \($0.message)" } ?? "\(what): \(error)"
        return [Obstacle(namespace: state.name.namespace, resource: state.title, message: reason)]
    }
}

extension ClaimState {
    /// True where a mover will run for the claim, as far as its own state allows it.
    fileprivate var isToBeCopied: Bool {
        switch next(stagingBindsAtOnce: true) {
        case .protect, .stage, .awaitStaging, .copy: return true
        default: return false
        }
    }
}
