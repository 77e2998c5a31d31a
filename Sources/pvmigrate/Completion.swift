import ArgumentParser
import FoundationEssentials
import Kubernetes
import Migration

/// What a shell offers when somebody presses Tab.
struct Completion: Sendable {
    /// What shells call to ask for it: `pvmigrate __complete WORDS…`. It is no command for people.
    static let hiddenCommand = "__complete"
    /// Nobody waits longer for Tab; and a cluster that is away is no reason to say anything.
    private static let limit: Duration = .seconds(3)
    /// What stands for the names of files, which the shell itself knows best.
    static let files = ":files"

    let surroundings: Surroundings

    /// The candidates as shells read them: one a line.
    func lines(for words: [String]) async -> String {
        await candidates(words).map { candidate in
            let parts = candidate.split(separator: "\t", maxSplits: 1).map { String($0).onOneLine }
            return parts.joined(separator: "\t") + "\n"
        }.joined()
    }

    /// What the last word may become, each with what it means after a tab, where there is something to say.
    ///
    /// - Parameter words: those after the command's name; the last one is not complete, and may be empty.
    private func candidates(_ words: [String]) async -> [String] {
        var words = words
        let last = words.popLast() ?? ""
        let command = Subcommands.find(in: words)?.type
        let flags = Flag.all(of: command ?? MigrateArguments.self)
        // The value of a flag: `--context x`, or `--context=x` as one word.
        if last.hasPrefix("-"), let equals = last.firstIndex(of: "=") {
            let prefix = last[...equals]
            let values = await values(
                of: Flag.name(prefix.dropLast()),
                flags,
                words,
                String(last[equals...].dropFirst())
            )
            return values == [Self.files] ? values : values.map { prefix + $0 }
        }
        if let flag = words.last, flag.hasPrefix("-"), !flag.contains("="),
            flags.contains(where: { $0.takesValue && $0.names.contains(Flag.name(flag[...])) })
        {
            return await values(of: Flag.name(flag[...]), flags, words.dropLast(), last)
        }
        var all = flags.flatMap { flag in flag.spellings.map { "\($0)\t\(flag.help)" } }
        if command == CompletionArguments.self, !last.hasPrefix("-") { all = Shell.allCases.map(\.rawValue) }
        if !last.hasPrefix("-") { all = Self.subcommands(after: words) + all }
        return all.filter { $0.hasPrefix(last) }
    }

    /// The words that make a subcommand's name of some words.
    private static func subcommands(after words: [String]) -> [String] {
        let begun = words.map { $0 + " " }.joined()
        return Subcommands.all.compactMap { type in
            guard type.name.hasPrefix(begun) else { return nil }
            let rest = type.name.dropFirst(begun.count)
            return rest.contains(" ") ? nil : "\(rest)\t\(type.configuration.abstract)"
        }
    }

    /// What a flag's value may be; of a list, what its last name may.
    private func values(of flag: String, _ flags: [Flag], _ words: [String], _ begun: String) async -> [String] {
        guard let flag = flags.first(where: { $0.names.contains(flag) })?.names.last else { return [] }
        let isList = ["namespace", "exclude-namespace"].contains(flag)
        let before = isList ? begun.lastIndex(of: ",").map { String(begun[...$0]) } ?? "" : ""
        let all: [String]
        switch flag {
        case "copy-from": all = CopyFrom.allCases.map(\.rawValue)
        case "output": all = OutputFormat.allCases.map(\.rawValue)
        case "verify": all = Options.Verification.allCases.map(\.rawValue)
        case "kubeconfig", "token-file", "metrics", "junit", "report", "mover-template": return [Self.files]
        case "context": all = names(of: .context, words)
        case "cluster": all = names(of: .cluster, words)
        case "user": all = names(of: .user, words)
        case "source-sc", "dest-sc":
            all = await names(words) { try await $0.list(StorageClass.self).map(\.metadata.name) }
        case "ending": all = Transfer.Ending.ofHandovers.map(\.rawValue)
        case "namespace", "to-namespace", "exclude-namespace":
            all = await names(words) { try await $0.list(Named.self, of: .namespaces).map(\.metadata.name) }
        case "pvc", "exclude":
            let namespace = begun.split(separator: "/", omittingEmptySubsequences: false).dropLast().first.map(
                String.init
            )
            let storageClass = Self.classFlag(words).flatMap { Self.value($0, in: words) }
            all = await names(words) { client in
                try await client.listReadable(PersistentVolumeClaim.self, in: namespace).items
                    .filter { storageClass == nil || $0.storageClassName == storageClass }
                    .map { "\(ObjectName($0.metadata.name, in: $0.metadata.namespace))" }
            }
        default: all = []
        }
        return all.sorted().map { before + $0 }.filter { $0.hasPrefix(begun) }
    }

    // MARK: Asking

    /// An object of any kind.
    private struct Named: KubernetesObject {
        static let resource = APIResource.namespaces
        var metadata: ObjectMeta
    }

    /// The flag that names the class of the claims that a command is about: a rollback's have been migrated, and those
    /// of what is half done may be on either class.
    private static func classFlag(_ words: [String]) -> String? {
        switch words.first {
        case RollbackArguments.name: "dest-sc"
        case AbortArguments.name, StatusArguments.name, TransferArguments.name: nil
        default: "source-sc"
        }
    }

    /// What was given for a flag before the cursor.
    private static func value(_ flag: String, in words: [String]) -> String? {
        for (word, next) in zip(words, words.dropFirst() + [""]).reversed() where word.hasPrefix("-") {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard Flag.name(parts.first ?? "") == flag else { continue }
            return parts.count == 2 ? String(parts[1]) : next
        }
        return nil
    }

