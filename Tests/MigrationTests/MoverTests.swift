import Foundation
import Kubernetes
import Testing

@testable import Migration

@Suite("Movers")
struct MoverTests {
    @Test("rsync's statistics are read with their separators")
    func statistics() {
        let output = """
            Number of files: 1,005 (reg: 1,000, dir: 4, link: 1)
            Number of regular files transferred: 12
            Total file size: 6,291,456 bytes
            Total transferred file size: 1,024 bytes
            """
        let statistics = CopyStatistics(rsync: output)
        #expect(statistics?.files == 1005)
        #expect(statistics?.transferredFiles == 12)
        #expect(statistics?.totalBytes == 6_291_456)
        #expect(statistics?.transferredBytes == 1024)
        #expect(CopyStatistics(rsync: "rsync: connection unexpectedly closed") == nil)
    }

    @Test("no autoscaler disturbs the pods of a copy, nor do they take requests that a full node could not give")
    func undisturbed() {
        let name = ObjectName("serve-data", in: "shop")
        let server = SourceServer(
            name: name,
            image: "rsync",
            annotations: [:],
            volume: [:],
            placement: Placement(),
            deadline: 60,
            template: nil
        )
        let mover = MoverPod(
            name: name,
            sourceClaim: "data",
            sourceUID: "u",
            stagingClaim: "data-pvcmigrate",
            image: "rsync",
            content: RsyncFlags(),
            placement: Placement(),
            deadline: 60
        )
        for manifest in [mover.manifest, server.manifest] {
            let annotations = manifest[path: ["metadata", "annotations"]]
            #expect(annotations?["karpenter.sh/do-not-disrupt"] == "true")
            #expect(annotations?["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false")
            let containers = ["initContainers", "containers"].flatMap { manifest[path: ["spec", $0]]?.array ?? [] }
            #expect(!containers.isEmpty && containers.allSatisfy { $0["resources"] == nil })
        }
    }

    @Test("only what is still to transfer counts as a difference")
    func differences() {
        let output = """
            sending incremental file list
            >f+++++++++ new file
            .d..t...... ./
            cL+++++++++ link -> target
            *deleting   gone

            sent 123 bytes  received 19 bytes  284.00 bytes/sec
            total size is 0  speedup is 0.00 (DRY RUN)
            """
        #expect(RsyncDifferences(in: output).lines.count == 4)
        #expect(RsyncDifferences(in: "sending incremental file list\n\nsent 60 bytes").lines.isEmpty)
    }

    @Test("a log that lacks its beginning or its end never reads as equal")
    func cutLogs() {
        let sum = String(repeating: "a", count: 64)
        let logs: [(content: any MoverContent, equal: String, different: String)] = [
            (
                RsyncFlags(), "sending incremental file list\n\nNumber of files: 3\n",
                "sending incremental file list\n>f.st...... a\n.f...p..... b\n\nNumber of files: 3\nTotal file size: 5\n"
            ),
            (
                DeviceScript(), "size 5\nsource \(sum)\ndest \(sum)\n",
                "size 5\nsource \(sum)\ndest \(sum.replacing("a", with: "b"))\n"
            ),
        ]
        for (content, equal, different) in logs {
            #expect(content.differences(in: equal) == [])
            #expect(content.differences(in: different)?.isEmpty == false)
            let lines = different.split(separator: "\n", omittingEmptySubsequences: false)
            for first in lines.indices {
                for end in first...lines.count {
                    let part = lines[first..<end].joined(separator: "\n")
                    #expect(content.differences(in: part) != [], "\(part)")
                }
            }
            for count in 1..<equal.split(separator: "\n").count {
                let part = equal.split(separator: "\n").dropFirst(count).joined(separator: "\n")
                #expect(content.differences(in: part) == nil, "\(part)")
            }
        }
    }

    @Test(
        "a real check finds what is still to transfer, whatever the person's flags print",
        arguments: [
            [], ["--out-format=%n"], ["--log-format=%n", "-v"], ["--no-itemize-changes"],
            ["--info=name0,flist0,stats0"],
            ["-vv"], ["--no-inc-recursive"],
        ]
    )
    func realCheck(further: [String]) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "pvmigrate-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in ["source", "dest"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try Data("x".utf8).write(to: URL(filePath: "\(folder)/source/new file"))
        let flags = RsyncFlags(accessControlLists: false, extendedAttributes: false, further: further)
        let rsync = Process()
        rsync.executableURL = URL(filePath: "/usr/bin/env")
        rsync.arguments = ["rsync"] + flags.checking.dropLast(2) + ["\(folder)/source/", "\(folder)/dest"]
        let pipe = Pipe()
        rsync.standardOutput = pipe
        try rsync.run()
        let output = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        rsync.waitUntilExit()
        #expect(CopyStatistics(rsync: output) != nil)
        #expect(RsyncDifferences(in: output).lines.map { $0.dropFirst(11) } == [" new file"], "\(output)")
        #expect(RsyncDifferences(in: output).isWhole, "\(output)")
    }

    @Test("a file system without xattrs or ACLs costs those, and nothing else")
    func unsupported() {
        let flags = RsyncFlags()
        let xattrs = """
            rsync: [receiver] rsync_xal_set: lsetxattr("/dest/f","user.a") failed: Operation not supported (95)
            rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338)
            """
        #expect(MoverExit.unsupported(in: xattrs, flags: flags)?.extendedAttributes == false)
        #expect(MoverExit.unsupported(in: xattrs, flags: flags)?.accessControlLists == true)
        let both = xattrs + "\nrsync: [receiver] failed to open \"/dest/g\": Permission denied (13)"
        #expect(MoverExit.unsupported(in: both, flags: flags) == nil)
        let build = "rsync: --acls: ACLs are not supported on this client\nrsync error: syntax or usage error (code 1)"
        #expect(MoverExit.unsupported(in: build, flags: flags)?.accessControlLists == false)
    }

    @Test("names of movers are unique by the claim's UID and fit a host name")
    func names() {
        let long = String(repeating: "a.b-", count: 60)
        let one = Marks.moverName(of: long, uid: "11111111-0")
        let other = Marks.moverName(of: long, uid: "22222222-0")
        #expect(one != other)
        #expect(one.count <= 63)
        #expect(!one.contains("."))
    }

    @Test("a long claim's staging name is shortened as the Go tool does")
    func stagingNames() {
        let name = String(repeating: "a", count: 253)
        #expect(Marks.stagingName(of: name).count == 253)
        #expect(Marks.stagingName(of: name).hasSuffix("-pvcmigrate"))
        #expect(Marks.stagingName(of: "data") == "data-pvcmigrate")
    }

    @Test("every exit code of rsync has words")
    func exits() {
        for code in [1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 25, 30, 35, 127, 128, 137, 143] {
            #expect(MoverExit(rsync: code).meaning != "unknown exit code")
        }
        #expect(MoverExit(rsync: 24).isWorthRepeating)
        #expect(!MoverExit(rsync: 23).isWorthRepeating)
        #expect(MoverExit.advice(output: "write failed: No space left on device (28)")?.contains("full") == true)
        let squashed = "rsync: [receiver] chown \"/dest/a\" failed: Operation not permitted (1)"
        #expect(MoverExit.advice(output: squashed)?.contains("root squash") == true)
    }
}
