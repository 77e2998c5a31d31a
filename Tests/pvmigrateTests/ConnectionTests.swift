import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("How the cluster is reached")
struct ConnectionTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func run(_ arguments: String..., server: ScriptedServer) async throws -> Run {
        let file = try folder.write("config", kubeconfig(user: "{token: very-secret-token}"))
        let console = Console()
        let code = await pvmigrate.run(
            arguments + ["--kubeconfig", file],
            in: console.surroundings(time: .instant) { _ in server },
            interruption: Interruption()
        )
        return console.run(ending: code)
    }

    @Test("is told with -v: each request, its status and its time, and nothing of headers, bodies and secrets")
    func verbose() async throws {
        for flag in ["-v", "--verbose", "-v=true"] {
            let server = ScriptedServer(ScriptedServer.lists())
            let run = try await run("--source-sc", "slow", "--dest-sc", "fast", "--dry-run", flag, server: server)
            let told = run.errorLines.filter { $0.contains("] GET ") }
            #expect(told.count == server.requests.count && !told.isEmpty)
            #expect(
                told.allSatisfy { $0.wholeMatch(of: /\[ *\d+\.\ds\] GET \/[^ ]* \d{3} after \d+ ms/) != nil },
                "\(run.errors)"
            )
            #expect(!run.errors.contains("secret"))
        }
        let server = ScriptedServer(ScriptedServer.lists())
        let silent = try await run("--source-sc", "slow", "--dest-sc", "fast", "--dry-run", server: server)
        #expect(!silent.errors.contains("GET"))
    }

    @Test("is told with -v where no answer came, too")
    func verboseFailure() async throws {
        let server = ScriptedServer { _ in throw TransportError(.configuration, "nobody is there") }
        let run = try await run("status", "-v", server: server)
        #expect(run.code == .failed)
        #expect(run.errors.contains("] GET /api/v1/persistentvolumes?limit=500 failed: nobody is there after 0 ms\n"))
    }

    @Test("is told without what may hold secrets in a query")
    func query() {
        #expect(
            TracedTransport.shown("/exec?command=sh&command=-c&container=mover&stdin=true")
                == "/exec?command=…&command=…&container=mover&stdin=…"
        )
        #expect(TracedTransport.shown("/pods?limit=500&continue=abc") == "/pods?limit=500&continue=…")
        #expect(TracedTransport.shown("/pods/web") == "/pods/web")
    }

    @Test("is warned of where any certificate is trusted")
    func insecure() async throws {
        let server = ScriptedServer(ScriptedServer.lists())
        let run = try await run("status", "--insecure-skip-tls-verify", server: server)
        #expect(
            run.errors.contains(
                "warning: --insecure-skip-tls-verify: whoever answers is taken for the API server, and gets the credentials\n"
            )
        )
    }

    @Test("is what kubectl's flags say")
    func flags() throws {
        let overrides = try Invocation.read(
            [
                "--source-sc=a", "--dest-sc=b", "-cluster", "k", "--user=u", "--server", "https://x", "-as=jane",
                "--as-group", "x", "--as-group=y", "--token-file=t", "--request-timeout=1m",
            ]
        ).connection.overrides
        #expect(overrides.cluster == "k" && overrides.user == "u" && overrides.server == "https://x")
        #expect(overrides.impersonatedUser == "jane" && overrides.impersonatedGroups == ["x", "y"])
        #expect(overrides.tokenFile == "t" && overrides.requestTimeout == .seconds(60))
        #expect(!overrides.insecureSkipVerify)
        let none = try Invocation.read(["--source-sc=a", "--dest-sc=b", "--request-timeout=0"]).connection.overrides
        #expect(none.requestTimeout == nil && none.server == nil)
    }
}
