import Foundation
import FoundationXML
import Kubernetes
import Migration
import Synchronization
import Testing

@testable import pvmigrate

@Suite("No text of a cluster steers a terminal, forges a line of a log or changes the order of what is read")
struct HostileTextTests {
    /// C0 but for tab and line end, DEL, C1, the separators of lines and paragraphs, and what changes the direction of text.
    private static let controls: [Unicode.Scalar] = {
        let numbers: [UInt32] =
            Array(0x00...0x08) + Array(0x0B...0x1F) + Array(0x7F...0x9F) + [0x061C, 0x200E, 0x200F, 0x2028, 0x2029]
            + Array(0x202A...0x202E) + Array(0x2066...0x2069)
        return numbers.compactMap(Unicode.Scalar.init)
    }()
    /// All of them, and a line that looks like one of ours.
    private static let hostile =
        "a" + controls.map { "\($0)b" }.joined() + "\t\u{1B}[2J\n[    0.0s] done: all claims migrated\r\nc"

    /// What of them is left in a text.
    private func left(in text: String) -> [Unicode.Scalar] { text.unicodeScalars.filter(Self.controls.contains) }

    @Test("in a table, whichever column it is in")
    func table() {
        let table = Table(header: ["A", "B"], rows: [[Self.hostile, "x"], ["x", Self.hostile]])
        #expect(left(in: table.text).isEmpty)
        #expect(table.text.split(separator: "\n").count == 3)
    }

    @Test("in a message's text or subject", arguments: [Message.Level.info, .warning, .error, .output])
    func log(level: Message.Level) {
        for (subject, text) in [(Self.hostile, "x"), ("x", Self.hostile)] {
            let line = Log.line(.seconds(5), level, subject, text)
            #expect(left(in: line).isEmpty)
            // What is not from the program itself begins no line.
            for line in line.split(separator: "\n") { #expect(line.hasPrefix("[    5.0s] ") || line.hasPrefix("    ")) }
        }
    }

    @Test("in the name or the step of a unit that a terminal shows")
    func terminal() {
        var overview = Overview()
        overview.note(
            Milestone(
                elapsed: .zero,
                unit: Self.hostile,
                claims: [ObjectName("data", in: "shop")],
                kind: .stepBegan("copy")
            )
        )
        for width in [20, 80, 4000] {
            let lines = overview.lines(width: width, height: 24, now: .seconds(1))
            #expect(lines.count == 2 && lines.allSatisfy { left(in: $0).isEmpty && $0.columns < width })
        }
        let drawn = Box("")
        let terminal = LiveTerminal(size: { LiveTerminal.Size(columns: 80, rows: 24) }) { text in
            drawn.value.withLock { $0 += text }
        }
        terminal.draw { _ in [Self.hostile] }
        // The terminal's own: back to the beginning, and erase.
        let text = drawn.value.withLock { $0 }.replacing("\u{1B}[K", with: "").replacing("\u{1B}[J", with: "").drop {
            $0 == "\r"
        }
        #expect(left(in: String(text)).isEmpty)
    }

    @Test("in the JSON of a result or an event, which keeps it all the same")
    func json() throws {
        let line = JSON.object([Self.hostile: .string(Self.hostile)]).line
        #expect(left(in: line).isEmpty && line.hasSuffix("\n") && line.dropLast().allSatisfy { !$0.isNewline })
        #expect(try JSON(parsing: Data(line.utf8)) == .object([Self.hostile: .string(Self.hostile)]))
    }

    @Test(
        "in whatever a server says, by any command",
        arguments: ["", "status", "cleanup"],
        ["text", "json"]
    )
    func commands(command: String, format: String) async throws {
        let message = JSON.string(Self.hostile)
        let server = ScriptedServer { _ in
            Response(
                status: 403,
                headers: [("Warning", "299 - \"\(Self.hostile)\"")],
                body: (["kind": "Status", "code": 403, "reason": "Forbidden", "message": message] as JSON).text
            )
        }
        let folder = try TemporaryFolder()
        let console = Console()
        let classes = command == "cleanup" ? ["--keep-days=1"] : ["--source-sc=slow", "--dest-sc=fast"]
        let code = await pvmigrate.run(
            (command.isEmpty ? [] : [command]) + classes
                + ["--output=\(format)", "--kubeconfig=\(try folder.write("config", kubeconfig()))"],
            in: console.surroundings(time: .instant) { _ in server },
            interruption: Interruption()
        )
        let run = console.run(ending: code)
        #expect(code != .done && run.errors.contains("b?b"))
        #expect(left(in: run.errors + run.output).isEmpty)
        #expect(
            !run.errorLines.contains { $0.contains("done: all claims migrated") && $0.hasPrefix("[    0.0s] done") }
        )
    }

    @Test("in what is written without regard to any of that")
    func surroundings() {
        let console = Console()
        let surroundings = console.surroundings(time: .instant) { _ in ScriptedServer { _ in Response(status: 500) } }
            .withoutControls
        surroundings.output(Self.hostile)
        surroundings.errors(Self.hostile)
        let run = console.run(ending: .done)
        #expect(run.output.contains("b?b") && run.errors.contains("b?b"))
        #expect(left(in: run.output + run.errors).isEmpty)
    }

    @Test("nor does any character make a page or a JUnit file that is not well-formed")
    func markup() {
        let all = String(String.UnicodeScalarView((0...0x1_FFFF).compactMap(Unicode.Scalar.init)))
        var report = Report()
        report.claims = [
            Report.Claim(name: ObjectName("a", in: all), size: all, result: .failed, reason: all)
        ]
        report.failures = [all]
        let outcome = Outcome(kind: .failed, code: .failed, message: all, report: report)
        let options = Options(sourceClass: "slow", destinationClass: "fast")
        let page = HTMLReport(
            outcome: outcome,
            options: options,
            arguments: [all],
            began: .now,
            took: .seconds(1),
            milestones: [Milestone(elapsed: .zero, unit: all, claims: [], kind: .stepBegan("copy"))],
            messages: [Message(elapsed: .zero, level: .error, subject: all, text: all)]
        )
        for text in [page.text, outcome.junit(options, began: .now, took: .seconds(1))] {
            let parser = XMLParser(data: Data(text.utf8))
            #expect(parser.parse(), "\(String(describing: parser.parserError))")
        }
    }
}
