import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("An argument in Go's spelling")
struct GoSpellingTests {
    @Test(
        "means what it means to the Go tool",
        arguments: [
            ("-source-sc x", "--source-sc x"),
            ("-source-sc=x", "--source-sc=x"),
            ("--source-sc=x", "--source-sc=x"),
            ("--source-sc x", "--source-sc x"),
            ("-source-sc=a=b", "--source-sc=a=b"),
            ("--set-defaults", "--set-defaults"),
            ("-set-defaults", "--set-defaults"),
            ("--set-defaults=true", "--set-defaults"),
            ("--set-defaults=1 --dry-run=t -verbose-copy=T", "--set-defaults --dry-run --verbose-copy"),
            ("--set-defaults=TRUE --dry-run=True", "--set-defaults --dry-run"),
            ("--set-defaults=false --dry-run=0 -verbose-copy=f", ""),
            ("--set-defaults=F --dry-run=FALSE -verbose-copy=False", ""),
            ("--set-defaults --set-defaults=false", ""),
            ("--set-defaults=false --set-defaults", "--set-defaults"),
            ("--set-defaults --set-defaults", "--set-defaults"),
            ("-pod-ready-timeout 5", "--pod-ready-timeout 5"),
            ("--rsync-flags --bwlimit=9", "--rsync-flags=--bwlimit=9"),
            ("-rsync-flags -z", "--rsync-flags=-z"),
            ("-rsync-flags=-z,-v", "--rsync-flags=-z,-v"),
            ("--source-sc --dest-sc b", "--source-sc --dest-sc b"),
            ("-h", "-h"), ("-help", "--help"), ("-version", "--version"),
            ("-foo -f --foo=1 foo - ", "-foo -f --foo=1 foo - "),
            ("-keep-days=7", "--keep-days=7"), ("-keep-days 7", "--keep-days 7"),
            ("-pvc=a/b -pvc a/c", "--pvc=a/b --pvc a/c"),
            ("--discard-changes=true -keep-source", "--discard-changes --keep-source"),
            ("-discard-changes=0 --keep-source=False", ""),
            ("-dry-run -- -dry-run=true", "--dry-run -- -dry-run=true"),
        ]
    )
    func spelling(given: String, meant: String) throws {
        #expect(try GoSpelling.normalise(Self.words(given)) == Self.words(meant))
    }

    @Test("that is no boolean is refused", arguments: ["maybe", "", "yes", "tRUE", "2", " true"])
    func wrong(value: String) {
        #expect(throws: UsageError("--set-defaults must be true or false, not \"\(value)\"")) {
            try GoSpelling.normalise(["--set-defaults=\(value)"])
        }
    }

    @Test("is known for every flag that --help shows")
    func complete() async {
        var pages: [String] = []
        for command in [[]] + Subcommands.all.map({ Self.words($0.name) }) {
            let console = Console()
            let surroundings = console.surroundings(time: .instant) { _ in
                throw TransportError(.configuration, "asked")
            }
            let code = await run(command + ["--help"], in: surroundings, interruption: Interruption())
            pages.append(console.run(ending: code).output)
        }
        let shown = Set(
            pages.flatMap { $0.split(separator: "\n") }.compactMap { line in
                line.wholeMatch(of: /\ \ (?:-[a-z], )?--([a-z-]+)(?: .*)?/).map { String($0.1) }
            }
        )
        #expect(shown == GoSpelling.booleans.union(GoSpelling.values))
    }

    private static func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }
}

@Suite("A flag")
struct ArgumentsTests {
    private func read(_ arguments: String...) throws -> Invocation {
        try Invocation.read(["--source-sc=slow", "--dest-sc=fast"] + arguments)
    }

    @Test("has the documented default")
    func defaults() throws {
        let invocation = try read()
        let options = invocation.options
        #expect(options.sourceClass == "slow" && options.destinationClass == "fast")
        #expect(
            options.selection == Selection() && options.rsyncImage == "eeacms/rsync:2.3" && options.rsyncFlags.isEmpty
        )
        #expect(!options.setDefaults && !options.verboseCopy && !options.skipSourceValidation)
        #expect(options.podReadyTimeout == .seconds(60) && options.deleteVolumeTimeout == .seconds(300))
        #expect(invocation.connection.kubeconfig == nil && invocation.connection.context == nil)
        #expect(invocation.mode == .migrate(afterPreflight: true) && invocation.connection.format == .text)
    }

    @Test("reaches the migration")
    func all() throws {
        let invocation = try read(
            "-namespace",
            "shop",
            "-rsync-image=i:1",
            "-set-defaults=true",
            "-verbose-copy",
            "-skip-source-validation",
            "-pod-ready-timeout=5",
            "-delete-pv-timeout=7",
            "-kubeconfig=k",
            "-context=c",
            "-output=json"
        )
        let options = invocation.options
        #expect(options.selection.namespaces == ["shop"] && options.rsyncImage == "i:1")
        #expect(options.setDefaults && options.verboseCopy && options.skipSourceValidation)
        #expect(options.podReadyTimeout == .seconds(5) && options.deleteVolumeTimeout == .seconds(7))
        #expect(
            invocation.connection.kubeconfig == "k" && invocation.connection.context == "c"
                && invocation.connection.format == .json
        )
        #expect(try read("-dry-run").mode == .plan)
        #expect(try read("-preflight-validation-only").mode == .preflight)
        #expect(try read("-skip-preflight-validation").mode == .migrate(afterPreflight: false))
    }

    @Test("that comes twice counts as it was given last")
    func twice() throws {
        #expect(try read("--dest-sc", "other").options.destinationClass == "other")
    }

    @Test("for rsync is a list once, and a single flag each time when it comes several times")
    func rsyncFlags() throws {
        #expect(try read("--rsync-flags", "--bwlimit=9,-z").options.rsyncFlags == ["--bwlimit=9", "-z"])
        #expect(try read("--rsync-flags=-z, -v,").options.rsyncFlags == ["-z", "-v"])
        #expect(try read("--rsync-flags=-e,ssh").options.rsyncFlags == ["-e", "ssh"])
        #expect(
            try read("--rsync-flags=--chmod=u=rw,g=r", "--rsync-flags", "-z").options.rsyncFlags
                == ["--chmod=u=rw,g=r", "-z"]
        )
        #expect(try read("--rsync-flags=--chmod=u=rw,g=r", "--rsync-flags=").options.rsyncFlags == ["--chmod=u=rw,g=r"])
        #expect(try read("--rsync-flags=").options.rsyncFlags == [])
        #expect(try read("--rsync-flags", "").options.rsyncFlags == [])
    }
}
