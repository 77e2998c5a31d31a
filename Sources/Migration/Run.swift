import Kubernetes

/// Migrates the discovered units.
struct Run: Sendable {
    private let context: Context
    private let options: Options
    private let pipeline: Pipeline
    private let journal: Journal
    private let findings: Findings
    private let events: Events
    private let restore: Restore
    private let recovery: Recovery
    private let trials: TrialRemoval
    private let runner: UnitRunner

    init(_ context: Context) {
        self.context = context
        (options, pipeline) = (context.options, context.options.pipeline)
        (journal, findings) = (context.journal, context.findings)
        events = Events(context)
        restore = Restore(context)
        recovery = Recovery(context)
        trials = TrialRemoval(context)
        runner = UnitRunner(context: context)
    }

    /// Migrates units. A failing unit is brought back to a safe state and does not keep the others from being migrated.
    func migrate(_ discovery: Discovery, _ interruption: Interruption) async -> Report {
        var report = Report()
        findings.note { $0.destinationClass = discovery.classOfNewVolumes(options) }
        let swaps = !pipeline.forwardOnly.isEmpty
        if options.verification == .none, swaps, !pipeline.keepsStorage {
            journal.warn("", "--verify none: a copy counts when it ends without a failure, and is not checked")
        }
        if !discovery.units.isEmpty, !pipeline.keepsStorage { Image(context).warnOfTag() }
        do {
            let isNeeded =
                discovery.units.contains(where: \.obstacles.isEmpty) || discovery.objects.contains(where: \.isWritten)
            if swaps, isNeeded { try await TargetNamespace(context).create() }
        } catch {
            report.failures.append("the namespace \(options.handover?.namespace ?? "") could not be created: \(error)")
            return report
        }
        let objects = Objects(context)
        report.failures = await objects.carry(discovery.objects, where: \.comesFirst)
        guard report.failures.isEmpty else { return report }
        async let leftovers = leftoversOfTrials(interruption)
        if swaps { await restore.startForgotten(discovery, into: &report) }
        if !pipeline.keepsStorage, discovery.units.contains(where: { $0.isRunning && $0.obstacles.isEmpty }) {
            do { try await interruption.cancelling { await learn() } } catch {
                // Each unit sees the interruption.
            }
        }
        // Passes of the units that come next are made beside the copies of those that have their turn.
        let passesAhead = pipeline.preparesAhead && options.passesEarly
        let movers = discovery.moversAtOnce(passesAhead ? 2 * options.parallel : options.parallel)
        findings.note { $0.movers = max(1, movers) }
        for unit in await reports(of: discovery, interruption) {
            report.claims += unit.claims
            report.stopped += unit.stopped
            report.failures += unit.failures
            report.left += unit.left
        }
        let isWhole = report.failures.isEmpty && report.claims.allSatisfy(\.isDone) && !interruption.isRequested
        if isWhole { report.failures += await objects.carry(discovery.objects) { !$0.comesFirst } }
        report.failures += discovery.passedOver.map { "\($0.resource) \($0.message)" }
        report.wasInterrupted = interruption.isRequested
        if options.updatesClaimTemplates, !report.wasInterrupted {
            report.failures += await ClaimTemplates(context).update()
        }
        if options.setDefaults, report.succeeded {
            do { try await SetDefaultClass(context).set() } catch {
                report.failures.append("the default class was not changed: \(error)")
            }
        }
        report.failures += await leftovers
        return report
    }

    /// Waits until the volumes of preflight's trials are deleted, unless somebody wants to stop.
    ///
    /// - Returns: What is left of them, in words.
    private func leftoversOfTrials(_ interruption: Interruption) async -> [String] {
        do {
            return try await interruption.cancelling { await trials.awaitFreedStorage() }
                .map { "\($0.resource): \($0.message)" }
        } catch {
            return ["preflight: the volumes of its trials are still being deleted"]
        }
    }

    /// Finds out what decides how movers are made ready.
    private func learn() async {
        await Nodes(context).learnImages()
        let runsCommands = await AccessReviews(context).may(.commands)
        findings.note { $0.runsCommands = runsCommands }
        guard !runsCommands else { return }
        journal.info(
            "pods/exec",
            "not permitted: the last copy is made by a pod that is created after the stop, which then takes some seconds "
                + "longer; \"pvmigrate rbac --standing-movers\" prints what has to be granted"
        )
    }

