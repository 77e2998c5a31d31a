import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Standard output or standard error, unbuffered; each write is whole lines, not mixed with those of others.
final class StandardStream: Sendable {
    private let descriptor: Int32
    private let isBroken = Mutex(false)

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// Opens /dev/null where a standard stream is closed: else the next file or connection would get its number, and
    /// messages would go there.
    static func openClosed() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
            // It gets the lowest number that is free, which is this one.
            _ = open("/dev/null", O_RDWR)
        }
    }

    /// Writes text. Where nobody reads any more, this and all further text is dropped: a closed terminal must not end
    /// a migration.
    func write(_ text: String) {
        isBroken.withLock { isBroken in
            var rest = Array(text.utf8)[...]
            while !isBroken, !rest.isEmpty {
                let written = rest.withUnsafeBytes { bytes in
                    #if canImport(Glibc)
                        Glibc.write(descriptor, bytes.baseAddress, bytes.count)
                    #else
                        Musl.write(descriptor, bytes.baseAddress, bytes.count)
                    #endif
                }
                if written >= 0 {
                    rest = rest.dropFirst(written)
                } else if errno == EAGAIN {
                    // Somebody made it non-blocking: wait until it takes more.
                    var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&ready, 1, -1)
                } else if errno != EINTR {
                    isBroken = true
                }
            }
        }
    }
}