    /// The kubeconfig that was given; shells pass a `~` on as it was typed.
    private func kubeconfig(_ words: [String]) -> String? {
        guard let path = Self.value("kubeconfig", in: words), path.hasPrefix("~/"),
            let home = surroundings.environment["HOME"]
        else { return Self.value("kubeconfig", in: words) }
        return home + path.dropFirst()
    }

    private func names(of entry: Configuration.Entry, _ words: [String]) -> [String] {
        do {
            return try Configuration.names(
                of: entry,
                kubeconfig: kubeconfig(words),
                environment: surroundings.environment,
                home: surroundings.environment["HOME"]
            )
        } catch {
            return []
        }
    }

    /// Asks the cluster that is meant; nothing where that fails.
    private func names(
        _ words: [String],
        _ list: @escaping @Sendable (Client) async throws -> [String]
    ) async -> [String] {
        do {
            var connection = Connection(
                kubeconfig: kubeconfig(words),
                context: Self.value("context", in: words),
                format: .text
            )
            connection.overrides.cluster = Self.value("cluster", in: words)
            connection.overrides.user = Self.value("user", in: words)
            connection.overrides.server = Self.value("server", in: words)
            connection.overrides.tokenFile = Self.value("token-file", in: words)
            connection.overrides.impersonatedUser = Self.value("as", in: words)
            let client = Client(
                transport: try surroundings.connect(try connection.configuration(in: surroundings)),
                time: surroundings.time,
                patience: Self.limit
            )
            return try await surroundings.time.within(Self.limit, what: "the API server") { try await list(client) }
        } catch {
            return []
        }
    }

    // MARK: Flags

    /// A flag as the argument parser knows it.
    private struct Flag {
        /// Without dashes, the long one last.
        var names: [String]
        var takesValue: Bool
        var help: String

        var spellings: [String] { names.map { ($0.count == 1 ? "-" : "--") + $0 } }

        static func name(_ word: Substring) -> String { String(word.drop { $0 == "-" }) }

        static func all(of command: any ParsableCommand.Type) -> [Flag] {
            let arguments: [JSON]
            do { arguments = try command.describedArguments() } catch { return [] }
            return arguments.compactMap { argument in
                let names = (argument["names"]?.array ?? []).compactMap { $0["name"]?.string }
                guard !names.isEmpty else { return nil }
                return Flag(
                    names: names.sorted { $0.count < $1.count },
                    takesValue: argument["kind"] == "option",
                    help: argument["abstract"]?.string ?? ""
                )
            }
        }
    }
}

/// A shell for which there is a completion script.
enum Shell: String, CaseIterable, ExpressibleByArgument {
    case bash
    case zsh
    case fish

    /// What makes the shell ask `pvmigrate` for completions.
    var script: String {
        switch self {
        case .bash:
            // Bash takes a word to end at each of `COMP_WORDBREAKS`, such as `=` and `:`: of a candidate it wants what
            // is after the last of them.
            #"""
            _pvmigrate() {
                local line=${COMP_LINE:0:COMP_POINT} current=${COMP_WORDS[COMP_CWORD]} words word
                [[ $current == [=:] ]] && current=
                read -ra words <<<"$line"
                [[ $line == *[[:space:]] ]] && words+=('')
                local whole=${words[${#words[@]}-1]}
                COMPREPLY=()
                while IFS= read -r word; do
                    word=${word%%$'\t'*}
                    if [[ $word == \#(Completion.files) ]]; then
                        compopt -o filenames 2>/dev/null
                        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$current")
                    else
                        COMPREPLY+=("${word#"${whole%"$current"}"}")
                    fi
                done < <("${words[0]}" \#(Completion.hiddenCommand) "${words[@]:1}" 2>/dev/null)
            }
            complete -F _pvmigrate pvmigrate
            """#
        case .zsh:
            #"""
            #compdef pvmigrate
            _pvmigrate() {
                local -a found
                found=("${(@f)$("${words[1]}" \#(Completion.hiddenCommand) "${(@)words[2,CURRENT]}" 2>/dev/null)}")
                if [[ $found[1] == \#(Completion.files) ]]; then
                    compset -P '*='
                    _files
                elif [[ -n $found[1] ]]; then
                    found=("${(@)found//:/\\:}")
                    found=("${(@)found/$'\t'/:}")
                    _describe -V pvmigrate found
                fi
            }
            if [[ $funcstack[1] == _pvmigrate ]]; then _pvmigrate "$@"; else compdef _pvmigrate pvmigrate; fi
            """#
        case .fish:
            #"""
            function __pvmigrate_complete
                set -l words (commandline -opc) (commandline -ct)
                set -l found ($words[1] \#(Completion.hiddenCommand) $words[2..-1] 2>/dev/null)
                if test "$found[1]" = \#(Completion.files)
                    set -l flag (string match -r '^--[^=]*=' -- $words[-1])
                    for file in (__fish_complete_path (string replace -r '^--[^=]*=' '' -- $words[-1]))
                        echo "$flag$file"
                    end
                else
                    printf '%s\n' $found
                end
            end
            complete -c pvmigrate -f -a '(__pvmigrate_complete)'
            """#
        }
    }
}

/// The arguments of `pvmigrate completion`.
struct CompletionArguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate completion",
        abstract: "Prints a script that makes a shell complete flags, classes, namespaces, claims and contexts.",
        version: "pvmigrate \(version)"
    )

    @Argument(help: "bash, zsh or fish.")
    var shell: Shell
}

extension CompletionArguments: Subcommand {
    static let name = "completion"
    static let flags = "bash|zsh|fish"

    func run(in surroundings: Surroundings, interruption: Interruption) async throws -> ExitCode {
        surroundings.output(shell.script + "\n")
        return .done
    }
}
