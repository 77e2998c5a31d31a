import ArgumentParser
import Kubernetes
import Migration

/// A command that `pvmigrate plan` writes down and `pvmigrate apply` runs.
enum PlannedCommand {
    /// Reads a command's name and flags.
    ///
    /// - Throws: `UsageError` for anything but a command that moves claims.
    static func read(_ words: [String]) throws(UsageError) -> Invocation {
        let found = Subcommands.find(in: words)
        let type: any ParsableCommand.Type = found?.type ?? MigrateArguments.self
        let invocation: Invocation?
        do {
            if let found {
                let command = try found.type.parse(try GoSpelling.normalise(found.arguments))
                invocation = try (command as? any RunSubcommand)?.checked()
            } else {
                invocation = try Invocation.read(words)
            }
        } catch let error as UsageError {
            throw error
        } catch {
            throw UsageError(type.message(for: error))
        }
        guard let invocation, case .migrate = invocation.mode, invocation.plan == nil else {
            let name = found.map { "`\($0.type.name)`" } ?? "a command that changes nothing"
            throw UsageError("there is no plan of \(name): only of what moves claims")
        }
        return invocation
    }

    /// Returns a command without the flags that say how a cluster is reached and what is written where.
    static func portable(_ words: [String]) -> [String] {
        let local = ConnectionArguments.names.union(FileArguments.names)
        var portable: [String] = []
        var rest = words[...]
        while let word = rest.popFirst() {
            let parts = word.drop { $0 == "-" }.split(separator: "=", maxSplits: 1)
            guard word.hasPrefix("--"), let name = parts.first.map(String.init), local.contains(name) else {
                portable.append(word)
                continue
            }
            let hasValue = word.contains("=") || GoSpelling.booleans.contains(name)
            if !hasValue, rest.first?.hasPrefix("-") == false { rest.removeFirst() }
        }
        return portable
    }
}

extension PlanArguments: Subcommand {
    static let name = "plan"
    static let flags = "[<command>] [flags]"

    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode {
        if ["--help", "-h"].contains(command.first) { throw CleanExit.helpRequest(Self.self) }
        var invocation = try PlannedCommand.read(command)
        invocation.mode = .plan
        let command = try GoSpelling.normalise(command)
        try Self.checkPaths(command, invocation)
        let files = invocation.files
        guard files.junit == nil, files.report == nil, files.metrics == nil else {
            throw UsageError("--junit, --report and --metrics tell of a run: give them to `pvmigrate apply`")
        }
        let format = invocation.connection.format
        guard format != .jsonl else { throw UsageError("a plan is one object: use --output json") }
        let run = Command(invocation: invocation, surroundings: surroundings, interruption: interruption)
        let outcome = try await run.outcome()
        guard outcome.code == .done || outcome.code == .stopped, let discovery = outcome.discovery else {
            // Nothing that looks like a plan goes to stdout.
            surroundings.errors(outcome.text)
            surroundings.errors(("error: " + outcome.message).onOneLine + "\n")
            return outcome.code
        }
        let document = PlanDocument(
            command: PlannedCommand.portable(command),
            cluster: Plan(discovery, invocation.options)
        )
        surroundings.conclude(
            format,
            text: try document.text(invocation.options),
            json: try document.json(),
            last: "planned: \(discovery.amountInWords(invocation.options)); nothing was changed"
        )
        return .done
    }
}

extension PlanArguments {
    /// - Throws: `UsageError` where the command names a path that would be another one where the plan is applied.
    private static func checkPaths(_ words: [String], _ invocation: Invocation) throws(UsageError) {
        if let directory = invocation.tree?.directory, !words.contains(directory) {
            throw UsageError("a plan may be applied elsewhere, so it names paths from the root on: \(directory)")
        }
        for (word, next) in zip(words, words.dropFirst() + [""]) where word.hasPrefix("--mover-template") {
            let path = word.contains("=") ? String(word.drop { $0 != "=" }.dropFirst()) : next
            guard path.hasPrefix("/") else {
                throw UsageError("a plan may be applied elsewhere, so --mover-template needs its path from the root on")
            }
        }
    }
}

extension ApplyArguments: RunSubcommand {
    static let name = "apply"
    static let flags = "<file> [flags]"
}

/// A cluster that is no longer as it was planned.
struct Deviation: Error {
    var differences: [Obstacle]
    var discovery: Discovery
}

extension Command {
    /// - Throws: `Deviation` where the run has a plan, and the cluster is no longer so.
    func checkPlan(_ migrator: Migrator, _ discovery: Discovery) async throws {
        guard let plan = invocation.plan else { return }
        let differences = try await migrator.differences(of: plan, discovery)
        if !differences.isEmpty { throw Deviation(differences: differences, discovery: discovery) }
    }

    func outcome(_ deviation: Deviation) -> Outcome {
        Outcome(
            kind: .preflightFailed,
            code: .refused,
            message:
                "the cluster is not as planned: \(deviation.differences.count.of("difference")); nothing was changed"
                + leftStopped(deviation.discovery),
            discovery: deviation.discovery,
            obstacles: deviation.differences
        )
    }
}
