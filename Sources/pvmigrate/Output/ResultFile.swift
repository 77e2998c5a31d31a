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

    /// Tries whether the file can be written, and leaves it as it is, or away: better now than when the run is over.
    ///
    /// - Throws: `UsageError` where it can't be written.
    func check() throws(UsageError) {
        do throws(SystemError) {
            try FilePlace(path).check()
        } catch {
            throw UsageError("\(flag) \(path) cannot be written: \(error)")
        }
    }

    /// - Throws: why it can't be written.
    func write(_ text: String) throws(SystemError) { try FilePlace(path).write(text) }
}
