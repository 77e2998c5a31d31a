import Kubernetes

extension Migrator {
    /// Migrates what discovery found, a few units side by side, and always says what became of each.
    ///
    /// A failing unit is brought back to a safe state and doesn't keep the others from being migrated.
    public func migrate(_ discovery: Discovery, interruption: Interruption) async -> Report {
        // However many units and claims: a handful of watches.
        await client.sharingReads(ofAllNamespaces: options.selection.namespaces.isEmpty) { client in
            var migrator = self
            migrator.client = client
            let sharing = migrator
            return await sharing.sendingEvents { await sharing.migrateAll(discovery, interruption) }
        }
    }

    private func migrateAll(_ discovery: Discovery, _ interruption: Interruption) async -> Report {
        var report = Report()
        findings.note {
            $0.movers = max(1, discovery.moversAtOnce(options.parallel))
            $0.destinationClass = discovery.storageClass(options.destinationClass)
        }
        if options.verification == .none, options.goal != .stage {
            journal.warn("", "--verify none: a copy counts when it ends without a failure, and is not checked")
        }
        warnOfTag(before: discovery)
        if options.goal != .stage { await startForgotten(discovery, into: &report) }
        if !options.makesPasses, discovery.units.contains(where: \.isRunning) { await learnImages() }
        for unit in await reports(of: discovery, interruption) {
            report.claims += unit.claims
            report.stopped += unit.stopped
            report.failures += unit.failures
        }
        report.failures += discovery.passedOver.map { "\($0.resource) \($0.message)" }
        report.wasInterrupted = interruption.isRequested
        if options.updatesClaimTemplates, !report.wasInterrupted {
            report.failures += await updateClaimTemplates()
        }
        if options.setDefaults, report.succeeded {
            do { try await setDefaultClass() } catch {
                report.failures.append("the default class was not changed: \(error)")
            }
        }
        return report
    }

    /// What has become of a unit. A struct: with tuples the optimiser of Swift 6.3 made programs that trapped.
    private struct Ended: Sendable {
        var unit: Int
        /// Nil where it was only made ready.
        var report: Report?
        var progress: Progress
    }

    /// Migrates the units, as the schedule has them; those whose turn comes next are made ready meanwhile.
    ///
    /// - Returns: what became of each, in the units' order.
    private func reports(of discovery: Discovery, _ interruption: Interruption) async -> [Report] {
        await withTaskGroup(of: Ended.self) { group in
            var schedule = Schedule(discovery, atMost: options.parallel, perNode: options.parallelPerNode)
            var units = discovery.units.map { Progress(unit: $0) }
            var reports = [Report?](repeating: nil, count: units.count)
            while true {
                while let number = schedule.next() {
                    let progress = units[number]
                    group.addTask {
                        Ended(unit: number, report: await report(of: progress, interruption), progress: progress)
                    }
                }
                while preparesAhead, let number = schedule.nextToPrepare() {
                    let progress = units[number]
                    group.addTask { Ended(unit: number, progress: await prepare(progress, interruption)) }
                }
                guard let ended = await group.next() else { break }
                units[ended.unit] = ended.progress
                reports[ended.unit] = ended.report
                schedule.end(ended.unit)
            }
            return reports.compactMap(\.self)
        }
    }

    /// With passes a unit's turn begins long before its workloads stop; and what a rollback swaps to is there.
    private var preparesAhead: Bool { options.goal == .migrate && !options.isLive }

    /// Does before a unit's turn what can be done while its workloads run. What fails here fails in its turn again.
    private func prepare(_ start: Progress, _ interruption: Interruption) async -> Progress {
        guard start.unit.obstacles.isEmpty, start.unit.isRunning, !interruption.isRequested else { return start }
        var (progress, _) = await run(options.pipeline.whileRunning, start, until: interruption)
        progress.isPrepared = true
        return progress
    }

    /// Migrates one unit, unless something stands in its way.
    private func report(of progress: Progress, _ interruption: Interruption) async -> Report {
        var report = Report()
        if let obstacle = progress.unit.obstacles.first {
            report.add(progress, .skipped, reason: "\(obstacle.resource): \(obstacle.message)")
        } else if interruption.isRequested, !progress.isPrepared {
            report.add(progress, .skipped, reason: "the run was interrupted")
        } else if options.pipeline.forwardOnly.isEmpty {
            await stage(progress, interruption: interruption, into: &report)
        } else {
            await migrate(progress, interruption: interruption, into: &report)
        }
        return report
    }

    /// Starts the workloads that an earlier run stopped, and whose claims are all done.
    func startForgotten(_ discovery: Discovery, into report: inout Report) async {
        for workload in discovery.forgotten {
            do {
                journal.info(workload.title, "was stopped by an earlier run")
                _ = try await start(workload)
            } catch {
                report.failures.append("\(workload.title): \(error)")
                report.stopped.append(workload.title)
            }
        }
    }

    /// Copies while the workloads run, and takes back all but the staging claims.
    private func stage(_ start: Progress, interruption: Interruption, into report: inout Report) async {
        guard !start.unit.claims.contains(where: { $0.seal != nil }), !start.unit.workloads.contains(where: \.isMarked)
        else {
            report.add(start, .skipped, reason: "a migration of it is under way: finish that with pvmigrate")
            return
        }
        record(.began, of: start)
        let (progress, failure) = await run(options.pipeline.undoable, start, until: interruption)
        let isInterrupted = failure is CancellationError
        if let failure, !isInterrupted { tell(failure, of: progress.unit) }
        let recovered = isInterrupted ? await recoverInTime(progress) : await recover(progress)
        report.stopped += recovered.stopped
        let reason = failure.map { isInterrupted ? "the run was interrupted" : "\($0)" }
        report.add(
            recovered.progress,
            failure == nil ? done : isInterrupted ? .skipped : .failed,
            reason: reason
        )
        record(reason.map { .failed($0) } ?? .finished, of: recovered.progress)
        journal.mark(start.unit, .ended(isDone: failure == nil))
    }

