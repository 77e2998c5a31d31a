import ArgumentParser
import Foundation
import Kubernetes
import Migration
import Testing

@testable import pvmigrate

@Suite("Directories on this computer")
struct LocalTreeTests {
    /// Makes a directory for a test, and removes it afterwards.
    private func withFolder(_ work: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/tree-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { do { try FileManager.default.removeItem(atPath: folder) } catch { Issue.record(error) } }
        try work(folder)
    }

    @Test("a directory is empty that has only what never travels")
    func empty() throws {
        try withFolder { folder in
            #expect(try Folder.isEmpty(folder + "/none"))
            try Folder.make(folder + "/.pvmigrate/partial", below: folder)
            try Folder.make(folder + "/lost+found", below: folder)
            #expect(try Folder.isEmpty(folder))
            try Folder.make(folder + "/0/data", below: folder)
            #expect(try !Folder.isEmpty(folder))
            #expect(throws: Refusal.self) { _ = try Folder.isEmpty("/etc/passwd") }
        }
    }

    @Test(
        "a symbolic link that somebody planted is not followed",
        arguments: ["0", ".pvmigrate", ".pvmigrate/partial"]
    )
    func links(planted: String) throws {
        try withFolder { folder in
            try Folder.make(folder + "/elsewhere", below: folder)
            let tree = folder + "/tree"
            try Folder.make(tree + "/.pvmigrate", below: folder)
            if planted == ".pvmigrate" { rmdir(tree + "/.pvmigrate") }
            #expect(symlink(folder + "/elsewhere", tree + "/" + planted) == 0)
            #expect(throws: Refusal.self) { try Folder.make(tree + "/\(planted)/data", below: tree) }
            #expect(throws: Refusal.self) { try Folder.remove(tree + "/\(planted)/data", below: tree) }
            #expect(try Folder.isEmpty(folder + "/elsewhere"))
        }
    }

    @Test("sockets are found at any depth, and nothing else is")
    func sockets() throws {
        try withFolder { folder in
            try Folder.make(folder + "/a/b", below: folder)
            _ = try UnixSocket(listeningAt: folder + "/a/b/s")
            #expect(FileManager.default.createFile(atPath: folder + "/a/file", contents: Data()))
            #expect(try Folder.sockets(in: folder) == [Data("/a/b/s".utf8)])
        }
    }

    @Test("a pattern fits only the one path, whatever is in it")
    func patterns() {
        #expect(LocalComputer.pattern(Data("/a/b".utf8)) == Data("/a/b".utf8))
        #expect(LocalComputer.pattern(Data(#"/a\b"#.utf8)) == Data(#"/a\b"#.utf8))
        #expect(LocalComputer.pattern(Data(#"/a*[\?"#.utf8)) == Data(#"/a\*\[\\\?"#.utf8))
    }

    @Test("lines are those of rsync, which ends its progress with carriage returns")
    func lines() {
        var splitter = LineSplitter()
        var lines: [String] = []
        for piece in ["a\rb", "c\n\n", "end"] { splitter.take(Array(piece.utf8)) { lines.append(String($0)) } }
        splitter.end { lines.append(String($0)) }
        #expect(lines == ["a", "bc", "end"])
    }

    @Test("a path is made absolute, and the root directory is none")
    func absolute() throws {
        #expect(try Folder.absolute("/a//b/./") == "/a/b")
        #expect(try Folder.absolute("-odd:").hasSuffix("/-odd:"))
        #expect(throws: Refusal.self) { _ = try Folder.absolute("/") }
        #expect(throws: Refusal.self) { _ = try Folder.absolute("") }
    }

    @Test("the flags of an upload are read, and those that exclude each other refused")
    func arguments() throws {
        let set = try UploadArguments.parse(["tree", "--statefulset", "shop/db", "--ordinals", "0-2", "--merge"])
            .checked()
        #expect(set.tree?.choice == .set(ObjectName("db", in: "shop")))
        #expect(set.options.tree?.direction == .upload && set.options.tree?.target == .merged)
        for wrong in [
            ["tree"], ["--pvc", "shop/a"], ["tree", "--pvc", "shop/a", "--statefulset", "shop/db"],
            ["tree", "--pvc", "shop/a", "--ordinals", "1"],
            ["tree", "--pvc", "shop/a", "--merge", "--replace"], ["tree", "--pvc", "a"], ["/", "--pvc", "shop/a"],
            ["tree", "--pvc", "shop/a", "--verify", "none"], ["tree", "--claims-of", "db"],
            ["tree", "--statefulset", "shop/db", "--ordinals", "x"],
        ] {
            #expect(throws: UsageError.self, "\(wrong)") { _ = try UploadArguments.parse(wrong).checked() }
        }
    }
}
