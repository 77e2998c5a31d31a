import ArgumentParser
import Migration

/// The whole text of `--help`: the flags as the argument parser prints them, and what it does not know.
enum Help {
    static var text: String {
        """
        \(MigrateArguments.helpMessage(columns: 100).trimmingLineEnds)

        OTHER COMMANDS, each with a --help of its own:
        \(list(Subcommands.all.map { ($0.name, $0.configuration.abstract) }))

        \(pipeline(.live, last: Pipeline.last))

        WITH --retype, for each unit:
        \(list(Pipeline.retype.steps.map { ($0.name, $0.summary) }))

        PREFLIGHT CHECKS:
        \(list(Preflight.checks.map { ($0.name, $0.summary) }))

        EXIT CODES:
        \(list(ExitCode.allCases.map { (String($0.rawValue), $0.meaning) }, width: 4))

        OUTPUT:
          Progress and messages go to stderr: in a terminal with a line for each unit under way, drawn again and again;
          with TERM=dumb or --output jsonl, or where stderr is no terminal, as plain lines. There are no colours.
          On stdout are results only: the rows of preflight, the plan, the final table; or with --output json one JSON
          object with the keys
          \(Outcome.keys.prefix(6).joined(separator: ", ")),
          \(Outcome.keys.dropFirst(6).joined(separator: ", ")).
          --output jsonl streams what happens instead: one JSON object a line, the last of them with these keys, too.

        EXAMPLES:
          pvmigrate --source-sc default --dest-sc mynewsc --dry-run
          pvmigrate --source-sc default --dest-sc mynewsc --preflight-validation-only
          pvmigrate --source-sc default --dest-sc mynewsc --namespace shop --set-defaults
          pvmigrate --source-sc default --dest-sc mynewsc --rsync-flags=--bwlimit=10000,--partial
          pvmigrate --source-sc default --dest-sc mynewsc --keep-source
          pvmigrate --source-sc default --dest-sc mynewsc --retype
          pvmigrate rollback --source-sc default --dest-sc mynewsc --pvc shop/data
          pvmigrate transfer --namespace shop --to-namespace shop-eu --create-namespace
          pvmigrate cleanup --keep-days 7 --dry-run
          pvmigrate status --source-sc default
          pvmigrate rbac | kubectl apply -f -
          pvmigrate job --image pvmigrate:VERSION -- --source-sc default --dest-sc mynewsc | kubectl apply -f -
        """
    }

    /// What is done for a goal.
    static func pipeline(_ pipeline: Pipeline, last: [(name: String, summary: String)] = []) -> String {
        let units = """
            PIPELINE:
            \(list(Pipeline.first))
              for each unit, the smallest set of claims and workloads that must stop together:
            \(list(pipeline.steps.map { ($0.name, $0.summary) }))
            """
        return last.isEmpty ? units : units + "\n  after all units:\n" + list(last)
    }

    /// What a transfer does, for each of its endings.
    static var transfer: String {
        """
        \(pipeline(.copy(leavesStopped: false)))

        WITH --ending move, for each unit:
        \(list(Pipeline.move.steps.map { ($0.name, $0.summary) }))
        """
    }

    private static func list(_ entries: [(name: String, summary: String)], width: Int = 17) -> String {
        entries.map { "  " + $0.name.padded(to: width) + " " + $0.summary }.joined(separator: "\n")
    }
}

extension String {
    fileprivate var trimmingLineEnds: Substring {
        self[..<(lastIndex { !$0.isNewline }.map(index(after:)) ?? startIndex)]
    }
}
