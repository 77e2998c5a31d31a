import Kubernetes

/// A run of rsync between modelled volumes: compares as rsync does (size and time, or content with `--checksum`), copies
/// file by file while time passes, and prints what rsync prints.
struct ModelRsync: Sendable {
    struct Options: Sendable {
        var dryRun = false
        var itemize = false
        var delete = false
        var checksum = false
        var verbose = false
        var stats = false
        var progress = false
        /// Says that it makes the list of files.
        var list = false
        var hardLinks = false
        var attributes = false
        var archive = false
        var numericIDs = false
        /// Paths from the transfer's root that are left alone at the destination.
        var protected: [String] = []
        /// Paths from the transfer's root that are left alone on both sides.
        var excluded: [String] = []
        /// Extended attributes that are not looked at.
        var excludedAttributes: [String] = []

        /// Takes in a filter rule, as far as the model knows it: `P /path`, `- /path` and `-x attribute`.
        mutating func filter(_ rule: String) {
            let words = rule.split(separator: " ", maxSplits: 1).map(String.init)
            guard words.count == 2 else { return }
            switch words[0] {
            case "P": protected.append(words[1])
            case "-": excluded.append(words[1])
            case "-x": excludedAttributes.append(words[1])
            default: break
            }
        }

        static func matches(_ path: String, _ patterns: [String]) -> Bool {
            patterns.contains { pattern in
                let pattern = pattern.split(separator: "/").joined(separator: "/")
                return path == pattern || path.hasPrefix(pattern + "/")
            }
        }
    }

    private(set) var options = Options()
    private let source: String
    private let destination: String
    /// What is still to look at.
    private var pending: ArraySlice<String> = []
    private var listed = false
    private var vanished = false
    private var transferred = 0, transferredBytes = 0, deleted = 0, failures = 0
    private var created: [File.Kind] = []
    private var all: [File] = []
    /// Set to fail half way on purpose.
    var injectedExit: Int?

    enum Start: Sendable {
        case run(ModelRsync)
        case end(output: String, code: Int)
    }

    /// Long options that the model accepts, though most make no difference to it.
    private static let known: Set<String> = [
        "archive", "acls", "xattrs", "hard-links", "sparse", "numeric-ids", "delete", "delete-before", "delete-during",
        "delete-delay", "delete-after", "dry-run", "itemize-changes", "stats", "info", "checksum", "verbose",
        "recursive", "links", "perms", "times", "group", "owner", "devices", "specials", "inplace", "whole-file",
        "no-whole-file", "partial", "progress", "human-readable", "no-human-readable", "exclude", "include", "bwlimit",
        "timeout", "compress", "quiet", "one-file-system", "out-format", "outbuf", "no-owner", "no-group", "no-perms",
        "omit-dir-times", "ignore-errors", "force", "size-only", "ignore-times", "no-inc-recursive", "preallocate",
        "filter", "no-acls", "no-xattrs", "fsync", "msgs2stderr", "stderr", "max-alloc", "atimes", "open-noatime",
        "modify-window",
    ]

    /// Reads the arguments.
    static func parse(_ arguments: [String]) -> Start {
        var options = Options()
        var paths: [String] = []
        for argument in arguments {
            if argument == "--version" {
                return .end(output: "rsync  version 3.5.0  protocol version 32\n", code: 0)
            } else if argument == "--server" {
                // What it does it is told as data, and whoever does so has to move the files.
                return .end(output: "", code: 0)
            } else if argument.hasPrefix("--") {
                let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
                guard let name = parts.first, known.contains(name) else {
                    return .end(
                        output: "rsync: \(argument): unknown option\n" + errorLine(1),
                        code: 1
                    )
                }
                switch name {
                case "archive": options.archive = true
                case "dry-run": options.dryRun = true
                case "itemize-changes": options.itemize = true
                case "checksum": options.checksum = true
                case "verbose": options.verbose = true
                case "stats": options.stats = true
                case "progress": options.progress = true
                case "hard-links": options.hardLinks = true
                case "xattrs": options.attributes = true
                case "numeric-ids": options.numericIDs = true
                case "filter": options.filter(parts.count > 1 ? parts[1] : "")
                case "exclude": options.filter("- " + (parts.count > 1 ? parts[1] : ""))
                case "info":
                    let flags = parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : []
                    if flags.contains("none") { (options.progress, options.stats) = (false, false) }
                    options.progress = options.progress || flags.contains { $0.hasPrefix("progress") }
                    options.stats = options.stats || flags.contains { $0.hasPrefix("stats") && $0 != "stats0" }
                    options.list = options.list || flags.contains { $0.hasPrefix("flist") && $0 != "flist0" }
                default: if name.hasPrefix("delete") { options.delete = true }
                }
            } else if argument.hasPrefix("-"), argument.count > 1 {
                for letter in argument.dropFirst() {
                    switch letter {
                    case "n": options.dryRun = true
                    case "a": options.archive = true
                    case "i": options.itemize = true
                    case "c": options.checksum = true
                    case "v": options.verbose = true
                    case "H": options.hardLinks = true
                    case "X": options.attributes = true
                    case "P": options.progress = true
                    default: break
                    }
                }
            } else {
                paths.append(argument)
            }
        }
        guard paths.count == 2 else { return .end(output: errorLine(1), code: 1) }
        return .run(ModelRsync(options, paths[0], paths[1]))
    }

