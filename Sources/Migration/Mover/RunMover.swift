import Kubernetes

/// How one mover ended.
enum MoverOutcome: Sendable {
    /// It copied, and its check found nothing left to transfer.
    case equal(RsyncStatistics?)
    /// It only compared, and these items differ.
    case different([String])
    /// Nothing failed but what the file systems can't hold; these flags do without it.
    case unsupported(RsyncFlags)
    /// Something that another attempt may mend.
    case again(String)
}

extension Migrator {
    /// Runs one mover to its end and removes it, whatever happens.
    ///
    /// - Throws: `Failure` where another attempt would fail too.
    func runMover(for state: ClaimState, flags: RsyncFlags) async throws -> MoverOutcome {
        let pod = try await createMover(for: state, flags: flags)
        do {
            let outcome = try await follow(pod, of: state, flags: flags)
            try await remove(pod)
            return outcome
        } catch let error as CancellationError {
            // Whoever cancelled removes the movers: requests of this task would be cancelled too.
            throw error
        } catch {
            try await remove(pod)
            throw error
        }
    }

    /// The mover of a claim; nil where the source claim is gone.
    func mover(for state: ClaimState, flags: RsyncFlags) -> MoverPod? {
        guard let claim = state.sourceClaim else { return nil }
        let bytes = state.size?.bytes ?? 0
        return MoverPod(
            name: ObjectName(Marks.moverName(of: state.name.name, uid: claim.metadata.uid), in: state.name.namespace),
            sourceClaim: state.name.name,
            sourceUID: claim.metadata.uid,
            stagingClaim: state.stagingName.name,
            image: options.rsyncImage,
            flags: flags,
            copies: !options.rollsBack,
            placement: Placement(of: state),
            // A day, and a second for each mebibyte.
            deadline: 86_400 + Int(bytes >> 20)
        )
    }

    private func createMover(for state: ClaimState, flags: RsyncFlags) async throws -> Pod {
        guard let namespace = state.name.namespace, let mover = mover(for: state, flags: flags) else {
            throw Refusal("the claim is gone")
        }
        // One that an earlier run left behind copies with that run's flags.
        if let leftover = try await client.find(Pod.self, mover.name) { try await remove(leftover) }
        try await client.create(.pods, in: namespace, mover.manifest)
        return try await client.get(Pod.self, mover.name)
    }

    private func follow(_ pod: Pod, of state: ClaimState, flags: RsyncFlags) async throws -> MoverOutcome {
        let began = time.now()
        try await awaitStart(of: pod, since: began)
        let node = try await client.get(Pod.self, pod.name).spec.nodeName ?? "?"
        journal.info(state.title, "\(options.rollsBack ? "comparing" : "copying") on node \(node)")
        if options.verboseCopy, !options.rollsBack {
            try await client.followLog(
                of: pod.name,
                container: MoverPod.copyContainer,
                silence: .seconds(3600)
            ) { journal.output(state.title, $0) }
        }
        let last = try await client.wait(
            for: Pod.self,
            in: pod.name.namespace,
            named: pod.name.name,
            limit: .seconds(30 * 86_400),
            what: "\(pod.title) to finish"
        ) { snapshot -> (Pod?)? in
            guard let now = snapshot.objects[pod.metadata.uid] else { return .some(nil) }
            return now.isFinished ? .some(now) : nil
        }
        guard let last else { return .again("the mover \(pod.name) was deleted by somebody") }
        return try await judge(last, flags: flags)
    }

    /// Waits until the mover's first container has started; it may have ended by then.
    private func awaitStart(of pod: Pod, since began: Duration) async throws {
        var last: Pod = pod
        do {
            try await client.wait(
                for: Pod.self,
                in: pod.name.namespace,
                named: pod.name.name,
                limit: limits.moverStart,
                what: "\(pod.title) to start"
            ) { snapshot in
                guard let now = snapshot.objects[pod.metadata.uid] else { return () }
                last = now
                let state = now.state(of: options.rollsBack ? MoverPod.checkContainer : MoverPod.copyContainer)
                return now.isFinished || state?.running != nil || state?.terminated != nil ? () : nil
            }
        } catch let timeout as WaitTimeout {
            throw Failure(
                place: pod.title,
                reason: "\(timeout)\(await client.hindrance(of: last).map { ": \($0)" } ?? "")"
            )
        }
    }

