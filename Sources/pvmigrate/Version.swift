import ArgumentParser
import FoundationEssentials
import Kubernetes
import Migration

/// What `--version` says, and how the API server's log names this program.
let version = "0.1.0"

/// The flags of `pvmigrate version`.
struct VersionArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate version",
        abstract: "Tells which version this is, and which one the API server has, where one is reached.",
        version: "pvmigrate \(version)"
    )

    @OptionGroup(title: ConnectionArguments.title) var connection: ConnectionArguments
}

extension VersionArguments: Subcommand {
    static let name = "version"
    static let flags = "[flags]"
    /// How long the API server may take.
    private static let limit: Duration = .seconds(5)

    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode {
        let connection = try connection.checked()
        let log = Log(time: surroundings.time, write: surroundings.errors)
        let (server, complaint) = try await asking(connection, surroundings, log, interruption)
        let platform = "\(Self.system)/\(Self.architecture)"
        let json: JSON = [
            "version": .string(version), "platform": .string(platform),
            "server": server.map { ["version": .string($0.gitVersion), "platform": .string($0.platform)] } ?? .null,
        ]
        switch connection.format {
        case .text:
            let row = server.map { "server \($0.gitVersion) \($0.platform)\n" } ?? ""
            surroundings.output("pvmigrate \(version) \(platform)\n" + row)
        case .json, .jsonl: surroundings.output(json.line)
        }
        if let complaint { log.note(.warning, "", "no API server tells its version: \(complaint)") }
        return .done
    }

    /// The API server's version, or why it is not known.
    private func asking(
        _ connection: Connection,
        _ surroundings: Surroundings,
        _ log: Log,
        _ interruption: Interruption
    ) async throws -> (ServerVersion?, String?) {
        var configuration: Configuration?
        do {
            let found = try connection.configuration(in: surroundings)
            configuration = found
            var client = try surroundings.client(found, connection, log: log)
            client.patience = Self.limit
            let asked = client
            let answer = try await interruption.cancelling {
                try await surroundings.time.within(Self.limit, what: "the API server") { try await asked.version() }
            }
            return (answer, nil)
        } catch {
            return (nil, interruption.isRequested ? "interrupted" : explanation(of: error, asking: configuration))
        }
    }

    private static let system = "linux"
    private static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }
}
