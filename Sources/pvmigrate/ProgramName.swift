/// What a person types to run the program: kubectl runs its plugins by the names of their files, `kubectl-pvmigrate`.
struct ProgramName: Sendable {
    private static let usual = "pvmigrate"
    private static let plugin = "kubectl-"

    let shown: String

    /// - Parameter path: what the program was run by.
    init(path: String = usual) {
        let file = path.split(separator: "/").last ?? ""
        shown = file.hasPrefix(Self.plugin) ? "kubectl " + file.dropFirst(Self.plugin.count) : Self.usual
    }

    /// A text whose command lines begin as this person has to type them.
    func typed(in text: String) -> String {
        guard shown != Self.usual else { return text }
        let commands = Set(Subcommands.all.compactMap { $0.name.split(separator: " ").first })
        var (result, rest) = ("", text[...])
        while let range = rest.firstRange(of: Self.usual + " ") {
            let next = rest[range.upperBound...].prefix { $0.isLetter || $0 == "-" }
            let isCommand = commands.contains(next) || next.hasPrefix("--")
            let isWord = rest[..<range.lowerBound].last.map { $0.isWhitespace || "`\"'(>:".contains($0) } ?? true
            result += rest[..<range.lowerBound] + (isCommand && isWord ? shown : Self.usual) + " "
            rest = rest[range.upperBound...]
        }
        return result + rest
    }
}

extension Surroundings {
    /// The same, with command lines in what is written as a person has to type them.
    var asTyped: Surroundings {
        var same = self
        same.output = { [output, name] in output(name.typed(in: $0)) }
        same.errors = { [errors, name] in errors(name.typed(in: $0)) }
        return same
    }
}
