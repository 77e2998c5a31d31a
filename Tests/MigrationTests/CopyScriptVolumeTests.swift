import Foundation
import Testing

@testable import Migration

@Suite("The script that copies files, on volumes of all kinds", .timeLimit(.minutes(5)))
struct CopyScriptVolumeTests {
    @Test(
        "of network file systems each file is opened before it is compared, so that the node asks for its size and time",
        arguments: CopyBench.Image.here
    )
    func networkFileSystem(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            try bench.shell("mkdir source/a dest/a && echo x >'source/a/two  words' && echo y >source/-b")
            try bench.shell("cp source/-b dest/-b && ln -s gone source/link && mkfifo source/fifo && touch dest/file")
            let opened = "\(bench.root)/opened"
            // In place of the shell that opens what it is given.
            try bench.install(
                "sh",
                """
                if [ "$2" = 'for file; do true <"$file"; done' ]; then shift 3; printf '%s\\n' "$@" >>\(opened); fi
                exec /bin/sh "$@"
                """
            )
            let (source, dest) = (bench.source, bench.dest)
            let all = [source + "/-b", source + "/a/two  words", dest + "/-b", dest + "/file"].sorted()
            let flags = RsyncFlags()
            for (kind, expected) in [("nfs", all), ("UNKNOWN (0xff534d42)", all), ("ext2/ext3", []), ("xfs", [])] {
                try bench.install("stat", "[ \"$1\" = -f ] && echo '\(kind)'")
                for command in [flags.comparingCommand, flags.copyingCommand] {
                    try bench.shell(": >opened; rm -rf dest/*; cp source/-b dest/-b; touch dest/file")
                    let (code, output) = try bench.run(["/bin/sh"] + command.dropFirst())
                    #expect(code == 0, "\(output)")
                    let lines = try bench.shell("cat opened").split(separator: "\n").map(String.init)
                    #expect(lines.sorted() == expected, "\(kind)")
                    let check = command == flags.comparingCommand ? flags.differences(in: output) : nil
                    #expect(check?.contains("*deleting   file") != false, "\(output)")
                }
            }
            // What is new to the node is opened to be copied.
            try bench.install("stat", "echo nfs")
            try bench.shell(": >opened; rm -rf dest/*")
            #expect(try bench.run(["/bin/sh"] + flags.copyingCommand.dropFirst()).code == 0)
            #expect(try bench.shell("cat opened") == "")
        }
    }

    @Test("a file of more than half the volume is copied again, and one with two names is not written over")
    func large() async throws {
        try await CopyBench.with { bench in
            if geteuid() != 0 { try Test.cancel("needs root, to mount a file system of some size") }
            try bench.shell(
                "head -c 5M /dev/urandom >source/large; head -c 1M /dev/zero >source/one; ln source/{one,two}"
            )
            // The destination is a file system that is gone with its mount namespace.
            let script = """
                cd \(bench.root) && mount -t tmpfs -o size=8m none dest && /bin/sh "$@" || exit 100
                printf 1 | dd of=source/large conv=notrunc
                rm source/two; head -c 1M /dev/urandom >source/one; head -c 1M /dev/urandom >source/two
                touch -d @1700000000 source/one source/two
                /bin/sh "$@" || exit 101
                cmp source/large dest/large && cmp source/one dest/one && cmp source/two dest/two || exit 102
                """
            let (code, output) = try bench.run(
                ["/usr/bin/unshare", "-m", "bash", "-c", script, "bash"] + RsyncFlags().copyingCommand.dropFirst()
            )
            #expect(code == 0, "\(output)")
        }
    }

    @Test("files with several names take no more room on the way than in the end", arguments: CopyBench.Image.here)
    func hardLinks(image: CopyBench.Image) async throws {
        try await CopyBench.with(image) { bench in
            try bench.shell(
                """
                head -c 1M /dev/urandom >source/file
                for i in $(seq 20); do mkdir source/$i; ln source/file source/$i/name; echo $i >source/$i/own; done
                """
            )
            try bench.install("rsync", "du -sk \(bench.dest) >>\(bench.root)/taken; exec /usr/bin/rsync \"$@\"")
            let (code, output) = try bench.run(RsyncFlags(streams: 2).copyingCommand)
            #expect(code == 0, "\(output)")
            let taken = try bench.shell("cut -f 1 taken").split(separator: "\n").compactMap { Int($0) }
            #expect(!taken.isEmpty && taken.allSatisfy { $0 < 500 }, "\(taken)")
            try bench.expectEqual(RsyncFlags())
            #expect(try bench.shell("stat -c %h dest/file; cat dest/7/own") == "21\n7\n")
        }
    }

    @Test(
        "all that a file has is copied with the capabilities of a mover, and needs each of them",
        .enabled(if: geteuid() == 0, "needs root"),
        arguments: [nil] + MoverPod.capabilities.map(\.self)
    )
    func capabilities(less: String?) async throws {
        try await CopyBench.with { bench in
            try bench.shell(Self.tree, of: "/bin/sh")
            let kept = MoverPod.capabilities.filter { $0 != less }.map { ",+\($0.lowercased())" }.joined()
            let confined = ["setpriv", "--bounding-set=-all\(kept)", "--inh-caps=-all", "--no-new-privs"]
            // Alone it does what several copiers leave to cp, too.
            for streams in [1, 2] {
                try bench.shell("rm -rf dest; mkdir dest")
                let flags = RsyncFlags(streams: streams)
                let (code, output) = try bench.run(confined + flags.copyingCommand)
                guard less == nil else {
                    let check = try bench.run(flags.checkingCommand).output
                    #expect(code != 0 || flags.differences(in: check) != [])
                    break
                }
                #expect(code == 0, "\(output)")
                let check = try bench.run(confined + flags.checkingCommand)
                #expect(check.code == 0 && flags.differences(in: check.output) == [], "\(check.output)")
                try bench.expectEqual(flags)
                let modes = try bench.shell("cd dest && stat -c '%u:%g %a %F' a a/file secret/file devices/null")
                #expect(
                    modes == """
                        5:6 2775 directory
                        1234:4321 4775 regular file
                        500:501 0 regular file
                        0:0 640 character special file

                        """
                )
                #expect(try bench.shell("/usr/sbin/getcap dest/a/program").contains("cap_net_raw=ep"))
                #expect(try bench.shell("getfacl -cn dest/a/file").contains("user:77:rw-"))
                #expect(try bench.shell("getfattr --only-values -n user.x dest/a/file") == "y")
            }
        }
    }

    /// A file of each kind, and of each owner and mode that only root can give.
    private static let tree = """
        cd source && mkdir a secret devices && echo x >a/file && cp /usr/bin/true a/program
        chown 1234:4321 a/file && chmod 4755 a/file && chown 5:6 a && chmod 2775 a
        /usr/sbin/setcap cap_net_raw+ep a/program && setfattr -n user.x -v y a/file && setfacl -m u:77:rw a/file
        setfacl -d -m g:88:rx a && ln a/file secret/hard && ln -s gone a/link && chown -h 7:8 a/link
        mknod devices/null c 1 3 && chmod 640 devices/null && mknod devices/disk b 7 9 && mkfifo devices/fifo
        /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("devices/socket")'
        echo s >secret/file && chown 500:501 secret secret/file && chmod 0 secret/file secret && chown 33:44 . && chmod 1777 .
        """
}
