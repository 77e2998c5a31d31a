import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// An open file, standard output or standard error perhaps, unbuffered; each write is whole lines, not mixed with those
/// of others.
final class Descriptor: Sendable {
    private let number: Int32
    private let broken = Mutex<SystemError?>(nil)

    init(_ number: Int32) { self.number = number }

    /// Why not everything could be written.
    var failure: SystemError? { broken.withLock { $0 } }

    /// Opens /dev/null where a standard stream is closed: else the next file or connection would get its number, and
    /// messages would go there.
    static func openClosed() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
            // It gets the lowest number that is free, which is this one.
            _ = open("/dev/null", O_RDWR)
        }
    }

    /// Writes text. After a failure all further text is dropped: a closed terminal must not end a migration.
    func write(_ text: String) {
        broken.withLock { broken in
            var rest = Array(text.utf8)[...]
            while broken == nil, !rest.isEmpty {
                let written = rest.withUnsafeBytes { bytes in
                    #if canImport(Glibc)
                        Glibc.write(number, bytes.baseAddress, bytes.count)
                    #else
                        Musl.write(number, bytes.baseAddress, bytes.count)
                    #endif
                }
                if written >= 0 {
                    rest = rest.dropFirst(written)
                } else if errno == EAGAIN {
                    // Somebody made it non-blocking: wait until it takes more.
                    var ready = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
                    poll(&ready, 1, -1)
                } else if errno != EINTR {
                    broken = SystemError(code: errno)
                }
            }
        }
    }
}

/// What the system refused, in its words.
struct SystemError: Error, Equatable, CustomStringConvertible {
    var code: Int32

    var description: String { String(cString: strerror(code)).lowercased() }
}