    private func judge(_ pod: Pod, flags: RsyncFlags) async throws -> MoverOutcome {
        let copied = pod.state(of: MoverPod.copyContainer)?.terminated
        let checked = pod.state(of: MoverPod.checkContainer)?.terminated
        let isCopied = options.rollsBack || copied?.exitCode == 0
        if isCopied, checked?.exitCode == 0 {
            let check = try await client.log(of: pod.name, container: MoverPod.checkContainer, tail: 1000)
            guard RsyncStatistics(in: check) != nil else {
                return .again("the check after the copy said nothing; do --rsync-flags silence it?")
            }
            let differences = RsyncDifferences(in: check)
            if options.rollsBack {
                guard !differences.lines.isEmpty else { return .equal(RsyncStatistics(in: check)) }
                return .different(differences.lines.map(String.init))
            }
            if differences.lines.isEmpty {
                let output = try await client.log(of: pod.name, container: MoverPod.copyContainer, tail: 60)
                return .equal(RsyncStatistics(in: output))
            }
            return .again(
                "after the copy \(differences.lines.count) entries still differ, such as: "
                    + (differences.lines.first.map { String($0).shortened(to: 1000) } ?? "")
            )
        }
        let failedContainer = isCopied ? MoverPod.checkContainer : MoverPod.copyContainer
        guard let code = (isCopied ? checked : copied)?.exitCode else {
            // Evicted, its node lost, its deadline passed: no container says why.
            let reason = pod.status?.reason ?? "Failed"
            return .again("the mover failed: \(reason)\(pod.status?.message.map { ": \($0)" } ?? "")")
        }
        let output = try await client.log(of: pod.name, container: failedContainer, tail: 200)
        if code == 23 || code == 4 || code == 1, let reduced = RsyncExit.unsupported(in: output, flags: flags) {
            return .unsupported(reduced)
        }
        let exit = RsyncExit(code)
        let tail = RsyncExit.complaints(in: output).joined(separator: "\n    ")
        let advice = RsyncExit.advice(output: output).map { "\n  advice: \($0)" } ?? ""
        let why = "rsync ended with exit code \(code), \(exit.meaning)"
        if exit.isWorthRepeating { return .again(why) }
        throw Failure(place: pod.title, reason: why + (tail.isEmpty ? "" : ". It says:\n    \(tail)") + advice)
    }

    /// Deletes a mover and waits until it is gone, so that its claims are free.
    func remove(_ pod: Pod, limit: Duration? = nil) async throws {
        try await client.delete(.pods, pod.name, uid: pod.metadata.uid, grace: pod.isFinished ? 0 : 1)
        try await client.wait(
            for: Pod.self,
            in: pod.name.namespace,
            named: pod.name.name,
            limit: limit ?? limits.stopping,
            what: "\(pod.title) to be gone"
        ) { $0.objects[pod.metadata.uid] == nil ? () : nil }
    }

    /// Removes whatever movers of a unit there are.
    func removeMovers(of unit: Unit, limit: Duration? = nil) async throws {
        let uids = Set(unit.claims.compactMap { $0.sourceClaim?.metadata.uid ?? $0.seal?.uid })
        for namespace in Set(unit.claims.compactMap(\.name.namespace)) {
            for pod in try await client.list(Pod.self, in: namespace) {
                guard pod.metadata.annotation(Marks.kind) == Marks.Kind.mover else { continue }
                let owner = pod.metadata.annotation(Marks.sourceUID)
                // The Go tool's movers name the claim only.
                let isGoTools =
                    owner == nil && unit.claims.contains { $0.name.name == pod.metadata.annotation(Marks.claim) }
                if isGoTools || owner.map(uids.contains) == true { try await remove(pod, limit: limit) }
            }
        }
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
