import Foundation
import Glibc
import Testing

@testable import pvmigrate

@Suite("A file of results")
struct ResultFileTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func file(_ name: String) -> ResultFile { ResultFile(flag: "--report", path: "\(folder.path)/\(name)") }
    private func text(_ name: String) throws -> String {
        try String(contentsOfFile: "\(folder.path)/\(name)", encoding: .utf8)
    }
    private func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }
    private func mode(_ name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: "\(folder.path)/\(name)")[.posixPermissions] as? Int
    }

    @Test("is made by the trial no more than anything else, and by the run at once as a whole")
    func new() throws {
        try file("report").check()
        #expect(try names() == [])
        try file("report").write("new")
        #expect(try names() == ["report"] && text("report") == "new")
    }

    @Test("that is there is replaced, and keeps its mode; another name of it keeps what it had")
    func replaced() throws {
        try folder.write("report", "old")
        chmod("\(folder.path)/report", 0o600)
        try FileManager.default.linkItem(atPath: "\(folder.path)/report", toPath: "\(folder.path)/victim")
        try file("report").check()
        #expect(try text("report") == "old")
        try file("report").write("new")
        #expect(try names() == ["report", "victim"])
        #expect(try text("report") == "new" && text("victim") == "old")
        #expect(try mode("report") == 0o600)
    }

    @Test("is not written where a link of somebody else leads, nor is that removed", .enabled(if: geteuid() == 0))
    func foreignLink() throws {
        for target in ["victim", "missing"] {
            try folder.write("victim", "theirs")
            let link = "\(folder.path)/to-\(target)"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "\(folder.path)/\(target)")
            lchown(link, 65534, 65534)
            let file = file("to-\(target)")
            #expect(throws: UsageError.self) { try file.check() }
            #expect(throws: SystemError(code: EACCES)) { try file.write("ours") }
        }
        #expect(try names() == ["to-missing", "to-victim", "victim"] && text("victim") == "theirs")
    }

    @Test("is written where one's own links lead, one after the other, and in a circle nowhere")
    func ownLinks() throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/deep", withIntermediateDirectories: true)
        for (link, target) in [("a", "deep/b"), ("deep/b", "../c"), ("round", "round")] {
            try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/\(link)", withDestinationPath: target)
        }
        try file("a").check()
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/c"))
        try file("a").write("new")
        #expect(try text("c") == "new")
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder.path + "/a") == "deep/b")
        #expect(throws: SystemError(code: ELOOP)) { try file("round").write("new") }
    }

    @Test("may be a pipe or an open file, which is written to as it is, and not waited for where nobody reads it")
    func streams() throws {
        mkfifo("\(folder.path)/pipe", 0o600)
        #expect(throws: SystemError(code: ENXIO)) { try file("pipe").write("new") }
        let reader = open("\(folder.path)/pipe", O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        try file("pipe").check()
        try file("pipe").write("new")
        var bytes = [UInt8](repeating: 0, count: 10)
        #expect(read(reader, &bytes, 10) == 3 && bytes.prefix(3) == Array("new".utf8)[...])

        try folder.write("open", "")
        let number = open("\(folder.path)/open", O_WRONLY)
        defer { close(number) }
        let stream = ResultFile(flag: "--report", path: "/dev/fd/\(number)")
        try stream.check()
        try stream.write("new")
        #expect(try names() == ["open", "pipe"] && text("open") == "new")
        try ResultFile(flag: "--report", path: "/dev/null").write("new")
    }

    @Test("is not a folder, and is in none that can't be written to")
    func refused() {
        for (path, code) in [
            (folder.path, EISDIR), (folder.path + "/", EISDIR), ("/proc/x", ENOENT), ("/none/x", ENOENT),
        ] {
            #expect(throws: SystemError(code: code)) { try ResultFile(flag: "--report", path: path).write("new") }
            #expect(throws: UsageError.self) { try ResultFile(flag: "--report", path: path).check() }
        }
    }
}
