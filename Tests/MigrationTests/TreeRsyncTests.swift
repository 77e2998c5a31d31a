import Testing

@testable import Migration

@Suite("This computer's rsync, for a claim")
struct TreeRsyncTests {
    private static func found(_ output: String) -> TreeDifferences {
        var found = TreeDifferences()
        for line in output.split(separator: "\n") { found.take(line) }
        return found
    }

    /// As rsync 3.5.0 writes it.
    private static let output = """
        .d..t...... ./
        <f+++++++++ -odd:na[me]*
        hf+++++++++ f => h
        cS+++++++++ p
        cd+++++++++ d/
        <f.st...... changed
        .f...p..... mode
        *deleting   old/file
        *deleting   old/

        Number of files: 8 (reg: 4, dir: 2, special: 2)
        Total transferred file size: 1,048,576 bytes
        """

    @Test("a dry run is counted: what is new, what differs, and what only the target has")
    func counted() {
        let found = Self.found(Self.output)
        #expect(found.new == 4 && found.directories == 1)
        #expect(found.changed.count == 2 && found.changed.names == ["changed", "mode"])
        #expect(found.extra.count == 2 && found.extra.names == ["old/file", "old/"])
        #expect(found.isWhole && !found.isEmpty && found.bytes == 1_048_576)
    }

    @Test("output that was cut is not taken for the whole")
    func cut() { #expect(!Self.found(".d..t...... ./\n").isWhole) }

    @Test("what only lacks entries is gone on with, whoever began it")
    func continued() {
        let found = Self.found(".d..t...... ./\n<f+++++++++ new\nNumber of files: 2")
        #expect(TreeTarget.own.refusal(of: found, at: "the claim", from: "the directory /d") == nil)
    }

    @Test("what has entries of its own, or others, is refused by their names, unless that is asked for")
    func refused() throws {
        let found = Self.found(Self.output)
        let why = try #require(TreeTarget.own.refusal(of: found, at: "the claim", from: "the directory /d"))
        #expect(why.contains("2 entries, such as old/file, old/, which the directory /d has not"), "\(why)")
        #expect(why.contains("2 entries, such as changed, mode, which the directory /d has otherwise"), "\(why)")
        #expect(why.contains("--merge") && why.contains("--replace"))
        for target in [TreeTarget.merged, .replaced] {
            #expect(target.refusal(of: found, at: "the claim", from: "the directory /d") == nil)
        }
    }

    private static func flags(_ direction: LocalTree.Direction, _ target: TreeTarget = .own) -> TreeFlags {
        TreeFlags(directory: "/-odd: dir", direction: direction, target: target, partial: "/p")
    }

    @Test("only --replace deletes, and a copy is compared with all that it was to do")
    func deletes() {
        for direction in LocalTree.Direction.allCases {
            #expect(!Self.flags(direction).copying.contains("--delete"))
            #expect(!Self.flags(direction, .merged).copying.contains("--delete"))
            #expect(Self.flags(direction, .replaced).copying.contains("--delete"))
            #expect(Self.flags(direction).comparing(isCheck: true).contains("--delete"))
            #expect(!Self.flags(direction, .merged).comparing(isCheck: true).contains("--delete"))
        }
    }

    @Test("nothing of a volume's own travels, and no link is followed")
    func protects() {
        for direction in LocalTree.Direction.allCases {
            for arguments in [Self.flags(direction).copying, Self.flags(direction).comparing(isCheck: true)] {
                for name in ["lost+found", ".pvmigrate"] { #expect(arguments.contains("--filter=- /\(name)")) }
                #expect(arguments.contains("--protect-args"))
                for flag in ["--keep-dirlinks", "--copy-links", "-K", "-L"] { #expect(!arguments.contains(flag)) }
            }
        }
        #expect(Self.flags(.upload).copying.suffix(2) == ["/-odd: dir/", "pod:/dest/"])
        #expect(Self.flags(.download).copying.suffix(2) == ["pod:/source/", "/-odd: dir/"])
    }

    @Test("without root here, owners are kept as attributes")
    func fakes() {
        var flags = Self.flags(.download)
        #expect(!flags.copying.contains("--fake-super"))
        flags.isRootHere = false
        #expect(flags.copying.contains("--fake-super") && flags.comparing(isCheck: true).contains("--fake-super"))
    }

    @Test("rsync's other side may be run as rsync itself asks for it")
    func allowed() throws {
        try RemoteRsync.check(["rsync", "--server", "-slHogDtpAXrSe.iLsfxCIvu"])
        try RemoteRsync.check(["rsync", "--server", "--sender", "-snlHogDtpAXrSe.iLsfxCIvu"])
    }

    @Test(
        "and nothing else",
        arguments: [
            [], ["rsync"], ["sh", "-c", "true"], ["rsync", "--daemon"], ["rsync", "--server"],
            ["rsync", "--server", "-logDtpre.iLsfxCIvu", ".", "/dest/"],
            ["rsync", "--server", "-slr", ".", "/"], ["rsync", "--server", "-slr", "--rsh=sh -c true"],
            ["/tmp/rsync", "--server", "-slr"], ["rsync", "--server", "-s;true"],
        ]
    )
    func refusedCommand(words: [String]) {
        #expect(throws: Refusal.self) { try RemoteRsync.check(words) }
    }
}
