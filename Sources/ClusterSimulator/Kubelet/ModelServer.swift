/// A first process that performs commands one after the other, each when another process of its container asks for it: what a
/// shell does that reads words from a named pipe. The commands, their ends and what they printed are files of a directory.
struct ModelServer: Sendable {
    enum Turn {
        case perform([String])
        case wait(Duration)
        case end
    }

    private let directory: String
    /// How long it waits for a word before it ends.
    private let idle: Duration
    private var current: String?
    private var heard: Duration?
    private var words = 0
    /// What the current command has printed.
    var output = ""

    /// The program's arguments: its directory, and at their end the seconds that it waits.
    init(_ arguments: [String]) {
        directory = arguments.first ?? ""
        idle = .seconds(Double(arguments.last ?? "") ?? 0)
    }

    /// Goes on.
    ///
    /// - Parameter status: the exit code of the command that has just ended, where one has.
    mutating func step(_ files: inout ModelFiles, status: Int) -> Turn {
        if let number = current {
            _ = files.write("\(directory)/\(number).output", File(output))
            _ = files.write("\(directory)/\(number).code", File("\(status)"))
            (current, output, heard) = (nil, "", files.now)
        }
        guard let place = files.place(directory) else { return .end }
        let names = files.paths(below: place)
        let told = names.count { $0.hasPrefix("word-") }
        if told > words { (words, heard) = (told, files.now) }
        let waiting = names.filter { $0.hasSuffix(".command") }.map { String($0.dropLast(8)) }
            .first { files.file(place, $0 + ".code") == nil }
        if let number = waiting, let file = files.file(place, number + ".command") {
            current = number
            let call = ModelShell.parse(file.content).first?.words ?? []
            return .perform(["rsync"] + (call.split(separator: "--", maxSplits: 1).last ?? []))
        }
        let since = heard ?? files.now
        heard = since
        return files.now - since >= idle ? .end : .wait(idle - (files.now - since))
    }
}

/// A process that asks a `ModelServer` for a command and waits for its end.
struct ModelAsker: Sendable {
    private let directory, number, call: String
    private var hasAsked = false

    /// The program's arguments: the directory, the command's number, and the command, or nothing.
    init(_ arguments: [String]) {
        directory = arguments.first ?? ""
        number = arguments.dropFirst().first ?? ""
        call = arguments.dropFirst(2).first ?? ""
    }

    /// - Returns: what it prints at its end; nil while it waits.
    mutating func step(_ files: inout ModelFiles) -> String? {
        if !hasAsked {
            hasAsked = true
            guard let place = files.place(directory) else { return "" }
            let words = files.paths(below: place).count { $0.hasPrefix("word-") }
            _ = files.write("\(directory)/word-\(words)", File())
            if !call.isEmpty, files["\(directory)/\(number).command"] == nil {
                _ = files.write("\(directory)/\(number).command", File(call))
            }
        }
        if call.isEmpty { return "" }
        guard let code = files["\(directory)/\(number).code"], let output = files["\(directory)/\(number).output"]
        else {
            return nil
        }
        return "\(number) \(code.content) \(output.content.utf8.count)\n" + output.content
    }
}
