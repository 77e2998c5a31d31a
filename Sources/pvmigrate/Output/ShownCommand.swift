/// A command line as a person may copy it from a report, into a shell or to others.
enum ShownCommand {
    static func text(_ arguments: [String]) -> String {
        (["pvmigrate"] + arguments.map { quoted(withoutSecrets($0)) }).joined(separator: " ")
    }

    /// No flag takes a secret, but whoever hides one in a flag for rsync or in a patch must not find it in a report.
    private static func withoutSecrets(_ argument: String) -> String {
        argument
            .replacing(/:\/\/[^\/@\s]+@/) { _ in "://***@" }
            .replacing(/eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*/) { _ in "***" }
            .replacing(/(?i)(bearer\s+)[^\s"',}]+/) { "\($0.1)***" }
            .replacing(
                /(?i)((?:password|passwd|passphrase|token|secret|credential|api-?key|private-?key)s?["']?\s*[:=]\s*["']?)[^\s"',}]+/
            ) {
                "\($0.1)***"
            }
    }

    private static func quoted(_ argument: String) -> String {
        let isPlain = argument.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_=/.,:@%+*".contains($0)) }
        guard !isPlain || argument.isEmpty else { return argument }
        return "'" + argument.replacing("'", with: #"'\''"#) + "'"
    }
}
