import FoundationEssentials
import Kubernetes
import Migration

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// One run: from the kubeconfig to the last line.
struct Command: Sendable {
    private(set) var invocation: Invocation
    let surroundings: Surroundings
    let interruption: Interruption
    let log: Log
    let events: Events
    let display: Display
    let limit: RunLimit?
    let metrics: Metrics?

    init(invocation: Invocation, surroundings: Surroundings, interruption: Interruption) {
        self.invocation = invocation
        self.surroundings = surroundings
        self.interruption = interruption
        limit = invocation.timeout.map { RunLimit($0) }
        events = Events(stream: invocation.connection.format == .jsonl ? surroundings.output : nil)
        log = Log(time: surroundings.time, events: events, write: surroundings.errors)
        // What is streamed to stdout may go to the same terminal, and would be drawn over.
        let isStreaming = invocation.connection.format == .jsonl
        metrics = invocation.files.metrics.map { Metrics(file: $0, invocation) }
        display = Display(terminal: isStreaming ? nil : surroundings.terminal, log: log)
    }

    var options: Options { invocation.options }

    /// Does what was asked for and prints the outcome.
    ///
    /// - Throws: `UnreadableSelector` or `UsageError`, before anything is done.
    func run() async throws -> ExitCode {
        for file in invocation.files.all { try file.check() }
        events.started(invocation)
        let outcome = try await display.live {
            async let _ = limit?.watch(interruption, log)
            async let _ = metrics?.keepWritten(log)
            return try await self.outcome()
        }
        write(outcome)
        metrics?.write(outcome, log)
        let json = outcome.json(options)
        surroundings.conclude(
            invocation.connection.format,
            text: outcome.text,
            json: invocation.connection.format == .jsonl ? Events.finished(json, log.elapsed) : json,
            last: (outcome.code == .done ? "" : "error: ") + outcome.message
        )
        return outcome.code
    }

    /// Writes the files that were asked for. A migration that is done is not undone by a full disk: it is only said.
    private func write(_ outcome: Outcome) {
        let took = log.elapsed
        let began = Date.now.addingTimeInterval(-Double(took.components.seconds))
        if let file = invocation.files.junit {
            write(surroundings.name.typed(in: outcome.junit(options, began: began, took: took)), to: file)
        }
        if let file = invocation.files.report {
            let (milestones, messages) = events.kept
            let report = HTMLReport(
                outcome: outcome,
                options: options,
                arguments: surroundings.arguments,
                began: began,
                took: took,
                milestones: milestones,
                messages: messages
            )
            write(surroundings.name.typed(in: report.text), to: file)
        }
    }

    private func write(_ text: String, to file: ResultFile) {
        do {
            try file.write(text)
        } catch {
            log.note(.error, file.path, "could not be written: \(error)")
        }
    }

    /// Does what was asked for, and prints nothing of how it ended.
    ///
    /// - Throws: `UnreadableSelector`, before anything is done.
    func outcome() async throws -> Outcome {
        var configuration: Configuration?
        var discovery: Discovery?
        do {
            let found = try invocation.connection.configuration(in: surroundings)
            configuration = found
            return try await outcome(on: found, &discovery)
        } catch let error as UnreadableSelector {
            throw error
        } catch let deviation as Deviation {
            return outcome(deviation)
        } catch {
            let isInterrupted = error is CancellationError || interruption.isRequested
            return Outcome(
                kind: isInterrupted ? .interrupted : .failed,
                code: .failed,
                message: (isInterrupted ? interrupted : explanation(of: error, asking: configuration))
                    + "; nothing was changed" + leftStopped(discovery),
                discovery: discovery
            )
        }
    }

    private func outcome(on found: Configuration, _ discovery: inout Discovery?) async throws -> Outcome {
        var command = self
        let client = try surroundings.client(found, invocation.connection, log: log)
        if let tree = invocation.tree {
            let resolved = try await interruption.cancelling { try await tree.resolved(client) }
            if let refusal = refusal(resolved.obstacles, Discovery()) { return refusal }
            command.invocation.options.take(resolved.tree)
        }
        return try await command.outcome(by: command.migrator(client), &discovery)
    }

