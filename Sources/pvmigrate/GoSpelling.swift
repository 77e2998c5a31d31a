/// The spellings of Go's `flag` package, which scripts written for the Go tool use: one dash or two before a long
/// name, and a value after a boolean's name (`--set-defaults=true`).
enum GoSpelling {
    /// The flags that are on or off.
    static let booleans: Set<String> = [
        "set-defaults", "verbose-copy", "skip-source-validation", "preflight-validation-only",
        "skip-preflight-validation", "dry-run", "keep-source", "discard-changes", "recreate-pods",
        "update-claim-templates", "network-copy", "standing-movers", "no-early-pass", "no-events", "live", "retype",
        "leave-stopped", "create-namespace", "overwrite", "merge", "replace", "as-it-is", "upload", "download",
        "insecure-skip-tls-verify", "verbose", "yes", "follow",
        "help",
        "version",
    ]
    /// The flags that take a value.
    static let values: Set<String> = [
        "statefulset", "claims-of", "ordinals", "source-sc", "dest-sc", "namespace", "rsync-image", "rsync-flags",
        "mover-template", "pod-ready-timeout",
        "delete-pv-timeout", "kubeconfig", "context", "output", "pvc", "keep-days", "selector", "exclude",
        "exclude-namespace", "dest-size", "pause", "parallel", "junit", "report",
        "max-outage", "copy-from", "qps", "parallel-per-node", "streams", "bandwidth-limit", "verify", "stop-timeout",
        "accept", "to-namespace", "class", "ending", "include", "wait-for", "cluster", "user", "server", "token-file",
        "as",
        "as-group", "request-timeout", "timeout", "image", "metrics",
    ]
    /// The flags that have one letter, too, as kubectl has it.
    static let letters = ["n": "namespace", "l": "selector", "v": "verbose"]

    /// Rewrites arguments as the argument parser wants them.
    ///
    /// Of a boolean that comes several times the last one counts. The value of `--rsync-flags` may begin with a dash,
    /// as rsync's flags do. What is no known flag stays as it is, and so does everything after `--`.
    ///
    /// - Throws: `UsageError` where a boolean's value is none.
    static func normalise(_ arguments: [String]) throws(UsageError) -> [String] {
        var result: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" { return result + [argument] + rest }
            let dashes = argument.prefix(2).prefix { $0 == "-" }.count
            let parts = argument.dropFirst(dashes).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard dashes > 0, let name = parts.first.map({ letters[String($0)] ?? String($0) }) else {
                result.append(argument)
                continue
            }
            let value = parts.count == 2 ? String(parts[1]) : nil
            if booleans.contains(name) {
                let isOn = try value.map { text throws(UsageError) in try boolean(text, of: name) } ?? true
                result.removeAll { $0 == "--\(name)" }
                if isOn { result.append("--\(name)") }
            } else if values.contains(name) {
                if let value = value ?? (name == "rsync-flags" ? rest.popFirst() : nil) {
                    // After an equals sign a value may begin with a dash, but may not be empty.
                    result += value.isEmpty ? ["--\(name)", ""] : ["--\(name)=\(value)"]
                } else {
                    result.append("--\(name)")
                    if let next = rest.first, !next.hasPrefix("-") { result.append(rest.removeFirst()) }
                }
            } else {
                result.append(argument)
            }
        }
        return result
    }

    /// Reads what `strconv.ParseBool` reads.
    private static func boolean(_ text: String, of name: String) throws(UsageError) -> Bool {
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default: throw UsageError("--\(name) must be true or false, not \"\(text)\"")
        }
    }
}

/// Wrong usage, as a phrase without a full stop.
struct UsageError: Error, Equatable {
    var message: String

    init(_ message: String) { self.message = message }
}
