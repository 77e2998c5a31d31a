import FoundationEssentials

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A file that a run writes at its end, however it ends.
struct ResultFile: Sendable, Equatable {
    let flag: String
    let path: String

    /// Whether it is the same file as another, as far as their paths tell.
    func isSame(as other: ResultFile) -> Bool {
        URL(filePath: path).standardizedFileURL == URL(filePath: other.path).standardizedFileURL
    }

    /// Opens the file for writing and leaves it as it is, or away: better now than when the run is over.
    ///
    /// - Throws: `UsageError` where it can't be written.
    func check() throws(UsageError) {
        let exists = access(path, F_OK) == 0
        do throws(SystemError) {
            close(try open(O_CREAT))
        } catch {
            throw UsageError("\(flag) \(path) cannot be written: \(error)")
        }
        // Not the path itself, which may be a link to a file that was not there.
        if !exists, let made = realpath(path, nil) {
            unlink(made)
            free(made)
        }
    }

    /// - Throws: why it can't be written.
    func write(_ text: String) throws(SystemError) {
        let number = try open(O_CREAT | O_TRUNC)
        let file = Descriptor(number)
        file.write(text)
        let isClosed = close(number) == 0
        let code = errno
        if let failure = file.failure { throw failure }
        // Some file systems tell only now that they are full.
        if !isClosed { throw SystemError(code: code) }
    }

    /// Opens it for writing. A pipe that nobody reads is not waited for.
    private func open(_ flags: Int32) throws(SystemError) -> Int32 {
        #if canImport(Glibc)
            let number = Glibc.open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | flags, 0o666)
        #else
            let number = Musl.open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | flags, 0o666)
        #endif
        guard number >= 0 else { throw SystemError(code: errno) }
        return number
    }
}
