import FoundationEssentials
import Glibc

/// Files of every kind that a migration must carry over, written into a volume's directory.
///
/// Hard links and symlinks (a dangling one too), odd owners and modes, a sparse and an empty file, empty directories, a
/// directory with many entries, a named pipe, names that are long, not ASCII, not even UTF-8, or hold a newline,
/// extended attributes, and times long ago.
struct SeedFiles {
    /// The directory to fill; it exists.
    var root: String

    /// Writes the files.
    ///
    /// - Parameter title: tells one volume's content from another's.
    /// - Throws: `SeedError` with what the operating system refused. Without root only the files' own owner is possible,
    ///   so other owners are left out then.
    func write(title: String) throws {
        try file("README.txt", "The files of \(title).\n")
        try file("logo.bin", Self.noise(50_000, seed: title))
        try hardLinks()
        try symlinks()
        try modesAndOwners()
        try sparseFile()
        try file("empty/file", "")
        try directory("empty/directory")
        for number in 1...500 { try file("many/entry-\(number)", "\(title) \(number)\n") }
        try oddNames()
        try directory("deep/" + (1...20).map { "level-\($0)" }.joined(separator: "/"))
        try attribute("README.txt", "user.origin", title)
        try check(mkfifo(path("pipe"), 0o640), "pipe")
        // Last, since every write above moved them; directories after what is in them.
        try modified("README.txt", seconds: 946_684_799, nanoseconds: 123_456_789)
        try modified("empty/file", seconds: 0)
        try modified("links/dangling", seconds: 1_000_000_000)
        try modified("empty", seconds: 315_532_800)
        try modified("many", seconds: 1_500_000_000, nanoseconds: 1)
    }

    private func hardLinks() throws {
        try file("hard-links/one", "one file, three names\n")
        try directory("hard-links/elsewhere")
        try check(link(path("hard-links/one"), path("hard-links/two")), "hard-links/two")
        try check(link(path("hard-links/one"), path("hard-links/elsewhere/three")), "hard-links/elsewhere/three")
    }

    private func symlinks() throws {
        try directory("links")
        let targets = [
            "relative": "../README.txt", "dangling": "nowhere/at all", "absolute": "/etc/hostname",
            "directory": "../many", "itself": "itself",
        ]
        for (name, target) in targets { try check(symlink(target, path("links/\(name)")), "links/\(name)") }
    }

    private func modesAndOwners() throws {
        let odd: [(name: String, owner: UInt32, group: UInt32, mode: UInt32)] = [
            ("private", 999, 999, 0o600), ("setuid", 0, 0, 0o4755), ("setgid", 1000, 2000, 0o2755),
            ("no-access", 65534, 65534, 0o000), ("large-id", 2_000_000_001, 2_000_000_002, 0o644),
            ("read-only", 1000, 0, 0o444),
        ]
        for (name, owner, group, mode) in odd {
            try file("owners/\(name)", "\(name)\n")
            // The mode after the owner: a change of owner clears setuid.
            try own("owners/\(name)", owner, group)
            try check(chmod(path("owners/\(name)"), mode), "owners/\(name)")
        }
        try directory("owners/sticky")
        try check(chmod(path("owners/sticky"), 0o1777), "owners/sticky")
        try directory("owners/shared")
        try own("owners/shared", 1000, 2000)
        try check(chmod(path("owners/shared"), 0o2775), "owners/shared")
    }

    private func own(_ name: String, _ owner: UInt32, _ group: UInt32) throws {
        guard geteuid() == 0 else { return }
        try check(lchown(path(name), owner, group), name)
    }

    /// 64 MiB, of which a few kilobytes are data.
    private func sparseFile() throws {
        let descriptor = open(path("disk.img"), O_CREAT | O_WRONLY | O_EXCL, 0o644)
        try check(descriptor, "disk.img")
        defer { close(descriptor) }
        let data = Self.noise(4096, seed: "disk")
        for offset in [0, 32 << 20] {
            let written = data.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, offset) }
            try check(Int32(written), "disk.img")
        }
        try check(ftruncate(descriptor, 64 << 20), "disk.img")
    }

    private func oddNames() throws {
        let names = [
            "grüße.txt", "日本語.txt", "elephant 🐘", "with\nnewline", " leading and trailing ", "-rf", "#hash#", "*",
            "quotes ' \" `", "back\\slash", "$(dollar)", ".hidden", "e\u{301} decomposed",
            String(repeating: "n", count: 251) + ".txt",
        ]
        for name in names { try file("names/\(name)", "\(name)\n") }
        // Not UTF-8, which Linux does not mind; Swift's strings would.
        let bytes = Array((root + "/names/latin-1-").utf8) + [0xe9, 0xff, 0]
        try create(bytes.map { CChar(bitPattern: $0) }, Data("latin-1\n".utf8))
    }

    private func file(_ name: String, _ text: String) throws { try file(name, Data(text.utf8)) }

    private func file(_ name: String, _ content: Data) throws {
        if let slash = name.lastIndex(of: "/") { try directory(String(name[..<slash])) }
        try create(Array(path(name).utf8CString), content)
    }

    /// Not `Data.write`, which waits for the disk at each of the many files.
    private func create(_ path: [CChar], _ content: Data) throws {
        let descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o644)
        try check(descriptor, "a file")
        defer { close(descriptor) }
        let written = content.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if written != content.count { try check(-1, "a file") }
    }

    private func directory(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: path(name), withIntermediateDirectories: true)
    }

    private func attribute(_ name: String, _ key: String, _ value: String) throws {
        // The key's name is the only door to setxattr(2) that does not need a C target of our own.
        let attributes = [FileAttributeKey("NSFileExtendedAttributes"): [key: Data(value.utf8)]]
        do {
            try FileManager.default.setAttributes(attributes, ofItemAtPath: path(name))
        } catch let error as CocoaError where error.underlying?.code == .EOPNOTSUPP {
            // Not every file system has them; where this one has not, there are none to carry over.
        }
    }

    private func modified(_ name: String, seconds: Int, nanoseconds: Int = 0) throws {
        // Two `timespec`s, whose members the compiler finds now in one C module, now in another.
        let times = [seconds, nanoseconds, seconds, nanoseconds]
        let result = times.withUnsafeBytes {
            utimensat(AT_FDCWD, path(name), $0.bindMemory(to: timespec.self).baseAddress, AT_SYMLINK_NOFOLLOW)
        }
        try check(result, name)
    }

    private func path(_ name: String) -> String { root + "/" + name }

    private func check(_ result: Int32, _ name: String) throws {
        if result < 0 { throw SeedError("cannot make \(path(name)): \(String(cString: strerror(errno)))") }
    }

    /// Bytes that do not compress, the same for the same seed.
    private static func noise(_ count: Int, seed: String) -> Data {
        var state = seed.utf8.reduce(5381 as UInt64) { ($0 &* 33) ^ UInt64($1) }
        return Data(
            (0..<count).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: state >> 33)
            }
        )
    }
}

extension CocoaError {
    fileprivate var underlying: POSIXError? { userInfo["NSUnderlyingError"] as? POSIXError }
}

/// Why the sandbox could not be furnished.
struct SeedError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
