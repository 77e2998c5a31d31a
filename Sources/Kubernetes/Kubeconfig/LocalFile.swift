import FoundationEssentials

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A file of this machine: a kubeconfig, a certificate, a token.
struct LocalFile {
    /// More than any of them has.
    static let maximumSize = 16 << 20

    var path: String

    /// The folder that the file is in, to be put before relative paths found in the file.
    var folder: String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    /// The path for messages. One that is very long is rather what was to be in the file: a token or a key.
    var shown: String { path.utf8.count <= 150 ? path : "(a path of \(path.utf8.count) characters)" }

    /// Why a file cannot be read, in the system's words.
    struct Failure: Error {
        var message: String
        /// Whether there is no such file.
        var isMissing = false
    }

    /// A path as it is meant inside of this file.
    func resolve(_ other: String) -> String {
        other.hasPrefix("/") ? other : folder + other
    }

    /// Whether there is anything under this name, readable or not.
    var exists: Bool { access(path, F_OK) == 0 }

    /// Reads the whole file; a pipe works too.
    func read() throws(Failure) -> Data {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure() }
        defer { close(descriptor) }
        var contents = Data()
        var piece = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Self.read(descriptor, into: &piece)
            guard count >= 0 else {
                if errno == EINTR { continue }
                throw Self.failure()
            }
            if count == 0 { return contents }
            contents.append(contentsOf: piece[..<count])
            guard contents.count <= Self.maximumSize else {
                throw Failure(message: "larger than \(Self.maximumSize >> 20) MiB")
            }
        }
    }

    private static func read(_ descriptor: Int32, into piece: inout [UInt8]) -> Int {
        #if canImport(Glibc)
            Glibc.read(descriptor, &piece, piece.count)
        #else
            Musl.read(descriptor, &piece, piece.count)
        #endif
    }

    private static func failure() -> Failure {
        let code = errno
        return Failure(message: String(cString: strerror(code)).lowercased(), isMissing: code == ENOENT)
    }
}
