import Foundation
import Migration
import Testing

@testable import pvmigrate

@Suite("Output")
struct OutputTests {
    @Test("keeps a table's columns aligned and each row on one line")
    func table() {
        let table = Table(
            header: ["NAMESPACE", "RESOURCE", "MESSAGE"],
            rows: [
                ["shop", "Pod é-0", "refused:\n  first\n\tsecond\r\n"], ["-", "StorageClass fast", "\u{1b}[2Jgone"],
                ["a-long-namespace", "x", ""],
            ]
        )
        #expect(
            table.text == """
                NAMESPACE          RESOURCE            MESSAGE
                shop               Pod é-0             refused: first second
                -                  StorageClass fast   ?[2Jgone
                a-long-namespace   x

                """
        )
    }

    @Test(
        "gives each message its time, its weight and its subject",
        arguments: [
            (Duration.milliseconds(12_349), Message.Level.info, "Pod a/b", "runs", "[   12.3s] Pod a/b: runs\n"),
            (.zero, .info, "", "migrating", "[    0.0s] migrating\n"),
            (.seconds(3), .warning, "Pod a/b", "late", "[    3.0s] warning: Pod a/b: late\n"),
            (.seconds(12_345_678), .error, "x", "y", "[12345678.0s] error: x: y\n"),
            (
                .seconds(1), .error, "x", "failed. Its last lines:\n\n    one\n  two\u{7}\n",
                "[    1.0s] error: x: failed. Its last lines:\n    one\n    two?\n"
            ),
            (
                .seconds(1), .output, "x", "a\r  10%\r\u{1b}[K",
                "[    1.0s] x: a\n[    1.0s] x:   10%\n[    1.0s] x: ?[K\n"
            ),
            (.seconds(1), .output, "x", "", "[    1.0s] x: \n"),
        ]
    )
    func lines(elapsed: Duration, level: Message.Level, subject: String, text: String, line: String) {
        #expect(Log.line(elapsed, level, subject, text) == line)
    }

    @Test("of --help shows every flag with its default, and what the lists of steps and checks say")
    func help() throws {
        // What `pvmigrate --help` prints, as people are to read it.
        let file = #filePath.replacing("Tests/pvmigrateTests/OutputTests.swift", with: "testdata/help.txt")
        #expect(try String(contentsOfFile: file, encoding: .utf8) == Help.text + "\n")
        let steps = Pipeline.first + Pipeline.live.steps.map { ($0.name, $0.summary) } + Pipeline.last
        let lines = steps.map { "  \($0.name.padded(to: 17)) \($0.summary)\n" }
        var rest = Help.text[...]
        for line in lines {
            let place = try #require(rest.range(of: line), "\(line)")
            rest = rest[place.upperBound...]
        }
        for check in Preflight.checks { #expect(rest.contains("  \(check.name.padded(to: 17)) \(check.summary)\n")) }
        for code in [
            "0    done", "1    failed", "2    preflight failed", "3    something is still stopped", "64   wrong usage",
        ] {
            #expect(rest.contains("\n  \(code)"))
        }
        for key in Outcome.keys { #expect(rest.contains(key)) }
        #expect(Help.text.split(separator: "\n").allSatisfy { $0.count <= 120 })
    }
}
