import Foundation
import Testing

@testable import Migration

@Suite("The scripts of a mover that stands", .timeLimit(.minutes(5)))
struct StandingScriptTests {
    /// Begins the first process of a standing mover, and ends it and its children after the test.
    private func standing(_ image: CopyBench.Image, _ body: (CopyBench) throws -> Void) async throws {
        try await CopyBench.with(image) { bench in
            let (process, _) = try bench.start(["/usr/bin/setsid"] + CopyScript.standing)
            defer { kill(-process.processIdentifier, SIGKILL) }
            try body(bench)
            #expect(process.isRunning)
        }
    }

    /// Tells a command, and returns its end.
    private func tell(_ bench: CopyBench, _ number: Int, _ call: String?) throws -> CommandEnd {
        let (code, output) = try bench.run(CopyScript.telling(number, call))
        #expect(code == 0, "\(output)")
        return try #require(CommandEnd(Data(output.utf8), number: number), "\(output)")
    }

    @Test("a pass, a copy and its check are commands, in every shell", arguments: CopyBench.Image.here)
    func commands(image: CopyBench.Image) async throws {
        try await standing(image) { bench in
            try bench.shell("seq 5000 >source/numbers && mkdir -p 'source/a  b' && echo x >'source/a  b/*'")
            let flags = RsyncFlags(further: [
                "--exclude=it's a \"name\"; exit 3", #"--exclude=\temp\c"#, "--exclude=a\nb",
            ])
            let (code, said) = try bench.run(CopyScript.telling(0, nil))
            #expect(code == 0 && said.isEmpty)
            #expect(try tell(bench, 1, flags.call(for: .pass)).code == 0)
            try bench.shell("seq 6000 >source/numbers")
            #expect(flags.differences(in: try tell(bench, 2, flags.call(for: .check)).output)?.isEmpty == false)
            let copied = try tell(bench, 3, flags.call(for: .copy))
            #expect(copied.code == 0)
            #expect(flags.statistics(in: copied.output)?.totalBytes == 28895, "\(copied.output)")
            #expect(flags.differences(in: try tell(bench, 4, flags.call(for: .check)).output) == [])
            #expect(flags.differences(in: try tell(bench, 5, flags.call(for: .compare)).output) == [])
            try bench.expectEqual(flags)
        }
    }

    @Test("a command that was told is not performed again: its end is told again", arguments: CopyBench.Image.here)
    func again(image: CopyBench.Image) async throws {
        try await standing(image) { bench in
            try bench.install("rsync", "echo run >>\(bench.root)/runs; echo said; exit 23")
            let call = RsyncFlags(streams: 1).call(for: .check)
            let first = try tell(bench, 1, call)
            #expect(first.code == 23 && first.output == "said\n")
            let second = try tell(bench, 1, call)
            #expect(second.code == 23 && second.output == "said\n")
            #expect(try bench.shell("cat runs") == "run\n")
        }
    }

    @Test("whoever asks while a command goes on, after the one who told it has gone, learns its end")
    func cut() async throws {
        try await standing(.gnu) { bench in
            try bench.install(
                "rsync",
                "echo run >>\(bench.root)/runs; while [ ! -e \(bench.root)/go ]; do sleep 0.05; done; echo said"
            )
            let call = RsyncFlags(streams: 1).call(for: .check)
            let (teller, _) = try bench.start(CopyScript.telling(1, call))
            while !FileManager.default.fileExists(atPath: bench.root + "/runs") { usleep(10_000) }
            kill(teller.processIdentifier, SIGKILL)
            teller.waitUntilExit()
            // It has another one's words before it.
            let (other, handle) = try bench.start(CopyScript.telling(1, call))
            try Data().write(to: URL(filePath: bench.root + "/go"))
            let output = try handle.readToEnd() ?? Data()
            other.waitUntilExit()
            #expect(CommandEnd(output, number: 1)?.output == "said\n")
            #expect(try bench.shell("cat runs") == "run\n")
        }
    }

    @Test("one that nobody tells anything ends, but never while a command goes on", arguments: CopyBench.Image.here)
    func idle(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            try bench.install("rsync", "sleep 2.5; echo said")
            let (process, _) = try bench.start(CopyScript.standing.dropLast() + ["1"])
            #expect(try tell(bench, 1, RsyncFlags(streams: 1).call(for: .check)).output == "said\n")
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
    }

    @Test("an answer counts only whole, and only for its command")
    func answers() throws {
        let answer = Data("3 23 5\nsaid\n".utf8)
        let end = try #require(CommandEnd(answer, number: 3))
        #expect(end.code == 23 && end.output == "said\n")
        #expect(CommandEnd(answer, number: 2) == nil)
        for length in 0..<answer.count { #expect(CommandEnd(answer.prefix(length), number: 3) == nil) }
        #expect(CommandEnd(Data("3  5\nsaid\n".utf8), number: 3) == nil)
    }
}
