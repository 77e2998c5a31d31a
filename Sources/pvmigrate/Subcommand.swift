import ArgumentParser
import Kubernetes
import Migration

/// Something besides a migration that the command does; the first argument says what.
protocol Subcommand: ParsableCommand {
    static var name: String { get }
    /// Its flags, as the usage gives them.
    static var flags: String { get }
    /// Does it.
    ///
    /// - Throws: `UsageError` or `UnreadableSelector`, before anything is done.
    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode
}

/// One that goes through the same as a migration.
protocol RunSubcommand: Subcommand {
    /// What is to be run, with every value checked.
    func checked() throws(UsageError) -> Invocation
}

extension RunSubcommand {
    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode {
        try await Command(invocation: try checked(), surroundings: surroundings, interruption: interruption).run()
    }
}

enum Subcommands {
    /// In the order of `--help`.
    static var all: [any Subcommand.Type] {
        [
            StageArguments.self, TransferArguments.self, StageTransferArguments.self, AbortTransferArguments.self,
            UploadArguments.self, DownloadArguments.self, AbortUploadArguments.self, AbortDownloadArguments.self,
            PlanArguments.self, ApplyArguments.self, StatusArguments.self, AbortArguments.self, RollbackArguments.self,
            CleanupArguments.self, RBACArguments.self, JobArguments.self, VersionArguments.self,
            CompletionArguments.self,
        ]
    }

    /// The one that the first arguments name, and its own arguments. A name may have two words.
    static func find(in arguments: [String]) -> (type: any Subcommand.Type, arguments: [String])? {
        let found = [2, 1].lazy.compactMap { count in
            all.first { $0.name == arguments.prefix(count).joined(separator: " ") }.map { ($0, count) }
        }.first
        return found.map { ($0, Array(arguments.dropFirst($1))) }
    }
}

extension RBACArguments: Subcommand {
    static let name = "rbac"
    static let flags = "[--namespace <names>] [flags]"

    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode {
        surroundings.output(
            Permissions.rbac(
                for: try checked(),
                copiesOverNetwork: grants.networkCopy,
                runsCommands: grants.standingMovers,
                retypes: retype
            )
        )
        return .done
    }
}

extension StageArguments: RunSubcommand {
    static let name = "stage"
    static let flags = "--source-sc <name> --dest-sc <name> [flags]"
}

/// A command about claims that go to another namespace.
protocol HandoverSubcommand: RunSubcommand {}

extension HandoverSubcommand {
    static var flags: String { "--namespace <name> --to-namespace <name> [flags]" }
}

extension TransferArguments: HandoverSubcommand {
    static let name = "transfer"
}

extension StageTransferArguments: HandoverSubcommand {
    static let name = "stage transfer"
}

extension AbortTransferArguments: HandoverSubcommand {
    static let name = "abort transfer"
}

/// A command about claims and directories on this computer.
protocol TreeSubcommand: RunSubcommand {}

extension TreeSubcommand {
    static var flags: String { "<directory> --statefulset <namespace/name>|--pvc <namespace/name> [flags]" }
}

extension UploadArguments: TreeSubcommand {
    static let name = "upload"
}

extension DownloadArguments: TreeSubcommand {
    static let name = "download"
}

extension AbortUploadArguments: RunSubcommand {
    static let name = "abort upload"
    static let flags = "--statefulset <namespace/name>|--pvc <namespace/name> [--as-it-is] [flags]"
}

extension AbortDownloadArguments: RunSubcommand {
    static let name = "abort download"
    static let flags = "--statefulset <namespace/name>|--pvc <namespace/name> [flags]"
}

extension AbortArguments: RunSubcommand {
    static let name = "abort"
    static let flags = "--source-sc <name> --dest-sc <name> [flags]"
}

extension RollbackArguments: RunSubcommand {
    static let name = "rollback"
    static let flags = "--source-sc <name> --dest-sc <name> [--discard-changes] [flags]"
}
