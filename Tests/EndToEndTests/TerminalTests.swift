import Foundation
import Testing

/// What a person sees who looks on.
struct TerminalTests {
    @Test("a terminal shows units while they are under way, within its width, and in the end only messages and results")
    func drawn() async throws {
        let output = try await migrate(in: "xterm")
        let erase = "\u{1B}[J"
        let frames = output.components(separatedBy: erase)
        let lines = frames.dropLast().flatMap { $0.split(separator: "\r\n") }.filter { $0.hasSuffix("\u{1B}[K") }
        #expect(lines.contains { $0.contains("0 of 1 claim done, 1 unit under") }, "\(output)")
        #expect(lines.allSatisfy { $0.split(separator: "\u{1B}[").first?.count ?? 0 < 40 }, "\(lines)")
        let last = try #require(frames.last)
        #expect(!last.contains("\u{1B}") && last.contains("migrated") && last.contains("done: 1 claim migrated"))
    }

    @Test("a terminal that can do no more than print gets plain lines")
    func dumb() async throws {
        let output = try await migrate(in: "dumb")
        #expect(!output.contains("\u{1B}") && output.contains("done: 1 claim migrated"), "\(output)")
    }

    /// Migrates a claim, and returns what the terminal was sent.
    private func migrate(in type: String) async throws -> String {
        var output = ""
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            let run = try await scene.start(scene.classes, output: .terminal(type: type)).end()
            scene.expect(run, exit: 0)
            try await scene.expectMigrated("data")
            output = run.output
        }
        return output
    }
}