    private func outcome(by migrator: Migrator, _ discovery: inout Discovery?) async throws -> Outcome {
        let discovered: Discovery
        do {
            discovered = try await interruption.cancelling { try await migrator.discover() }
        } catch let error as APIError where error.reason == .forbidden {
            // Whoever may not look is told everything that is missing, not only the first of it.
            let missing = await migrator.checkPermissions()
            // Where not even that may be asked, the first refusal says most.
            guard let refusal = refusal(missing, Discovery()), !missing.contains(where: \.isUnanswered) else {
                throw error
            }
            return refusal
        }
        discovery = discovered
        planned(discovered)
        for note in discovered.notes { log.note(.warning, note.resource, note.message) }
        try await checkPlan(migrator, discovered)
        switch invocation.mode {
        case .plan: return plan(discovered)
        case .preflight: return await preflight(migrator, discovered, proceeds: false) ?? passed(discovered)
        case .abort: return try await abort(migrator, discovered)
        case .migrate(let afterPreflight):
            if let refusal = try await answer(discovered) { return refusal }
            let refusal =
                afterPreflight
                ? await preflight(migrator, discovered, proceeds: true) : refusal(obstacles(discovered), discovered)
            if let refusal { return refusal }
            return try await migrate(migrator, discovered)
        }
    }

    private func planned(_ discovery: Discovery) {
        events.planned(discovery, log.elapsed)
        display.planned(discovery)
        metrics?.planned(discovery)
    }

    private func migrator(_ client: Client) -> Migrator {
        Migrator(
            client: client,
            options: options,
            journal: Journal(
                time: surroundings.time,
                start: log.start,
                write: { [log] in log.note($0) },
                mark: { [events, display, metrics] in
                    events.note($0)
                    display.note($0)
                    metrics?.note($0)
                },
                watch: { [events, display, metrics, log] in
                    events.note($0, $1, log.elapsed)
                    display.note($0, $1)
                    metrics?.note($0, $1)
                }
            ),
            local: invocation.tree.map { _ in
                LocalComputer(environment: surroundings.environment, time: surroundings.time)
            }
        )
    }

    // MARK: Before anything is changed

    private func plan(_ discovery: Discovery) -> Outcome {
        let obstacles =
            (obstacles(discovery) + discovery.units.flatMap(\.obstacles) + unreadableAccessModes(discovery)).each
        if !obstacles.isEmpty {
            return Outcome(
                kind: .planned,
                code: .refused,
                message: "dry run: \(obstacles.count.of("obstacle")) in the way; nothing was changed",
                discovery: discovery,
                obstacles: obstacles
            )
        }
        if discovery.isEmpty { return nothingToDo(discovery) }
        return Outcome(
            kind: .planned,
            code: .done,
            message: "dry run: \(discovery.amountInWords(options)); nothing was changed"
                + leftStopped(discovery),
            discovery: discovery
        )
    }

    /// Runs preflight; nil where nothing stands in the way.
    private func preflight(_ migrator: Migrator, _ discovery: Discovery, proceeds: Bool) async -> Outcome? {
        log.note(.info, "preflight", "checking what the migration needs")
        let unreadable = unreadableScales(discovery)
        let obstacles =
            await migrator.preflight(
                discovery,
                interruption: interruption,
                proceeds: proceeds && unreadable.isEmpty
            ) + unreadable
        guard !interruption.isRequested else {
            return Outcome(
                kind: .interrupted,
                code: .failed,
                message: "\(interrupted); nothing was changed" + leftStopped(discovery),
                discovery: discovery,
                obstacles: obstacles
            )
        }
        return refusal(obstacles, discovery)
    }

    func refusal(_ obstacles: [Obstacle], _ discovery: Discovery) -> Outcome? {
        guard !obstacles.isEmpty else { return nil }
        return Outcome(
            kind: .preflightFailed,
            code: .refused,
            message:
                "\(invocation.mode == .abort ? "nothing to take back" : "preflight failed"): \(obstacles.count.of("obstacle")); nothing was changed"
                + leftStopped(discovery),
            discovery: discovery,
            obstacles: obstacles
        )
    }

    private func passed(_ discovery: Discovery) -> Outcome {
        Outcome(
            kind: .preflightPassed,
            code: .done,
            message: "preflight passed: nothing stands in the way of "
                + discovery.units.reduce(0) { $0 + $1.claims.count }.of("claim"),
            discovery: discovery
        )
    }

    private func nothingToDo(_ discovery: Discovery) -> Outcome {
        let notes = discovery.notes.count
        let isStopped = discovery.leftStopped.contains(where: \.isStoppedByMigration)
        return Outcome(
            kind: .nothingToDo,
            code: isStopped ? .stopped : .done,
            message: "nothing to do: \(discovery.emptiness(options))"
                + (notes > 0 ? "; \(notes.of("object")) left alone, see above" : "") + leftStopped(discovery),
            discovery: discovery
        )
    }