    private func migrate(_ start: Progress, interruption: Interruption, into report: inout Report) async {
        record(.began, of: start)
        var (progress, failure) = await run(options.pipeline.undoable, start, until: interruption)
        if failure == nil { (progress, failure) = await run(options.pipeline.forwardOnly, progress, until: nil) }
        if failure == nil, !progress.isDone {
            failure = Failure(
                place: progress.unit.title,
                reason: "the cluster changed while it was migrated; run again"
            )
        }
        guard let failure else {
            report.add(progress, done, reason: nil)
            report.failures += keptVolumes(progress)
            record(.finished, of: progress)
            journal.mark(progress.unit, .ended(isDone: true))
            await orWarn(progress.unit.title) { try await awaitFreedStorage(progress) }
            return
        }
        let reason = failure is CancellationError ? "the run was interrupted" : "\(failure)"
        if failure is CancellationError {
            journal.info(progress.unit.title, "interrupted: it goes back to where it was")
        } else {
            tell(failure, of: progress.unit)
        }
        let recovered: Recovered
        let began = journal.begin(Pipeline.wayBack, progress.unit)
        if failure is CancellationError {
            recovered = await recoverInTime(progress)
        } else {
            recovered = await recover(progress)
        }
        journal.end(Pipeline.wayBack, progress.unit, began: began)
        report.stopped += recovered.stopped
        report.failures += keptVolumes(recovered.progress)
        for state in recovered.progress.unit.claims {
            let isDone = state.next == .done
            report.add(
                state,
                of: recovered.progress,
                isDone ? done : failure is CancellationError ? .skipped : .failed,
                reason: isDone ? nil : reason
            )
        }
        record(.failed(reason), of: recovered.progress)
        journal.mark(recovered.progress.unit, .ended(isDone: recovered.progress.isDone))
    }

    /// What is said of the claims whose old volume is kept though nobody asked for it.
    private func keptVolumes(_ progress: Progress) -> [String] {
        progress.unit.claims.compactMap { state in
            let isDisturbed = state.source.flatMap { KeptVolume($0) }?.reason == .disturbed
            if isDisturbed || progress.disturbed[state.id] != nil {
                return
                    "\(state.title): \(progress.disturbed[state.id] ?? "a pod") was started after the copy, so its old "
                    + "volume \(state.source?.metadata.name ?? "?") is kept: it may hold what was written since, which is "
                    + "nowhere else"
            }
            guard state.isReleased, let source = state.source,
                case .unseen(let why) = progress.readiness[state.id]
            else { return nil }
            return "\(state.title): no workload was seen ready on its new volume (\(why)), so its old volume "
                + "\(source.metadata.name) is kept. To swap back to it: pvmigrate rollback --source-sc "
                + "\(options.sourceClass) --dest-sc \(options.destinationClass) --pvc \(state.name); to free it: "
                + "pvmigrate cleanup --pvc \(state.name)"
        }
    }

    /// What a claim is when nothing is left to do for it.
    var done: Report.Result { options.pipeline.result }

    /// Runs some steps over a unit; with an interruption, waits are given up when it comes.
    func run(
        _ steps: [Step],
        _ start: Progress,
        until interruption: Interruption?
    ) async -> (Progress, (any Error)?) {
        @Sendable func perform() async -> (Progress, (any Error)?) {
            var progress = start
            do {
                for step in steps {
                    try Task.checkCancellation()
                    try await take(step, &progress)
                }
                return (progress, nil)
            } catch {
                return (progress, Task.isCancelled ? CancellationError() : error)
            }
        }
        guard let interruption else { return await perform() }
        return await withTaskGroup(of: (Progress, (any Error)?)?.self) { group in
            group.addTask { await perform() }
            group.addTask {
                await interruption.wait()
                return nil
            }
            var result: (Progress, (any Error)?)?
            for await next in group {
                // Either the steps ended, or the interruption came: then they are given up, and end soon.
                if let next { result = next }
                group.cancelAll()
            }
            return result ?? (start, CancellationError())
        }
    }

    private func take(_ step: Step, _ progress: inout Progress) async throws {
        let unit = progress.unit
        let began = journal.begin(step.name, unit)
        do {
            try await step.run(self, &progress)
            journal.end(step.name, unit, began: began)
        } catch {
            journal.end(step.name, unit, began: began, failed: true)
            throw error
        }
    }

    func tell(_ error: any Error, of unit: Unit) {
        let failure = error as? Failure
        journal.error(failure?.place ?? unit.title, failure?.reason ?? "\(error)")
    }

    /// Does something that is worth trying, and says so where it fails.
    @discardableResult
    func orWarn<Value>(_ subject: String, _ work: () async throws -> Value) async -> Value? {
        do {
            return try await work()
        } catch {
            journal.warn(subject, "\(error)")
            return nil
        }
    }
}

extension Discovery {
    /// How many claims are copied side by side at most, where so many units are.
    func moversAtOnce(_ parallel: Int) -> Int {
        units.map(\.claims.count).sorted(by: >).prefix(parallel).reduce(0, +)
    }
}
