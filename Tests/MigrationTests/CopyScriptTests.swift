import ClusterSimulator
import Foundation
import Kubernetes
import Testing

@testable import Migration

@Suite("The script that copies files", .timeLimit(.minutes(5)))
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
            let flags = RsyncFlags(streams: 1)
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
            #expect(arguments.hasSuffix("--modify-window=-1 --stats \(bench.source)/ \(bench.dest)\n"))
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

    @Test(
        "what is copied is on the disk before the copy counts, and one that can't be flushed fails",
        arguments: ["case $* in *dest*) exit 1 ;; esac", "[ $# -eq 0 ]", "exit 0"]
    )
    func flushed(sync: String) async throws {
        try await CopyBench.with { bench in
            try bench.shell("seq 5000 >source/numbers")
            try bench.install("sync", "echo \"sync $*\" >>\(bench.root)/syncs; \(sync)")
            let flags = RsyncFlags()
            for command in [flags.copyingCommand, flags.passCommand ?? []] {
                let (code, output) = try bench.run(command)
                #expect(code == (sync.contains("dest") ? 11 : 0), "\(output)")
                #expect(output.contains("cannot be flushed") == sync.contains("dest"))
            }
            #expect(try bench.shell("cat syncs").contains("sync -f \(bench.dest)"))
        }
    }

    @Test("what a mover that is not root has copied is flushed though rsync failed with the volume's own directory")
    func flushedWithoutRoot() async throws {
        try await CopyBench.with { bench in
            try bench.shell("echo a >source/file")
            try bench.install("sync", "echo \"sync $*\" >>\(bench.root)/syncs")
            try bench.install("rsync", "exit 23")
            #expect(try bench.run(RsyncFlags(isRoot: false).copyingCommand).code == 23)
            #expect(try bench.shell("cat syncs").contains("sync -f \(bench.dest)"))
        }
    }

    @Test("a check by contents finds what sizes and times do not tell, and a copy after it mends that")
    func contents() async throws {
        try await CopyBench.with { bench in
            try bench.shell("echo right >source/file && echo wrong >dest/file && touch -r source/file dest/file")
            try bench.shell("touch -r source dest")
            let flags = RsyncFlags(verification: .checksum)
            #expect(try bench.run(flags.copyingCommand).code == 0)
            let check = try bench.run(flags.checkingCommand).output
            #expect(flags.differences(in: check) == [">fc........ file"])
            #expect(try bench.run(flags.repeated.copyingCommand).code == 0)
            #expect(flags.differences(in: try bench.run(flags.checkingCommand).output) == [])
            #expect(try bench.shell("cat dest/file") == "right\n")
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
        let said = scene.runs.last?.messages ?? []
        #expect(scene.runs.last?.report?.succeeded == true, "\(scene.story)")
        #expect(said.count { $0.contains("image eeacms/rsync:2.3: has no shell") } == 1)
        #expect(!said.contains { $0.contains("the copy is repeated") })
    }

    @Test("what an image without a shell has copied is not flushed, so the source volume is kept, which is durable")
    func unflushed() throws {
        var scene = Others()
        scene.change { $0.behaviour.missingPrograms = ["sh"] }
        let volume = try #require(scene.world.volume(of: ObjectName("data", in: "shop")))
        let source = ObjectKey(.persistentVolumes, nil, volume)
        scene.migrate(
            once(when: { _, cluster in
                cluster.list(.persistentVolumes).contains {
                    $0[path: ["metadata", "annotations", Marks.manifest]] != nil
                }
            }) { cluster in
                // A run that finishes this one finds it.
                #expect(cluster.get(source)?[path: ["metadata", "annotations", Marks.unflushed]] != nil)
            }
        )
        #expect(scene.runs.last?.report?.succeeded == true, "\(scene.story)")
        let kept = try #require(scene.world.cluster.get(source), "\(scene.story)")
        #expect(kept[path: ["metadata", "annotations", Marks.kept]] != nil)
        #expect(kept[path: ["metadata", "annotations", Marks.unflushed]] == nil)
        #expect(kept[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Retain")
        #expect(scene.story.contains("so \(volume) is not freed"), "\(scene.story)")
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

@Suite("Passes while the workload runs", .timeLimit(.minutes(5)))
struct PassTests {
    private static let flags = RsyncFlags(streams: 1)
    private static let pass = flags.passCommand ?? []

    /// A real rsync with something that happens after it, while the pass goes on.
    private static func rsync(and then: String) -> String {
        """
        [ "$1" != --info=progress2 ] || \(Self.hasHappened)
        /usr/bin/rsync "$@"
        code=$?
        [ -z "$happens" ] || { \(then); }
        exit $code
        """
    }
    private static let hasHappened =
        "[ -e $(dirname $0)/../happened ] || { happens=yes; touch $(dirname $0)/../happened; }"

    /// Overwrites a file, which keeps its size, and its time as if the clock had not ticked.
    private static func overwrite(_ file: String) -> String {
        "touch -r '\(file)' /tmp/copy-$$ && printf B | dd of='\(file)' conv=notrunc 2>/dev/null && "
            + "touch -r /tmp/copy-$$ '\(file)' && rm /tmp/copy-$$"
    }

    @Test("a file that is written to right after it was read is copied again", arguments: CopyBench.Image.here, [1, 3])
    func sameTime(image: CopyBench.Image, streams: Int) async throws {
        try await CopyBench.with(image) { bench in
            let files = ["plain", "-in/a\n b/new\nline", "under/link/x"]
            for file in files {
                let path = "\(bench.source)/\(file)"
                try FileManager.default.createDirectory(
                    atPath: URL(filePath: path).deletingLastPathComponent().path,
                    withIntermediateDirectories: true
                )
                try Data("Abc".utf8).write(to: URL(filePath: path))
            }
            let writes = files.map { Self.overwrite("\(bench.source)/\($0)") }.joined(separator: " && ")
            try bench.install("rsync", Self.rsync(and: writes))
            var (code, output) = try bench.run(RsyncFlags(streams: streams).passCommand ?? [])
            #expect(code == 0, "\(output)")
            #expect(Self.flags.statistics(in: output)?.transferredFiles == (streams == 1 ? 3 : nil), "\(output)")
            #expect(try bench.shell("ls -A dest").contains("unsettled") == false)
            (code, output) = try bench.run(Self.pass)
            #expect(code == 0 && Self.flags.statistics(in: output)?.transferredFiles == 3, "\(output)")
            // Without the pass's guard rsync sees nothing to do: the test would not test anything.
            #expect(try bench.shell("diff -r source dest && cat dest/plain") == "Bbc")
            (code, output) = try bench.run(Self.flags.copyingCommand)
            #expect(code == 0, "\(output)")
            try bench.expectEqual(Self.flags)
            #expect(try bench.shell("diff -r source dest") == "")
        }
    }

    @Test("a pass that is killed leaves nothing half copied", arguments: CopyBench.Image.here)
    func killed(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            try bench.shell("printf Abc >source/file && ln source/file source/name")
            // The pass's whole process group.
            try bench.install("rsync", Self.rsync(and: Self.overwrite("\(bench.source)/file") + "; kill -9 0"))
            let (code, _) = try bench.run(["/usr/bin/setsid", "--wait"] + Self.pass)
            #expect(code != 0)
            #expect(try bench.shell("ls -A dest").contains(CopyScript.stamp))
            #expect(try bench.shell("cat dest/file") == "Abc")
            // Nobody who can't settle it takes it for a copy.
            var withoutShell = Self.flags
            withoutShell.hasShell = false
            #expect(try bench.run(withoutShell.copyingCommand).code == 0)
            let check = try bench.run(withoutShell.checkingCommand).output
            #expect(withoutShell.differences(in: check) == ["*deleting   \(CopyScript.stamp)"], "\(check)")
            let (end, output) = try bench.run(Self.flags.copyingCommand)
            #expect(end == 0, "\(output)")
            try bench.expectEqual(Self.flags)
            #expect(try bench.shell("cat dest/file dest/name") == "BbcBbc")
        }
    }

    @Test(
        "of a snapshot, each file whose time is of the last moments before it is copied again",
        arguments: CopyBench.Image.here
    )
    func snapshot(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            let taken = 1_700_000_000
            // Of the late one the snapshot has the time, but not the content.
            try bench.shell("for i in early late; do printf Abc >source/$i; done")
            try bench.shell("touch -d @\(taken - 200) source/early && touch -d @\(taken - 20) source/late")
            let pass = Self.flags.passCommand(since: taken - 90) ?? []
            // One of a pass that was cut off much later.
            try bench.shell("touch dest/\(CopyScript.stamp)")
            #expect(try bench.run(pass).code == 0)
            #expect(try bench.shell("ls -A dest") == "early\nlate\n")
            let write = "printf Bbc >source/late && touch -d @\(taken - 20) source/late"
            try bench.shell(write)
            let (code, output) = try bench.run(Self.flags.copyingCommand)
            #expect(code == 0 && Self.flags.statistics(in: output)?.transferredFiles == 1, "\(output)")
            #expect(try bench.shell("diff -r source dest") == "")
        }
    }

    @Test("what is written through a mapping is copied again")
    func mapping() async throws {
        try await CopyBench.with { bench in
            let kind = try bench.shell("stat -f -c %T . && command -v python3 || true")
            if kind.hasPrefix("tmpfs") || !kind.contains("python3") { try Test.cancel("needs a disk and python3") }
            try bench.shell("head -c 8192 /dev/zero >source/mapped")
            let writer = """
                import mmap, os, sys
                file = open("\(bench.source)/mapped", "r+b")
                pages = mmap.mmap(file.fileno(), 8192)
                pages[0:1] = b"A"
                # From now on nothing tells that the page is written to, until it is flushed.
                os.utime(file.fileno(), (1000000000, 1000000000))
                print("written", flush=True)
                sys.stdin.readline()
                pages[0:1] = b"B"
                """
            try Data(writer.utf8).write(to: URL(filePath: bench.root + "/writer.py"))
            try bench.shell("mkfifo go")
            let (process, handle) = try bench.start([
                "bash", "-c",
                "exec 3<>\(bench.root)/go; python3 \(bench.root)/writer.py <&3; touch \(bench.root)/written",
            ])
            #expect(String(decoding: handle.availableData, as: UTF8.self) == "written\n")
            // Long enough ago that only the flush makes the file's time change.
            try bench.shell("until [ $(($(date +%s) - $(stat -c %Z source/mapped))) -ge 4 ]; do sleep 0.1; done")
            let go = "echo >\(bench.root)/go; while [ ! -e \(bench.root)/written ]; do sleep 0.05; done"
            try bench.install("rsync", Self.rsync(and: go))
            let (code, output) = try bench.run(Self.pass)
            process.waitUntilExit()
            #expect(code == 0, "\(output)")
            #expect(try bench.shell("head -c 1 dest/mapped") == "A")
            #expect(try bench.run(Self.flags.copyingCommand).code == 0)
            #expect(try bench.shell("cmp source/mapped dest/mapped && head -c 1 dest/mapped") == "B")
        }
    }

    @Test("files may vanish while they are copied; what fails otherwise is settled, too")
    func exits() async throws {
        try await CopyBench.with { bench in
            for (exit, expected) in [(24, 0), (23, 23), (0, 0)] {
                try bench.shell("rm -rf happened dest/* && echo a >source/file")
                try bench.install("rsync", Self.rsync(and: "code=\(exit)"))
                #expect(try bench.run(Self.pass).code == expected)
                #expect(try bench.shell("ls -A dest && stat -c %Y dest/file") == "file\n1234567\n")
            }
        }
    }

    @Test(
        "files that vanish from before several copiers do not make the pass read all contents",
        arguments: CopyBench.Image.here
    )
    func vanishing(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            try bench.shell("for i in $(seq 30); do mkdir source/$i && echo $i >source/$i/file; done")
            try bench.shell("cp source/1/file source")
            let vanish = "rm -rf \(bench.source)/file \(bench.source)/7"
            try bench.install(
                "rsync",
                """
                echo "$*" >>\(bench.root)/arguments
                if [ "$3" = --no-W ]; then \(vanish); fi
                exec /usr/bin/rsync "$@"
                """
            )
            if image == .gnu {
                try bench.install("cp", "[ \"$1\" = --version ] || \(vanish); exec /bin/cp \"$@\"")
            }
            let (code, output) = try bench.run(RsyncFlags(streams: 3).passCommand ?? [])
            #expect(code == 0, "\(output)")
            #expect(!(try bench.shell("cat arguments").contains("--checksum")))
            #expect(try bench.shell("ls dest | wc -l && cat dest/8/file") == "30\n8\n")
        }
    }

    @Test("what is gone when rsync comes to what copiers have left out is no failure")
    func vanishingLater() async throws {
        try await CopyBench.with { bench in
            try bench.shell("mkdir source/folder && echo a >source/file && ln -s file source/link")
            try bench.install(
                "find",
                """
                /usr/bin/find "$@" || exit
                case "$*" in *'! -type f -o'*) printf './gone\\0' ;; esac
                """
            )
            let (code, output) = try bench.run(RsyncFlags(streams: 2).passCommand ?? [])
            #expect(code == 0, "\(output)")
            #expect(try bench.shell("readlink dest/link && cd dest/folder") == "file\n")
        }
    }

    @Test("a source that has a file of the stamp's name keeps it")
    func stamp() async throws {
        try await CopyBench.with { bench in
            try bench.shell("echo mine >source/\(CopyScript.stamp)")
            for command in [Self.pass, Self.flags.copyingCommand, Self.flags.copyingCommand] {
                let (code, output) = try bench.run(command)
                #expect(code == 0, "\(output)")
            }
            try bench.expectEqual(Self.flags)
            #expect(try bench.shell("cat dest/\(CopyScript.stamp)") == "mine\n")
        }
    }

    @Test("there are no passes over devices, or without a shell")
    func none() {
        var withoutShell = Self.flags
        withoutShell.hasShell = false
        #expect(withoutShell.passCommand == nil)
        #expect(DeviceScript().passCommand == nil)
        #expect(!Self.pass.isEmpty)
    }
}
