import ArgumentParser
import Kubernetes
import Migration
import Synchronization

extension StatusArguments: Subcommand {
    static let name = "status"
    static let flags = "[--source-sc <name>] [--dest-sc <name>] [--follow] [flags]"

    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode {
        let (scope, connection) = try checked()
        let log = Log(time: surroundings.time, write: surroundings.errors)
        let outcome = try await outcome(scope, connection, surroundings, log, interruption)
        for unseen in outcome.status?.unseen ?? [] { log.note(.warning, unseen.resource, unseen.message) }
        surroundings.conclude(
            connection.format,
            text: outcome.text,
            json: outcome.json,
            last: (outcome.code == .failed ? "error: " : "") + outcome.message
        )
        return outcome.code
    }

    private func outcome(
        _ scope: MigrationStatus.Scope,
        _ connection: Connection,
        _ surroundings: Surroundings,
        _ log: Log,
        _ interruption: Interruption
    ) async throws -> StatusOutcome {
        var configuration: Configuration?
        do {
            let found = try connection.configuration(in: surroundings)
            configuration = found
            let client = try surroundings.client(found, connection, log: log)
            let status = try await interruption.cancelling {
                guard follow else { return try await StatusReader(client).status(scope) }
                let told = Told(log)
                return try await Follower(client, scope).follow { told.note($0) }
            }
            return StatusOutcome(status, scope)
        } catch let error as UnreadableSelector {
            throw error
        } catch {
            let isInterrupted = error is CancellationError || interruption.isRequested
            return StatusOutcome(
                failed: isInterrupted
                    ? "interrupted" + (follow ? "; what was watched goes on" : "")
                    : explanation(of: error, asking: configuration),
                scope
            )
        }
    }
}

/// What `--follow` has told already: it tells what is another than before.
private final class Told: Sendable {
    private let log: Log
    private let known = Mutex<[String: String]>([:])

    init(_ log: Log) { self.log = log }

    func note(_ news: Follower.News) {
        switch news {
        case .log(let line): log.write(line + "\n")
        case .status(let status):
            let now = status.facts
            let before = known.withLock { known in
                defer { known = now }
                return known
            }
            for (subject, text) in now.sorted(by: { $0.key < $1.key }) where before[subject] != text {
                log.note(.info, subject, text)
            }
            for subject in before.keys.sorted() where now[subject] == nil {
                log.note(.info, subject, "nothing of it is open any more")
            }
        }
    }
}

extension MigrationStatus {
    /// What there is to tell of each object, by its title.
    fileprivate var facts: [String: String] {
        let claims = claims.map { ("PersistentVolumeClaim \($0.name)", $0.state) }
        let workloads = workloads.map { ($0.title, $0.state) }
        let holders = Dictionary(grouping: locks.filter { !$0.holder.isEmpty }, by: \.holder).map { holder, locks in
            (holder, "is at work on the class\(locks.count == 1 ? "" : "es") \(locks.map(\.storageClass).listed)")
        }
        return Dictionary(claims + workloads + holders) { $1 }
    }
}