    /// The end of a message, where an earlier run has left workloads at zero.
    func leftStopped(_ discovery: Discovery?) -> String {
        let workloads =
            (discovery?.units.flatMap(\.workloads) ?? []) + (discovery?.forgotten ?? [])
            + (discovery?.leftStopped ?? [])
        let stopped = workloads.filter(\.isStoppedByMigration).map(\.title)
        return stopped.isEmpty ? "" : "; still stopped since an earlier run: \(stopped.joined(separator: ", "))"
    }

    // MARK: The migration

    private func migrate(_ migrator: Migrator, _ found: Discovery) async throws -> Outcome {
        // An earlier run may have failed at nothing but what comes after the units.
        if found.isEmpty, !options.setDefaults, !options.updatesClaimTemplates { return nothingToDo(found) }
        let began = surroundings.time.now()
        let (discovery, report): (Discovery, Report)
        do {
            (discovery, report) = try await exclusively(migrator)
        } catch {
            for left in await migrator.awaitRemovedTrials() { log.note(.warning, left.resource, left.message) }
            throw error
        }
        return outcome(
            await checkingStopped(report, discovery, migrator),
            discovery,
            took: surroundings.time.now() - began
        )
    }

    /// Migrates what is there now. Preflight takes its time, and until a moment ago another run may have been at work.
    private func exclusively(_ migrator: Migrator) async throws -> (Discovery, Report) {
        try await migrator.exclusively(as: Self.identity, interruption: interruption) { [interruption, log] in
            let discovery = try await interruption.cancelling {
                try await migrator.awaitObjects(try await migrator.discover())
            }
            planned(discovery)
            try await checkPlan(migrator, discovery)
            let doing = migrator.options.goalInWords.doing
            log.note(.info, "", "\(doing) \(discovery.amountInWords(migrator.options))")
            return (discovery, await migrator.migrate(discovery, interruption: interruption))
        }
    }

    /// Adds what an earlier run has stopped, and this one has not come to start again.
    private func checkingStopped(_ report: Report, _ discovery: Discovery, _ migrator: Migrator) async -> Report {
        var report = report
        report.stopped += discovery.leftStopped.filter(\.isStoppedByMigration).map(\.title)
        let skipped = Set(report.claims.filter { $0.result == .skipped }.map(\.name))
        for unit in discovery.units where unit.claims.contains(where: { skipped.contains($0.name) }) {
            for workload in unit.workloads where workload.isStoppedByMigration {
                guard !report.stopped.contains(workload.title) else { continue }
                do {
                    // Not for long: whoever interrupts a run does not wait for a server that is away.
                    let isStopped = try await surroundings.time.within(.seconds(5), what: "the API server") {
                        try await migrator.current(workload)?.isStoppedByMigration == true
                    }
                    if isStopped { report.stopped.append(workload.title) }
                } catch {
                    log.note(.warning, workload.title, "whether it runs could not be read: \(error)")
                    report.stopped.append(workload.title)
                }
            }
        }
        return report
    }

    /// What has ended a run before its time.
    var interrupted: String { limit?.isOver == true ? "interrupted by --timeout" : "interrupted" }

    /// How other runs see who holds the lock: machine, process, and something that no other run has.
    static var identity: String {
        var name = [CChar](repeating: 0, count: 256)
        let isKnown = gethostname(&name, name.count) == 0
        let host = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return "\(isKnown ? host : "unknown host") process \(getpid()) \(UUID().uuidString.prefix(8).lowercased())"
    }
}

extension Discovery {
    /// How much there is to do, and how much of it at a time.
    func amountInWords(_ options: Options) -> String {
        let claims = units.reduce(0) { $0 + $1.claims.count }
        let amount = "\(claims.of("claim")) in \(units.count.of("unit"))"
        guard units.count > 1 else { return amount }
        let atATime = min(options.parallel, units.count)
        return "\(amount), \(atATime) at a time, \(min(options.parallelPerNode, atATime)) on one node"
    }
}

extension Workload {
    /// True while it is at zero because of a migration.
    var isStoppedByMigration: Bool { replicas == 0 && isMarked }
}

extension Int {
    /// A number of things: `1 claim`, `3 claims`.
    func of(_ thing: String) -> String { self == 1 ? "1 \(thing)" : "\(self) \(thing)s" }
}

extension [Obstacle] {
    /// Each of them once: a difference between two classes stands in the way of every claim.
    fileprivate var each: [Obstacle] {
        var known: Set<Obstacle> = []
        return filter { known.insert($0).inserted }
    }
}
