import FoundationEssentials
import Kubernetes
import Migration

extension CleanupArguments: Subcommand {
    static let name = "cleanup"
    static let flags = "--keep-days <days> [--dry-run] [flags]"

    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode {
        let (options, age, connection) = try checked()
        let log = Log(time: surroundings.time, write: surroundings.errors)
        var configuration: Configuration?
        var outcome: CleanupOutcome
        do {
            let found = try connection.configuration(in: surroundings)
            configuration = found
            let migrator = Migrator(
                client: try surroundings.client(found, connection, log: log),
                options: options,
                journal: Journal(time: surroundings.time) { log.note($0) }
            )
            if try await isRefused(migrator, age, surroundings, interruption) {
                outcome = CleanupOutcome([], dryRun: dryRun)
                (outcome.code, outcome.message) = (.failed, "the answer was not yes; nothing was changed")
            } else {
                outcome = CleanupOutcome(
                    try await interruption.cancelling { try await migrator.cleanup(olderThan: age, dryRun: dryRun) },
                    dryRun: dryRun
                )
            }
        } catch let error as UnreadableSelector {
            throw error
        } catch {
            let isInterrupted = error is CancellationError || interruption.isRequested
            outcome = CleanupOutcome([], dryRun: dryRun)
            outcome.code = .failed
            outcome.message =
                isInterrupted
                ? "interrupted; run again to see what is left" : explanation(of: error, asking: configuration)
        }
        surroundings.conclude(
            connection.format,
            text: outcome.text,
            json: outcome.json,
            last: (outcome.code == .done ? "" : "error: ") + outcome.message
        )
        return outcome.code
    }

    /// Asks the person at the terminal, where there is one and something would go.
    ///
    /// - Returns: whether the answer is no.
    private func isRefused(
        _ migrator: Migrator,
        _ age: Duration,
        _ surroundings: Surroundings,
        _ interruption: Interruption
    ) async throws -> Bool {
        guard !yes, !dryRun, let ask = surroundings.ask else { return false }
        let volumes = try await interruption.cancelling { try await migrator.cleanup(olderThan: age, dryRun: true) }
        let going = volumes.filter(\.isGoing)
        guard !going.isEmpty else { return false }
        let size = going.compactMap(\.kept.size?.bytes).sum().inBytes
        let question =
            "give up \(going.count.of("old volume")) of \(size), for good, with which a rollback of "
            + "\(going.map { "\($0.kept.claim)" }.listed) would be possible?"
        return try await !interruption.cancelling { try await ask(question) }
    }
}

/// What `pvmigrate cleanup` has done: what both output formats show.
struct CleanupOutcome {
    let volumes: [Cleaned]
    var code: ExitCode
    /// The last thing to say, on one line.
    var message: String

    init(_ volumes: [Cleaned], dryRun: Bool) {
        self.volumes = volumes
        let freed = volumes.filter { $0.result == .freed }
        let bytes = freed.compactMap(\.kept.size?.bytes).sum()
        let failed = volumes.count(where: \.hasFailed)
        let removed = volumes.count(where: \.isForgotten)
        code = failed == 0 ? .done : .failed
        var parts = ["\(freed.count.of("volume")) of \(bytes.inBytes) \(dryRun ? "would be freed" : "freed")"]
        if removed > 0 {
            parts.append("\(removed) \(dryRun ? "would be " : "")removed, their storage stays with its owner")
        }
        let kept = volumes.count - freed.count - removed - failed
        if kept > 0 { parts.append("\(kept) kept") }
        if failed > 0 { parts.append("\(failed) failed") }
        message = (dryRun ? "dry run: " : failed == 0 ? "done: " : "") + parts.joined(separator: ", ")
    }

    var text: String {
        guard !volumes.isEmpty else { return "" }
        return Table(
            header: ["VOLUME", "CLAIM", "CLASS", "SIZE", "KEPT SINCE", "RESULT"],
            rows: volumes.map {
                [
                    $0.kept.volume.metadata.name, "\($0.kept.claim)", $0.kept.volume.spec.storageClassName ?? "-",
                    $0.kept.size?.text ?? "?", $0.kept.since?.formatted(.iso8601) ?? "?", $0.inWords,
                ]
            }
        ).text
    }

    /// The one object that `--output json` prints: what `Schemas.cleanup` says.
    var json: JSON {
        [
            "exitCode": .integer(Int64(code.rawValue)), "message": .string(message),
            "volumes": .array(
                volumes.map { cleaned in
                    let (result, reason) = cleaned.resultAndReason
                    return [
                        "volume": .string(cleaned.kept.volume.metadata.name),
                        "namespace": cleaned.kept.claim.namespace.map(JSON.string) ?? .null,
                        "name": .string(cleaned.kept.claim.name),
                        "storageClass": cleaned.kept.volume.spec.storageClassName.map(JSON.string) ?? .null,
                        "size": cleaned.kept.size.map { .string($0.text) } ?? .null,
                        "since": cleaned.kept.since.map { .string($0.formatted(.iso8601)) } ?? .null,
                        "result": .string(result), "reason": reason.map(JSON.string) ?? .null,
                    ]
                }
            ),
        ]
    }
}

extension Cleaned {
    fileprivate var resultAndReason: (String, String?) {
        switch result {
        case .freed: ("freed", nil)
        case .forgotten(let handle): ("removed", handle)
        case .kept(let why): ("kept", why)
        case .failed(let why): ("failed", why)
        }
    }

    fileprivate var inWords: String {
        let (result, reason) = resultAndReason
        return result + (reason.map { ": \($0)" } ?? "")
    }

    fileprivate var isGoing: Bool { ["freed", "removed"].contains(resultAndReason.0) }
    fileprivate var hasFailed: Bool { resultAndReason.0 == "failed" }
    fileprivate var isForgotten: Bool { resultAndReason.0 == "removed" }
}
