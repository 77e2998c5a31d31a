import ClusterSimulator
import Foundation
import Kubernetes
import Migration
import Synchronization
import Testing

@testable import pvmigrate

@Suite("A question at the terminal")
struct QuestionTests {
    /// A person who gives the same answer to everything, and what that person was asked.
    private final class Person: Sendable {
        private let answer: Bool
        private let heard = Mutex<[String]>([])
        var questions: [String] { heard.withLock { $0 } }

        init(_ answer: Bool) { self.answer = answer }

        func ask(_ question: String) async throws -> Bool {
            heard.withLock { $0.append(question) }
            return answer
        }
    }

    @Test("comes before kept storage is freed, and no leaves all as it is")
    func cleanup() throws {
        var shop = try Shop()
        #expect(try shop.run("--keep-source").code == .done)
        let volume = shop.kept.first
        let person = Person(false)
        shop.ask = { try await person.ask($0) }
        let refused = try shop.cleanup("--keep-days=0") { request, _ in
            #expect(request.method == .get)
            return nil
        }
        #expect(refused.code == .failed && refused.errors == "error: the answer was not yes; nothing was changed\n")
        #expect(
            person.questions == [
                "give up 1 old volume of 16.0 MiB, for good, with which a rollback of shop/data would be possible?"
            ]
        )
        #expect(shop.kept.first == volume)
        let other = Person(true)
        shop.ask = { try await other.ask($0) }
        #expect(try shop.cleanup("--keep-days=0").code == .done)
        #expect(other.questions.count == 1 && shop.kept.isEmpty)
    }

    @Test("does not come with --yes or --dry-run, nor where nothing is freed")
    func cleanupSilently() throws {
        var shop = try Shop()
        #expect(try shop.run("--keep-source").code == .done)
        let person = Person(false)
        shop.ask = { try await person.ask($0) }
        #expect(try shop.cleanup("--keep-days=1").code == .done)
        #expect(try shop.cleanup("--keep-days=0", "--dry-run").code == .done)
        #expect(try shop.cleanup("--keep-days=0", "--yes").code == .done)
        #expect(person.questions.isEmpty && shop.kept.isEmpty)
    }

    @Test("comes before a rollback gives changes up, and not before another one")
    func rollback() throws {
        var shop = try Shop()
        #expect(try shop.run("--keep-source").code == .done)
        try shop.write("order")
        let person = Person(false)
        shop.ask = { try await person.ask($0) }
        let refused = try shop.rollback("--discard-changes") { request, _ in
            #expect(!request.isChange)
            return nil
        }
        #expect(refused.code == .failed && shop.storageClass == "fast")
        #expect(refused.errorLines.last == "error: the answer was not yes; nothing was changed")
        #expect(
            person.questions == ["give up, for good, what was written since the migration to shop/data?"],
            "\(person.questions)"
        )
        #expect(try shop.rollback().code == .failed)
        #expect(try shop.rollback("--discard-changes", "--yes").code == .done)
        #expect(person.questions.count == 1 && shop.storageClass == "slow")
    }

    @Test("ends with Ctrl-C, which changes nothing")
    func interrupted() throws {
        var shop = try Shop()
        #expect(try shop.run("--keep-source").code == .done)
        let interruption = Interruption()
        shop.ask = { _ in
            interruption.request()
            try await TimeSource.continuous.sleep(.seconds(3600))
            return true
        }
        let run = try shop.cleanup("--keep-days=0", interruption: interruption)
        #expect(run.code == .failed && shop.kept.count == 1)
        #expect(run.errors == "error: interrupted; run again to see what is left\n")
    }
}

@Suite("A limit of a whole run")
struct TimeoutTests {
    @Test("brings everything to a safe state when it is over, and says that", arguments: [1, 2, 3, 4])
    func over(seconds: Int) throws {
        var shop = try Shop()
        let run = try shop.run("--timeout=\(seconds)s", "--skip-preflight-validation")
        #expect(run.code == .failed, "\(run.errors)")
        #expect(
            run.errors.contains("warning: --timeout of \(seconds).0 s is over: bringing everything to a safe state\n"),
            "\(run.errors)"
        )
        #expect(run.errorLines.last?.hasPrefix("error: interrupted by --timeout; ") == true, "\(run.errors)")
        #expect(shop.storageClass == "slow" && shop.scale == 2)
        #expect(try !shop.status().errors.contains("stopped"))
    }

    @Test("ends preflight, too")
    func preflight() throws {
        var shop = try Shop()
        let run = try shop.run("--timeout=1s")
        #expect(run.code == .failed)
        #expect(run.errorLines.last == "error: interrupted by --timeout; nothing was changed", "\(run.errors)")
    }

    @Test("does nothing where the run ends before")
    func early() throws {
        var shop = try Shop()
        let run = try shop.run("--timeout=1h")
        #expect(run.code == .done && shop.storageClass == "fast" && !run.errors.contains("--timeout"))
    }
}

