import ClusterSimulator
import Foundation
import Kubernetes
import Testing

@testable import Migration

@Suite("The script that copies files", .timeLimit(.minutes(3)))
struct CopyScriptTests {
    @Test("it is seen how far a copy is while it goes on", arguments: CopyBench.Image.here)
    func progress(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            // Goes on only when somebody has seen how far it is.
            let line = "     44,302,336  42%   21.11MB/s    0:00:02 (xfr#169, to-chk=1234/1404)"
            try bench.install(
                "rsync",
                """
                printf '\\r      1,000   1%%    1.00MB/s    0:00:00 (xfr#1, to-chk=1/1404)\\r\(line.replacing("%", with: "%%"))'
                while [ ! -e \(bench.root)/seen ]; do sleep 0.05; done
                echo "$*" >\(bench.root)/arguments
                printf '\\r%s\\n' '  all of it 100%'
                echo 'rsync: a complaint' >&2
                printf '\\nNumber of files: 1,404\\nTotal file size: 5 bytes\\n'
                exit 23
                """
            )
            let flags = RsyncFlags()
            let (process, handle) = try bench.start(flags.copyingCommand)
            var output = Data()
            while true {
                let data = handle.availableData
                if data.isEmpty { break }
                output += data
                if String(decoding: output, as: UTF8.self).contains(line + "\n") {
                    try Data().write(to: URL(filePath: bench.root + "/seen"))
                }
            }
            process.waitUntilExit()
            #expect(process.terminationStatus == 23)
            let lines = String(decoding: output, as: UTF8.self).split(separator: "\n")
            #expect(lines.contains("rsync: a complaint"))
            #expect(flags.statistics(in: lines.joined(separator: "\n"))?.files == 1404)
            let arguments = try bench.shell("cat arguments")
            #expect(arguments.hasPrefix("--info=progress2 -aHSAX --numeric-ids"))
            #expect(arguments.hasSuffix("--stats \(bench.source)/ \(bench.dest)\n"))
            #expect(try bench.shell("ls tmp") == "")
        }
    }

    @Test("a copy is complete in every shell, and where the image has only the shell", arguments: CopyBench.Image.here)
    func copy(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            try bench.shell("seq 5000 >source/numbers && mkdir -p 'source/a  b' && echo x >'source/a  b/*'")
            let flags = RsyncFlags(further: ["--exclude=it's a \"name\"; exit 3"])
            for programs in [[], ["timeout"], ["mktemp", "timeout", "tr", "tail", "grep"]] {
                for program in programs { try bench.install(program, "exit 127") }
                let (code, output) = try bench.run(flags.copyingCommand)
                #expect(code == 0, "\(output)")
                #expect(flags.statistics(in: output)?.totalBytes == 23895, "\(output)")
                try bench.expectEqual(flags)
                try bench.shell("rm -rf dest/*")
            }
        }
    }

    @Test("with --verbose-copy all that rsync says is shown")
    func verbose() async throws {
        try await CopyBench.with { bench in
            try bench.shell("touch source/{a,b,c}")
            let (code, output) = try bench.run(RsyncFlags(verbose: true).copyingCommand)
            #expect(code == 0)
            let lines = output.split(whereSeparator: \.isNewline)
            #expect(["a", "b", "c"].allSatisfy { lines.contains($0) }, "\(output)")
        }
    }

    @Test("an image without a shell is found by preflight, and copies all the same")
    func noShell() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        scene.cluster.behaviour.missingPrograms = ["sh"]
        let result = try scene.preflight()
        #expect(result.table == [])
        #expect(result.messages.contains { $0.contains("image eeacms/rsync:2.3: has no shell") }, "\(result.messages)")
        #expect(result.messages.contains { $0.contains("a trial of ReadWriteOnce, for data, passed") })
        result.expectNoTrace()
    }

    @Test("an image without a shell costs no attempt, and is told of once")
    func noShellWithoutPreflight() {
        var scene = Others(Scenario.twoClaimsInOnePod.world(alone: true))
        scene.change { $0.behaviour.missingPrograms = ["sh"] }
        scene.migrate()
        scene.expectSuccess(saying: ["image eeacms/rsync:2.3: has no shell"])
        let said = scene.runs.last?.messages ?? []
        #expect(said.count { $0.contains("has no shell") } == 1)
        #expect(!said.contains { $0.contains("the copy is repeated") })
    }

    @Test("a missing shell is told from a missing rsync, in the words of runc and of crun")
    func words() {
        let runc =
            "runc create failed: unable to start container process: exec: \"sh\": executable file not found in $PATH"
        #expect(CopyScript.lacksShell(runc))
        #expect(CopyScript.lacksShell("container create failed: executable file `sh` not found in $PATH: No such file"))
        #expect(!CopyScript.lacksShell(runc.replacing("sh\"", with: "rsync\"")))
        #expect(!CopyScript.lacksShell("sh: rsync: not found"))
    }
}