    private init(_ options: Options, _ source: String, _ destination: String) {
        self.options = options
        self.source = source
        self.destination = destination
    }

    /// Goes on until the next pause.
    ///
    /// - Returns: what it prints, and the time until the next step or the exit code.
    mutating func step(_ files: inout ModelFiles) -> (output: String, pause: Duration?, code: Int?) {
        guard let from = files.place(source), files.isDirectory(source) else {
            let path = source.hasSuffix("/") ? String(source.dropLast()) : source
            return (
                "rsync: [sender] change_dir \"\(path)\" failed: No such file or directory (2)\n" + Self.errorLine(23),
                nil,
                23
            )
        }
        guard let to = files.place(destination) else {
            return (
                "rsync: [Receiver] mkdir \"\(destination)\" failed: No such file or directory (2)\n"
                    + Self.errorLine(11), nil, 11
            )
        }
        // `source` without a slash at its end means the directory itself, below the destination.
        let name = source.hasSuffix("/") ? "" : (source.split(separator: "/").last.map(String.init) ?? "") + "/"
        var output = ""
        if !listed {
            return (list(&files, from, to, wholeDirectory: name.isEmpty), .milliseconds(50), nil)
        }
        while let path = pending.popFirst() {
            guard let file = files.file(from, path) else {
                vanished = true
                output += "file has vanished: \"\(source)\(path)\"\n"
                continue
            }
            guard let change = change(file, files.file(to, name + path), path, files, from) else { continue }
            if options.itemize { output += change.line + "\n" } else if options.verbose { output += path + "\n" }
            if change.isNew { created.append(file.kind) }
            if change.line.hasPrefix(">") {
                transferred += 1
                transferredBytes += file.size
                if options.progress { output += progress(remaining: pending.count) }
            }
            // What is found is written at once, not at the end.
            if options.dryRun { return (output, .microseconds(100), nil) }
            var copy = file
            copy.hardLink = options.hardLinks ? file.hardLink : nil
            copy.attributes = attributes(of: copy)
            if !files.write(to, name + path, copy) {
                failures += 1
                output += "rsync: [receiver] mkstemp \"\(destination)\(path)\" failed: Read-only file system (30)\n"
            }
            return (output, .milliseconds(5) + .nanoseconds(file.size * 5), nil)
        }
        let code = injectedExit ?? (failures > 0 ? 23 : vanished ? 24 : 0)
        output += summary()
        if code != 0 {
            if injectedExit == 11 {
                output += "rsync: [receiver] write failed on \"\(destination)data\": No space left on device (28)\n"
            }
            output += Self.errorLine(code)
        }
        return (output, nil, code)
    }

    /// Lists what is to be copied, and deletes what the source has not.
    private mutating func list(
        _ files: inout ModelFiles,
        _ from: ModelFiles.Place,
        _ to: ModelFiles.Place,
        wholeDirectory: Bool
    ) -> String {
        var output = ""
        listed = true
        let paths = files.paths(below: from).filter { !Options.matches($0, options.excluded) }
        pending = paths[...]
        all = paths.compactMap { files.file(from, $0) }
        if options.verbose || options.list { output += "sending incremental file list\n" }
        if options.delete {
            let kept = Set(paths)
            for path in files.paths(below: to).reversed() where wholeDirectory && !kept.contains(path) {
                if Options.matches(path, options.protected + options.excluded) { continue }
                let file = files.file(to, path)
                deleted += 1
                if !options.dryRun, !files.write(to, path, nil) {
                    failures += 1
                    continue
                }
                let shown = path + (file?.kind == .directory ? "/" : "")
                if options.itemize {
                    output += "*deleting   \(shown)\n"
                } else if options.verbose {
                    output += "deleting \(shown)\n"
                }
            }
        }
        if injectedExit != nil { pending = pending.prefix(pending.count / 2) }
        return output
    }

