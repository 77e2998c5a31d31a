import ArgumentParser
import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("README and the manual")
struct ManualTests {
    private let folder: TemporaryFolder
    private let template: String
    private let plan: String

    init() throws {
        folder = try TemporaryFolder()
        template = try folder.write("mover.yaml", "metadata: {labels: {team: storage}}")
        plan = try folder.write("planned.yaml", PlanTests.ofNothing)
    }

    @Test("have no command line that the program does not take", arguments: try Manual.pages)
    func lines(page: String) throws {
        let page = try Manual.Page(page)
        for block in page.blocks where !block.language.isEmpty {
            for words in Manual.commands(in: block.text) where words.first == "pvmigrate" {
                #expect(throws: Never.self, "\(words)") { try take(Array(words.dropFirst()), isWhole: true) }
            }
        }
        for span in page.spans("pvmigrate") {
            for words in Manual.commands(in: span) where words.first == "pvmigrate" {
                #expect(throws: Never.self, "\(words)") { try take(Array(words.dropFirst()), isWhole: false) }
            }
        }
    }

    /// Has the program's own parsers read a command line.
    ///
    /// - Parameter isWhole: False for the part of one, which may lack what is required.
    private func take(_ words: [String], isWhole: Bool) throws {
        var words = words
        if let place = words.firstIndex(of: "--mover-template") { words[place + 1] = template }
        if words.first == ApplyArguments.name, words.count > 1 { words[1] = plan }
        let command = Subcommands.find(in: words)
        let type: any ParsableCommand.Type = command?.type ?? MigrateArguments.self
        let parsed: any ParsableCommand
        do {
            parsed = try type.parse(try GoSpelling.normalise(command?.arguments ?? words))
        } catch  where type.exitCode(for: error).isSuccess {
            return
        }
        guard isWhole else { return }
        switch parsed {
        case let migration as MigrateArguments: _ = try migration.checked()
        case let run as any RunSubcommand: _ = try run.checked()
        case let status as StatusArguments: _ = try status.checked()
        case let cleanup as CleanupArguments: _ = try cleanup.checked()
        case let plan as PlanArguments: _ = try PlannedCommand.read(plan.command)
        case let rights as RBACArguments: _ = try rights.checked()
        case let job as JobArguments: _ = try job.checked()
        default: #expect(parsed is CompletionArguments)
        }
    }

    @Test("name no script, and no flag of one, that there is not", arguments: try Manual.pages)
    func scripts(page: String) throws {
        let page = try Manual.Page(page)
        let texts = page.spans("scripts/") + page.blocks.filter { !$0.language.isEmpty }.map(\.text)
        for words in texts.flatMap(Manual.commands) {
            guard let script = words.first, script.hasPrefix("scripts/") else { continue }
            let path = Manual.root.appending(path: script).path
            #expect(FileManager.default.isExecutableFile(atPath: path), "\(script)")
            let text = try String(contentsOfFile: path, encoding: .utf8)
            for flag in words where flag.hasPrefix("--") { #expect(text.contains(flag), "\(words)") }
        }
    }

    @Test("have YAML that can be read, and templates of movers that are taken", arguments: try Manual.pages)
    func manifests(page: String) throws {
        for (number, block) in try Manual.Page(page).blocks.enumerated() where block.language == "yaml" {
            let manifest = try ManifestFile.read(try folder.write("\(number).yaml", block.text))
            guard Set(manifest.object?.keys.map(\.self) ?? []).isSubset(of: ["metadata", "spec"]) else { continue }
            #expect(throws: Never.self, "\(block.text)") { try MoverTemplate(manifest) }
        }
    }

    @Test("tell of every command")
    func everyCommand() throws {
        let page = try Manual.Page("README.md")
        let rows = page.text.split(separator: "\n").filter { $0.hasPrefix("| `pvmigrate") }.joined()
        for command in Subcommands.all {
            #expect(
                rows.contains("`\(command.name)`") || rows.contains("`pvmigrate \(command.name)"),
                "\(command.name)"
            )
        }
    }

    @Test("say what scripts/docs makes of the program")
    func generated() throws {
        let (code, text) = try Self.docs("--check")
        #expect(code == 0, "\(text)")
    }

    @Test("have a manual page with every flag of every command, which shows each line of text")
    func manualPage() throws {
        let path = folder.path + "/pvmigrate.1"
        let (code, text) = try Self.docs("--man", path)
        #expect(code == 0, "\(text)")
        let page = try String(contentsOfFile: path, encoding: .utf8)
        let types: [any ParsableCommand.Type] = [MigrateArguments.self] + Subcommands.all
        for type in types {
            for name in try type.describedArguments().flatMap({ $0["names"]?.array ?? [] }) {
                let name = try #require(name["name"]?.string)
                guard name.count > 1, !["help", "version"].contains(name) else { continue }
                #expect(page.contains("\\-\\-" + name.replacing("-", with: "\\-")), "\(name)")
            }
        }
        for command in Subcommands.all { #expect(page.contains("\n.SS \(command.name)\n")) }
        // What else begins so would be taken for a request, and vanish.
        let macros: Set = [".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi"]
        for line in page.split(separator: "\n") where line.hasPrefix(".") || line.hasPrefix("'") {
            #expect(macros.contains(String(line.prefix { $0 != " " })), "\(line)")
        }
    }

    /// Runs `scripts/docs` with the program that is beside the tests.
    private static func docs(_ arguments: String...) throws -> (code: Int32, text: String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = Manual.root.appending(path: "scripts/docs")
        process.arguments = ["--program", ProgramTests.directory.appending(path: "pvmigrate").path] + arguments
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: said, as: UTF8.self))
    }
}
