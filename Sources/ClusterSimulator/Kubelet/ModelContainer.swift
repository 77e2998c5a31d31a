/// A container of the model: its command as a list of steps that take time, write to volumes and print.
struct ModelContainer: Sendable {
    let run: ContainerRun
    /// The beginning of a line that has not ended.
    var unwritten = ""
    private var commands: ArraySlice<ModelShell.Command>
    private var rsync: ModelRsync?
    private var writer: Writer?
    private var server: ModelServer?
    private var asker: ModelAsker?
    private var status = 0

    /// Appends lines to a file for as long as it runs, so that a write that gets lost can be found.
    private struct Writer: Sendable {
        var path: String
        var interval: Duration
        var line = 0
    }

    /// Nil where there is no such program.
    ///
    /// - Parameter scripts: what `sh -c` runs for a script that the model cannot read: another script.
    init?(_ run: ContainerRun, scripts: [String: String]) {
        self.run = run
        let program = run.command[0].split(separator: "/").last.map(String.init) ?? ""
        if ["sh", "bash", "ash"].contains(program), run.command.count > 2, run.command[1].hasPrefix("-") {
            let script = run.command[2]
            let parsed = ModelShell.wrapped(script, run.command) ?? ModelShell.parse(scripts[script] ?? script)
            commands = parsed.map { Self.expanded($0, run.command.dropFirst(4)) }[...]
        } else if Self.programs.contains(program) {
            commands = [ModelShell.Command(words: [program] + run.command.dropFirst(), condition: .always)]
        } else {
            return nil
        }
    }

    /// A command with the script's own arguments in place of `$@`.
    private static func expanded(_ command: ModelShell.Command, _ arguments: ArraySlice<String>) -> ModelShell.Command {
        var command = command
        command.words = command.words.flatMap { $0 == "$@" ? Array(arguments) : [$0] }
        if command.words.first == "exec" { command.words.removeFirst() }
        return command
    }

    private static let programs: Set<String> = [
        "ask", "cat", "dd", "echo", "exit", "false", "ln", "ls", "mkdir", "printf", "rm", "rsync", "serve", "sleep",
        "sync", "test", "touch", "true", "writer",
    ]

    /// rsync ends by itself when it is asked to; the others are the first process of their namespace and handle nothing.
    var endsOnTermination: Bool { rsync != nil && !["sh", "bash", "ash"].contains(run.command[0]) }

    /// Whether it does what others of its container ask for.
    var isServing: Bool { server != nil }

    /// Goes on until the next pause or the end.
    ///
    /// - Parameter injected: the exit codes that coming runs of rsync are to have.
    /// - Returns: what it printed, and the time until it goes on or the exit code.
    mutating func step(_ files: inout ModelFiles, injected: inout [Int]) -> (
        output: String, pause: Duration?, code: Int?
    ) {
        var output = ""
        while true {
            if var current = rsync {
                let step = current.step(&files)
                output += step.output
                server?.output += step.output
                if let pause = step.pause {
                    rsync = current
                    return (output, pause, nil)
                }
                rsync = nil
                status = step.code ?? 0
            }
            if var current = writer {
                current.line += 1
                let old = files[current.path] ?? File(modified: files.now)
                var file = File(old.content + "\(current.line)\n", mode: old.mode, owner: old.owner, group: old.group)
                file.modified = files.now
                guard files.write(current.path, file) else { return (output, nil, 1) }
                writer = current
                return (output, current.interval, nil)
            }
            if var current = asker {
                let answer = current.step(&files)
                asker = answer == nil ? current : nil
                guard let answer else { return (output, .milliseconds(5), nil) }
                output += answer
            }
            if var current = server {
                let turn = current.step(&files, status: status)
                server = current
                switch turn {
                case .perform(let words):
                    if let pause = start(words, &files, &output, &injected) { return (output, pause, nil) }
                case .wait(let pause): return (output, pause, nil)
                case .end: server = nil
                }
                if server != nil { continue }
                status = 0
            }
            guard let command = commands.popFirst() else { return (output, nil, status) }
            switch command.condition {
            case .ifSucceeded where status != 0, .ifFailed where status == 0: continue
            default: break
            }
            let words = command.words.map { $0.replacing("$?", with: String(status)) }
            if words[0] == "exit" { return (output, nil, words.count > 1 ? Int(words[1]) ?? 2 : status) }
            if let pause = start(words, &files, &output, &injected) { return (output, pause, nil) }
        }
    }

    /// Writes words to the output, or to the file behind `>`.
    private mutating func echo(_ arguments: [String], _ files: inout ModelFiles, _ output: inout String) {
        let parts = arguments.split(separator: ">", maxSplits: 1, omittingEmptySubsequences: false)
        let text = parts[0].joined(separator: " ") + "\n"
        guard parts.count > 1, let path = parts[1].first else {
            output += text
            return
        }
        var file = files[path] ?? File(modified: files.now)
        (file.content, file.modified) = (text, files.now)
        if !files.write(path, file) { status = 1 }
    }

