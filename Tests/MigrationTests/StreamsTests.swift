import ClusterSimulator
import Foundation
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("Copiers side by side", .timeLimit(.minutes(5)))
struct StreamsTests {
    private static let flags = RsyncFlags(streams: 3)

    /// Trees of every kind of thing, in many directories, and most of them in one.
    private static let trees = [
        #"""
        for i in $(seq 40); do mkdir -p "d $i/e"; for j in 1 2 3; do echo $i-$j > "d $i/e/f$j"; done; done
        ln "d 1/e/f1" "d 2/linked"; ln "d 1/e/f1" "d 30/e/-linked"; ln "d 3/e/f1" "d 3/same"
        mkdir -p "$(printf 'new\nline')/-x/empty" ; echo n > "$(printf 'new\nline')/-x/$(printf 'a\nb')"; echo t > "./-t"; echo q > 'it'\''s "$HOME" * \'
        truncate -s 20M sparse; printf x | dd of=sparse bs=1 seek=15000000 conv=notrunc 2>/dev/null; mkdir deep; truncate -s 1M deep/sparse
        head -c 18000000 /dev/urandom > "d 7/large  -file"; head -c 17000000 /dev/urandom > large
        ln -s nowhere dangling; ln -s "d 1" link; mkfifo fifo; chmod 4755 "d 4/e/f1"; chmod 0 "d 4/e/f2"; chmod 0600 "d 9"; chmod 1777 "d 10"; chmod 0500 "d 11"
        : > empty; touch -d @1000000000.123456789 "d 5/e/f1" "d 5"; touch -d @0 "d 6/e/f1"
        [ $(id -u) != 0 ] || { chown 1234:4321 "d 8" "d 8/e/f1" "d 4/e/f1" -h; chown -h 55:66 dangling; mknod null c 1 3; chmod 4755 "d 4/e/f1"; }
        python3 - <<'P' 2>/dev/null
        import os
        os.setxattr('d 12/e/f1', 'user.a', b'b'); os.setxattr('d 12', 'user.c', b'd'); os.setxattr('large','user.e',b'f')
        P
        """#,
        #"""
        mkdir -p one/two/three/four/five
        for i in $(seq 1200); do echo $i >one/$i; done
        for i in $(seq 30); do mkdir one/two/three/four/$i; echo $i >one/two/three/four/$i/$i; done
        ln one/7 one/two/three/four/five/seven; chmod 0 one/two
        """#,
    ]

    private static let cases = CopyBench.Image.here.flatMap { image in
        trees.flatMap { tree in [true, false].map { Case(image: image, tree: tree, isChecked: $0) } }
    }
    struct Case: CustomTestStringConvertible, Sendable {
        var image: CopyBench.Image
        var tree: String
        var isChecked: Bool
        var flags: RsyncFlags { RsyncFlags(streams: 3, verification: isChecked ? .quick : .none) }
        var testDescription: String { "\(image), \(tree.count) characters, \(isChecked ? "" : "un")checked" }
    }

    private func plant(_ tree: String, in bench: CopyBench) throws {
        try Data(tree.utf8).write(to: URL(filePath: bench.root + "/tree"))
        try bench.shell("cd source && /bin/bash ../tree", of: "/bin/bash")
    }

    /// Records an issue where the copy is another than that of a single rsync, in anything that rsync knows of.
    private func expectEqual(_ bench: CopyBench, _ location: SourceLocation = #_sourceLocation) throws {
        let difference = try bench.shell(
            "/usr/bin/rsync -aHAXSnic --numeric-ids --delete --modify-window=-1 source/ dest",
            of: "/bin/bash"
        )
        #expect(difference == "", sourceLocation: location)
        // The size of a directory tells of its past.
        let list = "find . -type d -printf '%P %M %U %G %T@\\n' -o -printf '%P %y %M %U %G %s %n %T@ %l\\n' | sort"
        try bench.shell(
            "/usr/bin/rsync -aHAXS --numeric-ids source/ single && (cd dest && \(list)) >a; (cd single && \(list)) >b",
            of: "/bin/bash"
        )
        #expect(try bench.shell("diff a b", of: "/bin/bash") == "", sourceLocation: location)
        try bench.shell("[ $(du -sk dest | cut -f 1) -le $(($(du -sk single | cut -f 1) + 64)) ]", of: "/bin/bash")
    }

    @Test("several copiers leave what a single rsync leaves", arguments: cases)
    func equal(_ one: Case) async throws {
        try await CopyBench.with(one.image) { bench in
            try plant(one.tree, in: bench)
            let (code, output) = try bench.run(one.flags.copyingCommand)
            #expect(code == 0, "\(output)")
            let files = one.flags.statistics(in: output)?.transferredFiles
            #expect(one.isChecked ? files == nil : files ?? .max < 5, "they have copied\n\(output)")
            try expectEqual(bench)
        }
    }

    @Test("eight copiers go side by side, however few processors the node has")
    func number() async throws {
        try await CopyBench.with { bench in
            try plant(Self.trees[1], in: bench)
            try bench.install("nproc", "echo 1")
            try bench.install("xargs", "echo \"$*\" >>\(bench.root)/arguments; exec /usr/bin/xargs \"$@\"")
            #expect(try bench.run(RsyncFlags().copyingCommand).code == 0)
            let copying = try bench.shell("grep 'cp -a' arguments").split(separator: "\n")
            #expect(!copying.isEmpty && copying.allSatisfy { $0.contains("-P 8 ") }, "\(copying)")
        }
    }

    @Test("what a copier leaves out without a word, the check finds, and another copy brings")
    func leavingOut() async throws {
        try await CopyBench.with { bench in
            try plant(Self.trees[1], in: bench)
            try stub(.gnu, in: bench, after: "rm -f \(bench.dest)/one/9; touch -d 2001-01-01 \(bench.dest)/one/8")
            #expect(try bench.run(Self.flags.copyingCommand).code == 0)
            let (code, check) = try bench.run(Self.flags.checkingCommand)
            #expect(code == 0 && Self.flags.differences(in: check)?.count == 2, "\(check)")
            let (second, output) = try bench.run(Self.flags.repeated.copyingCommand)
            #expect(second == 0, "\(output)")
            try expectEqual(bench)
        }
    }

    @Test("copiers that are killed leave nothing that counts as copied", arguments: CopyBench.Image.here)
    func killed(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            try plant(Self.trees[1], in: bench)
            // Half of a file, as big as the whole; then the whole process group is gone.
            let half = "cp one/8 \(bench.dest)/one/8; printf x | dd of=\(bench.dest)/one/8 conv=notrunc; kill -9 0"
            try stub(image, in: bench, before: "mkdir -p \(bench.dest)/one; " + half)
            #expect(try bench.run(["/usr/bin/setsid", "--wait"] + Self.flags.copyingCommand).code != 0)
            try removeStub(image, from: bench)
            let (code, output) = try bench.run(Self.flags.copyingCommand)
            #expect(code == 0, "\(output)")
            try expectEqual(bench)
        }
    }

    @Test("where a copier fails at the very end, contents are compared", arguments: CopyBench.Image.here)
    func failing(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            try plant(Self.trees[1], in: bench)
            let damage = """
                printf x | dd of=\(bench.dest)/one/9 conv=notrunc
                touch -r \(bench.source)/one/9 \(bench.dest)/one/9; exit 1
                """
            try stub(image, in: bench, after: "[ ! -e \(bench.dest)/one/9 ] || { \(damage); }")
            let (code, output) = try bench.run(Self.flags.copyingCommand)
            #expect(code == 0, "\(output)")
            try removeStub(image, from: bench)
            try expectEqual(bench)
        }
    }

    @Test("further flags of the person's, and a volume that holds something, leave all to rsync")
    func alone() async throws {
        try await CopyBench.with { bench in
            try bench.shell("touch source/{a,b} && echo x >dest/c && mkdir dest/lost+found")
            let excluding = RsyncFlags(further: ["--exclude=b"])
            for (flags, left) in [(Self.flags, 2), (excluding, 1)] {
                let (code, output) = try bench.run(flags.copyingCommand)
                #expect(code == 0 && flags.statistics(in: output)?.transferredFiles == left, "\(output)")
                try bench.shell("rm -rf dest/a dest/b")
            }
        }
    }

    /// Puts a copier into the image that does something before or after its work.
    private func stub(_ image: CopyBench.Image, in bench: CopyBench, before: String = ":", after: String = ":") throws {
        let isCopier = image == .gnu ? "[ \"$1\" != --version ]" : "[ \"$3\" = --no-W ]"
        let program = image == .gnu ? "cp" : "rsync"
        try bench.install(
            program,
            """
            if \(isCopier); then \(before.replacing("cp one/8", with: "/bin/cp one/8")); fi
            /usr/bin/\(program) "$@"
            code=$?
            if \(isCopier); then \(after); fi
            exit $code
            """
        )
    }

    private func removeStub(_ image: CopyBench.Image, from bench: CopyBench) throws {
        try bench.shell("rm bin/\(image == .gnu ? "cp" : "rsync")", of: "/bin/bash")
    }
}

@Suite("A limit of bandwidth")
struct BandwidthTests {
    @Test("all movers that run at once keep to the limit together")
    func shares() {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.bandwidthLimit = 1_000_000
        let limits = Mutex<Set<String>>([])
        let run = Scenario.twoClaimsInOnePod.world(alone: true).migrate(
            options,
            observer: { _, _, cluster in
                let arguments = cluster.movers.flatMap {
                    $0[path: ["spec", "initContainers"]]?.array?.first?["args"]?.array ?? []
                }
                limits.withLock { $0.formUnion(arguments.compactMap(\.string).filter { $0.hasPrefix("--bwlimit") }) }
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages)")
        // Half of it, in kibibytes.
        #expect(limits.withLock { $0 } == ["--bwlimit=488"])
    }

    @Test("only rsync copies, since others keep to no limit")
    func alone() {
        let command = RsyncFlags(streams: 4, bandwidthLimit: 1 << 20).copyingCommand
        #expect(command.contains("--bwlimit=1024"))
        #expect(command.firstIndex(of: "--") == 8 && command[6] == "1")
    }
}
