/// Reads the few things of the shell that recorded and scripted containers use: lists with `;`, `&&` and `||`, words
/// with quotes, `$?`, variables, and `for` over words.
enum ModelShell {
    /// When a command runs, by the status of the one before.
    enum Condition: Sendable { case always, ifSucceeded, ifFailed }

    struct Command: Sendable {
        var words: [String]
        var condition: Condition
    }

    /// The commands of a script, loops unrolled; variables that are not the script's own are empty.
    static func parse(_ script: String) -> [Command] {
        commands(tokens(script), variables: [:])
    }

    /// What a script around a program comes to: one that gives its own arguments, or those after `--`, to rsync changes
    /// no files but by that, as far as the model has anything that it could change.
    static func wrapped(_ script: String, _ arguments: [String]) -> [Command]? {
        guard script.contains("rsync \"$@\""), let end = arguments.firstIndex(of: "--") else { return nil }
        return [Command(words: ["rsync"] + arguments[(end + 1)...], condition: .always)]
    }

    private enum Token: Equatable {
        case word(String)
        case separator(String)
    }

    private static func commands(_ tokens: [Token], variables: [String: String]) -> [Command] {
        var result: [Command] = []
        var words: [String] = []
        var condition = Condition.always
        func finish(_ next: Condition) {
            if !words.isEmpty { result.append(Command(words: words, condition: condition)) }
            (words, condition) = ([], next)
        }
        var index = 0
        while index < tokens.count {
            switch tokens[index] {
            case .separator("&&"): finish(.ifSucceeded)
            case .separator("||"): finish(.ifFailed)
            case .separator: finish(.always)
            case .word("for") where words.isEmpty:
                guard let start = tokens[index...].firstIndex(of: .word("do")),
                    let end = tokens[index...].lastIndex(of: .word("done")), start < end
                else { return result }
                let values = tokens[index..<start].dropFirst(3).compactMap { token -> String? in
                    if case .word(let word) = token { word } else { nil }
                }
                guard case .word(let name) = tokens[index + 1] else { return result }
                for value in values {
                    let inner = variables.merging([name: value]) { $1 }
                    result += commands(Array(tokens[(start + 1)..<end]), variables: inner)
                }
                index = end
            case .word(let word):
                words.append(expanded(word, variables))
            }
            index += 1
        }
        finish(.always)
        return result
    }

    private static func expanded(_ word: String, _ variables: [String: String]) -> String {
        var word = word
        for (name, value) in variables { word = word.replacing("$" + name, with: value) }
        return word
    }

    private static func tokens(_ script: String) -> [Token] {
        var result: [Token] = []
        var word: String?
        var quote: Character?
        func endWord() {
            if let finished = word { result.append(.word(finished)) }
            word = nil
        }
        for character in script {
            if let open = quote {
                if character == open { quote = nil } else { word?.append(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character == ";" || character == "\n" {
                endWord()
                result.append(.separator(";"))
            } else if character == "&", word?.hasSuffix(">") == true {
                word?.append(character)
            } else if character == "&" || character == "|" {
                endWord()
                if result.last == .separator(String(character)) {
                    result[result.count - 1] = .separator(String([character, character]))
                } else {
                    result.append(.separator(String(character)))
                }
            } else if character.isWhitespace {
                endWord()
            } else {
                word = (word ?? "") + String(character)
            }
        }
        endWord()
        return result
    }
}
