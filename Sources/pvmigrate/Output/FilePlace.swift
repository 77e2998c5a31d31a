#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Where a path leads: an open folder, which stays the same whatever becomes of its path, and a name in it.
///
/// The folder may be one that others write to, such as /tmp. So a file is written under a new name and then renamed, which
/// changes nothing but the entry in this folder, and links of others are not followed.
struct FilePlace: ~Copyable {
    private let folder: Int32
    private let name: String
    /// True of a device, a pipe, or a file that is open already (/dev/stdout): it is written to as it is.
    private let isStream: Bool
    /// Of the file that is there already.
    private let mode: mode_t?

    deinit { close(folder) }

    /// Follows the links that a path names, also to a file that is not there.
    init(_ path: String) throws(SystemError) {
        var path = path[...]
        var folder = AT_FDCWD
        // As many links as Linux follows.
        for _ in 0...40 {
            let (parent, name) = Self.parts(path)
            let next = openat(folder, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            let failure = SystemError(code: errno)
            if folder != AT_FDCWD { close(folder) }
            guard next >= 0 else { throw failure }
            folder = next
            switch Self.find(name, in: folder) {
            case .file(let mode):
                (self.folder, self.name, isStream, self.mode) = (folder, name, false, mode)
                return
            case .stream:
                (self.folder, self.name, isStream, mode) = (folder, name, true, nil)
                return
            case .link(let target): path = target[...]
            case .refused(let error):
                close(folder)
                throw error
            }
        }
        close(folder)
        throw SystemError(code: ELOOP)
    }

    /// Tries whether it can be written, and leaves everything as it is.
    borrowing func check() throws(SystemError) {
        if isStream || mode != nil { close(try opened()) }
        guard !isStream else { return }
        let trial = Self.newName
        close(try created(trial))
        unlinkat(folder, trial, 0)
    }

    borrowing func write(_ text: String) throws(SystemError) {
        guard !isStream else { return try Self.write(text, to: try opened(), isFile: false) }
        let new = Self.newName
        let number = try created(new)
        do throws(SystemError) {
            if let mode { fchmod(number, mode) }
            try Self.write(text, to: number, isFile: true)
            guard renameat(folder, new, folder, name) == 0 else { throw SystemError(code: errno) }
        } catch {
            unlinkat(folder, new, 0)
            throw error
        }
    }

    // MARK: Looking

    private enum Found {
        /// A file; with its mode where it is there.
        case file(mode_t?)
        case stream
        case link(String)
        case refused(SystemError)
    }

    /// A path's folder, and the name in it.
    private static func parts(_ path: Substring) -> (folder: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", String(path)) }
        return (slash == path.startIndex ? "/" : String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    private static func find(_ name: String, in folder: Int32) -> Found {
        guard !name.isEmpty else { return .refused(SystemError(code: EISDIR)) }
        var info = stat()
        guard fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else {
            return errno == ENOENT ? .file(nil) : .refused(SystemError(code: errno))
        }
        switch info.st_mode & S_IFMT {
        case S_IFREG: return .file(info.st_mode & 0o777)
        case S_IFDIR: return .refused(SystemError(code: EISDIR))
        case S_IFLNK: break
        default: return .stream
        }
        // What stands for an open file is no path to go on with.
        if isOnProc(folder) { return .stream }
        // As Linux does in a folder like /tmp (proc_sys_fs(5), protected_symlinks).
        guard info.st_uid == geteuid() || info.st_uid == 0 else { return .refused(SystemError(code: EACCES)) }
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlinkat(folder, name, &target, target.count)
        guard count > 0 else { return .refused(SystemError(code: errno)) }
        return .link(String(decoding: target.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self))
    }

    private static func isOnProc(_ folder: Int32) -> Bool {
        var (info, proc) = (stat(), stat())
        return fstat(folder, &info) == 0 && stat("/proc/self", &proc) == 0 && info.st_dev == proc.st_dev
    }

    // MARK: Writing

    private static var newName: String { ".pvmigrate-" + String(UInt64.random(in: .min ... .max), radix: 16) }

    /// A new file in the folder, open for writing.
    private borrowing func created(_ name: String) throws(SystemError) -> Int32 {
        let number = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard number >= 0 else { throw SystemError(code: errno) }
        return number
    }

    /// What is there, open for writing. A pipe that nobody reads is not waited for.
    private borrowing func opened() throws(SystemError) -> Int32 {
        let isLink = isStream && Self.isOnProc(folder)
        let number = openat(folder, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | (isLink ? 0 : O_NOFOLLOW))
        guard number >= 0 else { throw SystemError(code: errno) }
        return number
    }

    /// Writes the text and closes the file.
    private static func write(_ text: String, to number: Int32, isFile: Bool) throws(SystemError) {
        let file = Descriptor(number)
        file.write(text)
        let isKept = !isFile || fsync(number) == 0
        let code = errno
        let isClosed = close(number) == 0
        let closing = errno
        if let failure = file.failure { throw failure }
        if !isKept { throw SystemError(code: code) }
        // Some file systems tell only now that they are full.
        if !isClosed { throw SystemError(code: closing) }
    }
}