@Suite("A name that is mistyped")
struct DidYouMeanTests {
    @Test("of a class is met with one that is like it")
    func classes() throws {
        var shop = try Shop()
        let run = try shop.run("--source-sc=slwo", "--dry-run")
        #expect(run.output.contains("does not exist (did you mean slow?)"), "\(run.output)\(run.errors)")
        let other = try shop.run("--dest-sc=fats")
        #expect(other.code == .refused && other.output.contains("does not exist (did you mean fast?)"))
        let unlike = try shop.run("--dest-sc=archive")
        #expect(unlike.code == .refused && !unlike.output.contains("did you mean"))
    }

    @Test(
        "of a command is met with one that is like it",
        arguments: [
            ("statsu", "there is no command \"statsu\" (did you mean status?)"),
            ("roll-back", "there is no command \"roll-back\" (did you mean rollback?)"),
            ("migrate", "there is no command \"migrate\""),
        ]
    )
    func commands(word: String, message: String) async {
        let console = Console()
        let code = await run(
            [word, "--source-sc=a"],
            in: console.surroundings(time: .instant) { _ in throw TransportError(.configuration, "asked") },
            interruption: Interruption()
        )
        #expect(code == .usage)
        #expect(console.run(ending: code).errors == "error: \(message); see pvmigrate --help\n")
    }
}

@Suite("pvmigrate version")
struct VersionTests {
    private func run(_ arguments: String..., answer: @escaping @Sendable (Request) throws -> Response) async throws
        -> Run
    {
        let folder = try TemporaryFolder()
        let console = Console()
        let code = await pvmigrate.run(
            ["version"] + arguments,
            in: console.surroundings(
                environment: ["KUBECONFIG": try folder.write("config", kubeconfig())],
                time: .instant
            ) { _ in ScriptedServer(answer) },
            interruption: Interruption()
        )
        return console.run(ending: code)
    }

    @Test("tells the API server's version, too")
    func both() async throws {
        let body = Data(#"{"major":"1","gitVersion":"v1.32.1","platform":"linux/arm64"}"#.utf8)
        let text = try await run { request in
            #expect(request.method == .get && request.target == "/version")
            return Response(status: 200, body: body)
        }
        #expect(text.code == .done && text.output.hasPrefix("pvmigrate \(version) linux/"))
        #expect(text.output.hasSuffix("\nserver v1.32.1 linux/arm64\n") && text.errors.isEmpty)
        let json = try await run("--output=json") { _ in Response(status: 200, body: body) }.object(schema: "version")
        #expect(json["version"] == .string(version))
        #expect(json["server"] == ["version": "v1.32.1", "platform": "linux/arm64"])
    }

    @Test("tells its own where no server is reached, and why")
    func away() async throws {
        let run = try await run("--output", "json") { _ in throw TransportError(.configuration, "nobody is there") }
        #expect(run.code == .done)
        #expect(try run.object(schema: "version")["server"] == .null)
        #expect(run.errors.contains("warning: no API server tells its version: ask for the version: nobody is there"))
    }
}

@Suite("What the program is called by")
struct ProgramNameTests {
    @Test("is what its command lines begin with")
    func plugin() {
        let name = ProgramName(path: "/usr/local/bin/kubectl-pvmigrate")
        for (text, typed) in [
            ("pvmigrate --source-sc a", "kubectl pvmigrate --source-sc a"),
            ("see pvmigrate --help\n", "see kubectl pvmigrate --help\n"),
            (
                "`pvmigrate rollback` or `pvmigrate cleanup`",
                "`kubectl pvmigrate rollback` or `kubectl pvmigrate cleanup`"
            ),
            (
                "pvmigrate status; pvmigrate pvmigrate abort",
                "kubectl pvmigrate status; pvmigrate kubectl pvmigrate abort"
            ),
            ("another pvmigrate is at work", "another pvmigrate is at work"),
            ("pvmigrate \(version)", "pvmigrate \(version)"), ("kurl.sh/pvmigrate stage", "kurl.sh/pvmigrate stage"),
        ] {
            #expect(name.typed(in: text) == typed)
        }
        for path in ["pvmigrate", "./bin/pvmigrate", ""] {
            #expect(ProgramName(path: path).typed(in: "pvmigrate status") == "pvmigrate status")
        }
    }

    @Test("stands in the help of every command, and in messages")
    func help() async {
        for command in [[]] + Subcommands.all.map({ $0.name.split(separator: " ").map(String.init) }) {
            let console = Console()
            var surroundings = console.surroundings(time: .instant) { _ in
                throw TransportError(.configuration, "asked")
            }
            surroundings.name = ProgramName(path: "kubectl-pvmigrate")
            var code = await run(command + ["--help"], in: surroundings, interruption: Interruption())
            code = await run(command + ["--no-such-flag"], in: surroundings, interruption: Interruption())
            let run = console.run(ending: code)
            #expect(run.output.contains("USAGE: kubectl pvmigrate ") && !run.output.contains("`pvmigrate "))
            #expect(run.errors.hasSuffix("; see kubectl pvmigrate --help\n"))
        }
    }
}
