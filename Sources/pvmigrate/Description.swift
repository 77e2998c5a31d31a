import ArgumentParser
import FoundationEssentials
import Kubernetes
import Migration

/// What the program says of itself. `scripts/docs` makes the manual's tables and the manual page of it.
enum Description {
    /// `pvmigrate __describe`. It is no command for people.
    static let hiddenCommand = "__describe"

    /// - Throws: an error where the argument parser describes the flags by no JSON.
    static func json() throws -> JSON {
        [
            "version": .string(version),
            "commands": .array(
                [try command("", MigrateArguments.self, flags: MigrateArguments.flags)]
                    + (try Subcommands.all.map { try command($0.name, $0, flags: $0.flags) })
            ),
            "exitCodes": .array(
                ExitCode.allCases.map { ["code": .integer(Int64($0.rawValue)), "meaning": .string($0.meaning)] }
            ),
            "permissions": .array(Permissions.all.map(permission)),
            "schemas": Schemas.all,
        ]
    }

    private static func command(_ name: String, _ type: any ParsableCommand.Type, flags: String) throws -> JSON {
        [
            "name": .string(name), "usage": .string(flags), "abstract": .string(type.configuration.abstract),
            "arguments": .array(try type.describedArguments()),
        ]
    }

    private static func permission(_ permission: Permission) -> JSON {
        let group = permission.resource.group
        return [
            "resource": .string(permission.title + (group.isEmpty ? "" : ".\(group)")),
            "verbs": .array(permission.verbs.map(JSON.string)),
            "place": .string(
                permission.resource.namespaced ? permission.namespace ?? "each namespace" : "the whole cluster"
            ),
            "purpose": .string(permission.purpose.inWords),
            "otherwise": permission.otherwise.map(JSON.string) ?? .null,
        ]
    }
}

extension ParsableCommand {
    /// Its flags, as the argument parser knows them.
    static func describedArguments() throws -> [JSON] {
        try JSON(parsing: Data(_dumpHelp().utf8))[path: ["command", "arguments"]]?.array ?? []
    }
}

extension Permission.Purpose {
    /// What needs the permission, with the flag by which `pvmigrate rbac` prints it where it does not always.
    fileprivate var inWords: String {
        switch self {
        case .always: "every run"
        case .defaultClass: "`--set-defaults`"
        case .claimTemplates: "`--update-claim-templates`"
        case .keda: "workloads that KEDA scales"
        case .networkCopy: "copies over the network: `rbac --network-copy`"
        case .snapshots: "`--copy-from snapshot`, and passes over claims that no second pod can mount"
        case .commands: "movers that stand ready before the stop, and else are made after it: `rbac --standing-movers`"
        case .retype: "`--retype`"
        case .usage: "`--dest-size` below 100%"
        case .story: "every run but with `--no-events`"
        case .owners: "claims of StatefulSets where the cluster enforces owner references (OpenShift)"
        case .custom: "custom resources"
        }
    }
}