    /// Runs one command, or begins it.
    ///
    /// - Returns: how long it sleeps, nil where it is done or goes on at once.
    private mutating func start(
        _ words: [String],
        _ files: inout ModelFiles,
        _ output: inout String,
        _ injected: inout [Int]
    ) -> Duration? {
        let arguments = Array(words.dropFirst()).filter { !$0.hasPrefix("2>") }
        let hidesErrors = words.contains("2>/dev/null")
        status = 0
        switch words[0].split(separator: "/").last.map(String.init) ?? "" {
        case "true", "sync", ":": break
        case "false": status = 1
        case "echo": echo(arguments, &files, &output)
        case "printf":
            var text = (arguments.first ?? "").replacing("\\n", with: "\n").replacing("\\r", with: "\r")
            for argument in arguments.dropFirst() {
                guard let place = text.firstRange(of: "%d") ?? text.firstRange(of: "%s") else { break }
                text.replaceSubrange(place, with: argument)
            }
            output += text
        case "sleep":
            let text = arguments.first ?? "0"
            return text == "infinity" ? .seconds(1_000_000_000) : .milliseconds(Int((Double(text) ?? 0) * 1000))
        case "rsync":
            switch ModelRsync.parse(arguments) {
            case .end(let text, let code): (output, status) = (output + text, code)
            case .run(var run):
                if !injected.isEmpty, !run.options.dryRun {
                    let code = injected.removeFirst()
                    run.injectedExit = code == 0 ? nil : code
                }
                rsync = run
            }
        case "writer", "serve", "ask": wait(words[0], arguments)
        case "test":
            status = arguments.count > 1 && (files[arguments[1]] != nil || files.isDirectory(arguments[1])) ? 0 : 1
        case "cat":
            for path in arguments {
                if let file = files[path] {
                    output += file.content
                } else {
                    missing(hidesErrors ? nil : "cat: can't open '\(path)'", &output)
                }
            }
        case "ls":
            for path in arguments where !path.hasPrefix("-") {
                if let place = files.place(path), files.isDirectory(path) {
                    output += files.paths(below: place).map { $0 + "\n" }.joined()
                } else {
                    missing("ls: \(path)", &output)
                }
            }
        case "touch", "mkdir", "dd", "ln", "rm": change(words[0], arguments, &files, &output)
        default:
            output += "sh: \(words[0]): not found\n"
            status = 127
        }
        return nil
    }

    /// The commands that go on, or wait for others.
    private mutating func wait(_ name: String, _ arguments: [String]) {
        switch name {
        case "serve": server = ModelServer(arguments)
        case "ask": asker = ModelAsker(arguments)
        default:
            let interval = arguments.count > 1 ? Double(arguments[1]) ?? 1 : 1
            writer = Writer(path: arguments.first ?? "", interval: .milliseconds(Int(interval * 1000)))
        }
    }

    private mutating func missing(_ what: String?, _ output: inout String) {
        if let what { output += what + ": No such file or directory\n" }
        status = 1
    }

    /// The commands that change files.
    private mutating func change(
        _ name: String,
        _ arguments: [String],
        _ files: inout ModelFiles,
        _ output: inout String
    ) {
        let options = Dictionary(
            arguments.compactMap { argument -> (String, String)? in
                let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
                return parts.count == 2 ? (parts[0], parts[1]) : nil
            },
            uniquingKeysWith: { $1 }
        )
        let paths = arguments.filter { !$0.hasPrefix("-") && !$0.contains("=") }
        var target = paths.last ?? options["of"] ?? ""
        var file: File?
        switch name {
        case "touch": file = files[target] ?? File()
        case "mkdir": file = .directory()
        case "dd":
            target = options["of"] ?? ""
            let block = options["bs"] == "1M" ? 1 << 20 : Int(options["bs"] ?? "") ?? 512
            file = File(size: block * (Int(options["count"] ?? "") ?? 1))
        case "ln" where arguments.contains("-s"): file = .link(to: paths.first ?? "")
        case "ln":
            file = files[paths.first ?? ""]
            let number = file?.hardLink ?? target.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xff_ffff }
            file?.hardLink = number
            if let file { _ = files.write(paths.first ?? "", file) }
        default: break
        }
        file?.modified = files.now
        if let file, !files.write(target, file) {
            output += "\(name): \(target): Read-only file system\n"
            status = 1
        }
        if name == "rm", let place = files.place(target), !place.prefix.isEmpty {
            var whole = place
            whole.prefix = ""
            for path in files.paths(below: whole) where (path + "/").hasPrefix(place.prefix) {
                if !files.write(whole, path, nil) { status = 1 }
            }
        }
    }
}