    /// The end of a unit. It is a struct, because with tuples the optimiser of Swift 6.3 made programs that trapped.
    private struct Ended: Sendable {
        var unit: Int
        /// The unit's report; nil where it was only made ready.
        var report: Report?
        var progress: Progress
    }

    /// Migrates the units in the order of the schedule. The next ones are made ready meanwhile.
    ///
    /// - Returns: The report of each unit, in the units' order.
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
                while pipeline.preparesAhead, let number = schedule.nextToPrepare() {
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

    /// Does the work of running workloads before a unit's turn. A failure here repeats in its turn.
    private func prepare(_ start: Progress, _ interruption: Interruption) async -> Progress {
        guard start.unit.obstacles.isEmpty, start.unit.isRunning, !interruption.isRequested else { return start }
        var (progress, _) = await runner.run(pipeline.whileRunning, start, until: interruption)
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
        } else if pipeline.forwardOnly.isEmpty {
            await stage(progress, interruption: interruption, into: &report)
        } else {
            await migrate(progress, interruption: interruption, into: &report)
        }
        return report
    }

    /// Copies while the workloads run, and takes back all but the staging claims.
    private func stage(_ start: Progress, interruption: Interruption, into report: inout Report) async {
        guard !start.unit.isUnderWay else {
            report.add(start, .skipped, reason: "a migration of it is under way: finish that with pvmigrate")
            return
        }
        events.record(.began, of: start)
        let (progress, failure) = await runner.run(pipeline.undoable, start, until: interruption)
        let isInterrupted = failure is CancellationError
        if let failure, !isInterrupted { journal.tell(failure, of: progress.unit) }
        let recovered = isInterrupted ? await recovery.recoverInTime(progress) : await recovery.recover(progress)
        report.stopped += recovered.stopped
        let reason = failure.map { isInterrupted ? "the run was interrupted" : "\($0)" }
        report.add(
            recovered.progress,
            failure == nil ? pipeline.result : isInterrupted ? .skipped : .failed,
            reason: reason
        )
        events.record(reason.map { .failed($0) } ?? .finished, of: recovered.progress)
        journal.mark(start.unit, .ended(isDone: failure == nil))
    }

    private func migrate(_ start: Progress, interruption: Interruption, into report: inout Report) async {
        events.record(.began, of: start)
        var (progress, failure) = await runner.run(pipeline.undoable, start, until: interruption)
        if failure == nil { (progress, failure) = await runner.run(pipeline.forwardOnly, progress, until: nil) }
        if failure == nil, !progress.isDone {
            failure = Failure(
                place: progress.unit.title,
                reason: "the cluster changed while it was migrated; run again"
            )
        }
        guard let failure else {
            report.add(progress, pipeline.result, reason: nil)
            report.failures += keptVolumes(progress)
            report.left += progress.left
            events.record(.finished, of: progress)
            journal.mark(progress.unit, .ended(isDone: true))
            await journal.orWarn(progress.unit.title) { try await Release(context).awaitFreedStorage(progress) }
            return
        }
        let reason = failure is CancellationError ? "the run was interrupted" : "\(failure)"
        if failure is CancellationError {
            journal.info(progress.unit.title, "interrupted: it goes back to where it was")
        } else {
            journal.tell(failure, of: progress.unit)
        }
        let recovered: Recovery.Recovered
        let began = journal.begin(Pipeline.wayBack, progress.unit)
        if failure is CancellationError {
            recovered = await recovery.recoverInTime(progress)
        } else {
            recovered = await recovery.recover(progress)
        }
        journal.end(Pipeline.wayBack, progress.unit, began: began)
        report.stopped += recovered.stopped
        report.failures += keptVolumes(recovered.progress)
        report.left += recovered.progress.left
        for state in recovered.progress.unit.claims {
            let isDone = state.next == .done
            report.add(
                state,
                of: recovered.progress,
                isDone ? pipeline.result : failure is CancellationError ? .skipped : .failed,
                reason: isDone ? nil : reason
            )
        }
        events.record(.failed(reason), of: recovered.progress)
        journal.mark(recovered.progress.unit, .ended(isDone: recovered.progress.isDone))
    }

    /// Returns messages about the claims whose old volume is kept though nobody asked for it.
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
}

extension Discovery {
    /// Returns the largest number of claims that are copied side by side, with this many units.
    func moversAtOnce(_ parallel: Int) -> Int {
        units.map(\.claims.count).sorted(by: >).prefix(parallel).reduce(0, +)
    }
}
