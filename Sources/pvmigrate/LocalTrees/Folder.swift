import FoundationEssentials
import Migration

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// What is done with directories on this computer.
enum Folder {
    /// The kinds of what has a name.
    enum Kind {
        case directory
        case socket
        case other
    }

    /// An entry of a directory.
    struct Entry {
        /// Its name, which may be any bytes.
        var name: [UInt8]
        var kind: Kind
    }

    /// Returns the entries of a directory; nil where there is none.
    ///
    /// - Throws: `Refusal` where it is something else, or cannot be read.
    static func entries(of directory: [UInt8]) throws(Refusal) -> [Entry]? {
        guard let stream = opendir(cString(directory)) else {
            if errno == ENOENT { return nil }
            throw refusal(directory, "can't be read")
        }
        defer { closedir(stream) }
        var entries: [Entry] = []
        while let found = readdir(stream) {
            let name = withUnsafeBytes(of: &found.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name == Array(".".utf8) || name == Array("..".utf8) { continue }
            entries.append(Entry(name: name, kind: kind(of: directory + Array("/".utf8) + name)))
        }
        return entries
    }

    private static func kind(of path: [UInt8]) -> Kind {
        var status = stat()
        guard lstat(cString(path), &status) == 0 else { return .other }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .directory
        case S_IFSOCK: return .socket
        default: return .other
        }
    }

    private static func cString(_ bytes: [UInt8]) -> [CChar] { bytes.map(CChar.init(bitPattern:)) + [0] }

    private static func refusal(_ path: [UInt8], _ what: String) -> Refusal {
        Refusal("\(String(decoding: path, as: UTF8.self)) \(what): \(SystemError(code: errno))")
    }

    /// Returns the names in a tree, each with those in it; nil for what is no directory. What never travels is left out.
    static func tree(_ directory: String) throws(Refusal) -> [String: [String]?] {
        guard let top = try entries(of: Array(directory.utf8)) else {
            throw Refusal("the directory \(directory) does not exist")
        }
        var tree: [String: [String]?] = [:]
        for entry in top where !isKept(entry.name) {
            let name = String(decoding: entry.name, as: UTF8.self)
            guard entry.kind == .directory else {
                tree[name] = .some(nil)
                continue
            }
            let inside = try entries(of: Array("\(directory)/".utf8) + entry.name) ?? []
            tree[name] = inside.map { String(decoding: $0.name, as: UTF8.self) }
        }
        return tree
    }

    private static func isKept(_ name: [UInt8]) -> Bool { LocalTree.kept.contains { Array($0.utf8) == name } }

    static func isEmpty(_ directory: String) throws(Refusal) -> Bool {
        try entries(of: Array(directory.utf8))?.allSatisfy { isKept($0.name) } ?? true
    }

    /// Returns the sockets in a directory, as paths that begin there.
    static func sockets(in directory: String) throws(Refusal) -> [Data] {
        var sockets: [Data] = []
        var open: [[UInt8]] = [[]]
        while let path = open.popLast() {
            for entry in try entries(of: Array(directory.utf8) + path) ?? [] {
                let inside = path + Array("/".utf8) + entry.name
                switch entry.kind {
                case .directory: open.append(inside)
                case .socket: sockets.append(Data(inside))
                case .other: break
                }
            }
        }
        return sockets
    }

    /// Returns the bytes that a file system has room for; nil where that cannot be told.
    static func freeBytes(at directory: String) -> Int64? {
        var status = statvfs()
        var path = directory
        while statvfs(path, &status) != 0 {
            guard errno == ENOENT, let end = path.lastIndex(of: "/"), end > path.startIndex else { return nil }
            path = String(path[..<end])
        }
        let (blocks, size) = (UInt64(status.f_bavail), UInt64(status.f_frsize))
        return Int64(clamping: blocks.multipliedReportingOverflow(by: size).partialValue)
    }

    // MARK: Below a tree

    /// Makes a directory below a tree, and those between. None of them may be a symbolic link: whoever wrote what was
    /// copied before could have planted it.
    static func make(_ directory: String, below tree: String) throws(Refusal) {
        close(try opened(directory, below: tree, makes: true))
    }

    /// Opens a directory below a tree.
    private static func opened(_ directory: String, below tree: String, makes: Bool) throws(Refusal) -> Int32 {
        if makes, mkdir(tree, 0o777) != 0, errno != EEXIST { throw refusal(Array(tree.utf8), "can't be made") }
        var folder = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw refusal(Array(tree.utf8), "can't be opened") }
        for name in directory.dropFirst(tree.count).split(separator: "/") {
            if makes, mkdirat(folder, String(name), 0o777) != 0, errno != EEXIST {
                close(folder)
                throw refusal(Array(directory.utf8), "can't be made")
            }
            let next = openat(folder, String(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            let code = errno
            close(folder)
            errno = code
            guard next >= 0 else {
                throw refusal(Array(directory.utf8), "is no directory, or leads through a symbolic link")
            }
            folder = next
        }
        return folder
    }

    /// Removes a directory below a tree that has only files in it, and those above it that are empty then.
    static func remove(_ directory: String, below tree: String) throws(Refusal) {
        let folder = try opened(directory, below: tree, makes: false)
        for entry in try entries(of: Array(directory.utf8)) ?? [] { unlinkat(folder, cString(entry.name), 0) }
        close(folder)
        var path = directory
        while path.count > tree.count, let end = path.lastIndex(of: "/") {
            let parent = try opened(String(path[..<end]), below: tree, makes: false)
            let code = unlinkat(parent, String(path[path.index(after: end)...]), AT_REMOVEDIR)
            close(parent)
            guard code == 0 else { return }
            path = String(path[..<end])
        }
    }

    // MARK: Small files

    /// Returns an absolute path of a directory that may not exist.
    static func absolute(_ path: String) throws(Refusal) -> String {
        guard !path.isEmpty else { throw Refusal("it is empty") }
        var all = path
        if !path.hasPrefix("/") {
            guard let buffer = getcwd(nil, 0) else { throw refusal([], "the present directory is not known") }
            defer { free(buffer) }
            all = String(cString: buffer) + "/" + path
        }
        let parts = all.split(separator: "/").filter { $0 != "." }
        guard !parts.contains(".."), !parts.isEmpty else {
            // What is above depends on links.
            guard let buffer = realpath(all, nil) else { throw refusal(Array(path.utf8), "can't be found") }
            defer { free(buffer) }
            let real = String(cString: buffer)
            guard real != "/" else { throw Refusal("it is the root directory") }
            return real
        }
        return "/" + parts.joined(separator: "/")
    }

    /// Writes names, each with a zero byte after it.
    static func write(_ names: [Data], to path: String) throws(Refusal) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw refusal(Array(path.utf8), "can't be made") }
        defer { close(file) }
        do {
            try UnixSocket(file).write(names.flatMap { Array($0) + [0] })
        } catch {
            throw Refusal("\(path) can't be written: \(error)")
        }
    }

    /// Returns where a symbolic link leads.
    static func target(of link: String) throws(Refusal) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(link, &buffer, buffer.count)
        if count < 0, errno == EINVAL { return link }
        guard count >= 0 else { throw refusal(Array(link.utf8), "can't be read") }
        return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