    /// How rsync shows the difference (`--itemize-changes` in its manual), or nil where there is none.
    private func change(_ file: File, _ old: File?, _ path: String, _ files: ModelFiles, _ from: ModelFiles.Place)
        -> (line: String, isNew: Bool)?
    {
        let letter: String
        var shown = path
        switch file.kind {
        case .regular: letter = "f"
        case .directory: (letter, shown) = ("d", path + "/")
        case .link(let target): (letter, shown) = ("L", "\(path) -> \(target)")
        }
        let first = options.hardLinks ? files.firstName(from, path, file) : path
        if first != path { shown += " => " + first }
        guard let old, old.kind == file.kind else {
            let action = first != path ? "h" : letter == "f" ? ">" : "c"
            return ("\(action)\(letter)+++++++++ \(shown)", true)
        }
        let contentDiffers = options.checksum && old.content != file.content
        let transfer = letter == "f" && (old.size != file.size || old.modified != file.modified || contentDiffers)
        let flags = [
            ("c", contentDiffers), ("s", letter == "f" && old.size != file.size),
            ("t", letter == "f" && old.modified != file.modified), ("p", letter != "L" && old.mode != file.mode),
            ("o", old.owner != file.owner), ("g", old.group != file.group), ("u", false), ("a", false),
            ("x", attributes(of: old) != attributes(of: file)),
        ]
        let relinked = options.hardLinks && (file.hardLink == nil) != (old.hardLink == nil)
        guard transfer || relinked || flags.contains(where: \.1) else { return nil }
        let action = relinked && first != path ? "h" : transfer ? ">" : "."
        return ("\(action)\(letter)" + flags.map { $0.1 ? $0.0 : "." }.joined() + " \(shown)", false)
    }

    /// What `--info=progress2` shows of the whole transfer after each file.
    private func progress(remaining: Int) -> String {
        let total = all.reduce(0) { $0 + ($1.kind == .regular ? $1.size : 0) }
        let percent = String(total == 0 ? 100 : transferredBytes * 100 / total)
        return "\r" + Self.padded(transferredBytes) + String(repeating: " ", count: 4 - min(3, percent.count)) + percent
            + "%  200.00MB/s    0:00:00 (xfr#\(transferred), to-chk=\(remaining)/\(all.count + 1))"
    }

    private func attributes(of file: File) -> [String: String] {
        options.attributes ? file.attributes.filter { !options.excludedAttributes.contains($0.key) } : [:]
    }

    private func summary() -> String {
        let total = all.reduce(0) { $0 + ($1.kind == .regular ? $1.size : 0) }
        let sent = transferredBytes + 100 + 30 * all.count
        var output = ""
        if options.progress { output += progress(remaining: 0) + "\n" }
        if options.stats {
            output += """

                Number of files: \(Self.counts(all.map(\.kind) + [.directory]))
                Number of created files: \(Self.counts(created))
                Number of deleted files: \(deleted)
                Number of regular files transferred: \(Self.grouped(transferred))
                Total file size: \(Self.grouped(total)) bytes
                Total transferred file size: \(Self.grouped(transferredBytes)) bytes
                Literal data: \(Self.grouped(transferredBytes)) bytes
                Matched data: 0 bytes
                File list size: 0
                File list generation time: 0.001 seconds
                File list transfer time: 0.000 seconds
                Total bytes sent: \(Self.grouped(sent))
                Total bytes received: 144

                """
        }
        if options.stats || options.verbose {
            let speedup = total * 100 / (sent + 144)
            output +=
                "\nsent \(Self.grouped(sent)) bytes  received 144 bytes  \(Self.grouped((sent + 144) * 2)).00 bytes/sec\n"
            output +=
                "total size is \(Self.grouped(total))  speedup is \(speedup / 100).\(speedup % 100 < 10 ? "0" : "")\(speedup % 100)"
            output += options.dryRun ? " (DRY RUN)\n" : "\n"
        }
        return output
    }

    /// `9 (reg: 6, dir: 2, link: 1)`
    private static func counts(_ kinds: [File.Kind]) -> String {
        let directories = kinds.filter { $0 == .directory }.count
        let regular = kinds.filter { $0 == .regular }.count
        let parts = [("reg", regular), ("dir", directories), ("link", kinds.count - regular - directories)]
            .filter { $0.1 > 0 }.map { "\($0.0): \(grouped($0.1))" }
        return parts.isEmpty ? "0" : "\(grouped(kinds.count)) (\(parts.joined(separator: ", ")))"
    }

    /// `12,582,914`
    private static func grouped(_ number: Int) -> String {
        var digits = String(number)[...]
        var groups: [Substring] = []
        while digits.count > 3 {
            groups.insert(digits.suffix(3), at: 0)
            digits = digits.dropLast(3)
        }
        return ([digits] + groups).joined(separator: ",")
    }

    private static func padded(_ number: Int) -> String {
        let text = grouped(number)
        return String(repeating: " ", count: max(0, 15 - text.count)) + text
    }

    /// rsync's last line for an exit code (errcode.h and log.c).
    static func errorLine(_ code: Int) -> String {
        let meanings = [
            1: "syntax or usage error", 2: "protocol incompatibility", 3: "errors selecting input/output files, dirs",
            10: "error in socket IO", 11: "error in file IO", 12: "error in rsync protocol data stream",
            14: "error in IPC code", 20: "received SIGINT, SIGTERM, or SIGHUP",
            23: "some files/attrs were not transferred (see previous errors)",
            24: "some files vanished before they could be transferred", 30: "timeout in data send/receive",
        ]
        let word = code == 24 ? "warning" : "error"
        return "rsync \(word): \(meanings[code] ?? "unexplained error") (code \(code)) at main.c(1394) [sender=3.5.0]\n"
    }
}
