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

    /// Opens the file for writing and leaves it as it is, or away: better now than when the run is over.
    ///
    /// - Throws: `UsageError` where it can't be written.
    func check() throws(UsageError) {
        let exists = access(path, F_OK) == 0
        // A pipe that nobody reads is not waited for.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o666)
        guard descriptor >= 0 else {
            let why = String(cString: strerror(errno)).lowercased()
            throw UsageError("\(flag) \(path) cannot be written: \(why)")
        }
        close(descriptor)
        if !exists { unlink(path) }
    }

    /// - Throws: why it can't be written.
    func write(_ text: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }
}
