import Foundation

/// README and the pages of the manual.
enum Manual {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let folder = root.appending(path: "Sources/pvmigrate/Documentation.docc")

    /// Their paths below the root.
    static var pages: [String] {
        get throws {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".md") }
            return ["README.md"] + names.sorted().map { "Sources/pvmigrate/Documentation.docc/\($0)" }
        }
    }

    /// A page in parts: the text, and what stands between fences.
    struct Page {
        var text = ""
        var blocks: [(language: String, text: String)] = []

        init(_ path: String) throws {
            let content = try String(contentsOf: Manual.root.appending(path: path), encoding: .utf8)
            var isInside = false
            for line in content.split(separator: "\n", omittingEmptySubsequences: false) {
                let trimmed = line.drop { $0 == " " }
                if trimmed.hasPrefix("```") {
                    if !isInside { blocks.append((String(trimmed.dropFirst(3)), "")) }
                    isInside.toggle()
                } else if isInside {
                    blocks[blocks.count - 1].text += line + "\n"
                } else {
                    text += line + "\n"
                }
            }
        }

        /// What stands between backticks in the text and begins so.
        func spans(_ prefix: String) -> [String] {
            text.split(separator: "\n").flatMap { line in
                line.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
                    .map { String($0.element) }
            }.filter { $0.hasPrefix(prefix) }
        }
    }

    /// The commands of a shell's script, each as its words; what is redirected to a file is one more.
    ///
    /// Of the shell's language it knows what the manual has. What stands for something else becomes a word like any other.
    static func commands(in script: String) -> [[String]] {
        var commands: [[String]] = [[]]
        var word: String?
        var quote: Character?
        func end(command: Bool) {
            if let word { commands[commands.count - 1].append(word) }
            word = nil
            if command { commands.append([]) }
        }
        var rest = script.replacing("\\\n", with: " ")[...]
        while let character = rest.popFirst() {
            if let inside = quote {
                if character == inside { quote = nil } else { word? += String(character) }
                continue
            }
            switch character {
            case "'", "\"":
                quote = character
                word = word ?? ""
            case "#" where word == nil: rest = rest.drop { $0 != "\n" }
            case "\n", "|", "&", ";", "<", ">", "(", ")": end(command: true)
            case " ": end(command: false)
            default: word = (word ?? "") + String(character)
            }
        }
        end(command: true)
        return commands.map { words in
            let introductions: Set = ["-", "do", "sudo", "run:"]
            return words.drop(while: introductions.contains).map { word in
                word.replacing(/\$\w+/, with: "x").replacing("…", with: "0")
            }
        }.filter { !$0.isEmpty }
    }
}
