import FoundationEssentials

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A socket of this computer, or what else can be read and written so. Each call waits until it is done.
final class UnixSocket: Sendable {
    private let number: Int32
    private let isOwned: Bool

    /// Takes a file that somebody else closes.
    init(_ number: Int32) { (self.number, isOwned) = (number, false) }

    private init(owning number: Int32) { (self.number, isOwned) = (number, true) }

    deinit { if isOwned { close(number) } }

    init(connectingTo path: String) throws(SystemError) {
        number = try Self.made()
        isOwned = true
        let result = try Self.with(path) { connect(number, $0, $1) }
        guard result == 0 else { throw SystemError(code: errno) }
    }

    /// Makes a socket that others connect to by a path.
    init(listeningAt path: String) throws(SystemError) {
        number = try Self.made()
        isOwned = true
        let result = try Self.with(path) { bind(number, $0, $1) }
        guard result == 0, listen(number, 1) == 0 else { throw SystemError(code: errno) }
    }

    private static func made() throws(SystemError) -> Int32 {
        #if canImport(Glibc)
            let made = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        #else
            let made = socket(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0)
        #endif
        guard made >= 0 else { throw SystemError(code: errno) }
        return made
    }

    /// Calls something with a path as an address.
    private static func with(
        _ path: String,
        _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(SystemError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let size = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < size else { throw SystemError(code: ENAMETOOLONG) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// Waits for somebody to connect; nil where `shutDown` came first.
    func accepted() -> UnixSocket? {
        while true {
            let made = accept(number, nil, nil)
            if made >= 0 {
                // Nothing that is started meanwhile is to have it.
                _ = fcntl(made, F_SETFD, FD_CLOEXEC)
                return UnixSocket(owning: made)
            }
            guard errno == EINTR || errno == ECONNABORTED else { return nil }
        }
    }

    /// Reads what there is; nil at the end.
    func read(upTo count: Int) throws(SystemError) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: count)
        while true {
            let found = buffer.withUnsafeMutableBytes { bytes in
                #if canImport(Glibc)
                    Glibc.read(number, bytes.baseAddress, bytes.count)
                #else
                    Musl.read(number, bytes.baseAddress, bytes.count)
                #endif
            }
            if found > 0 { return Array(buffer.prefix(found)) }
            if found == 0 { return nil }
            try wait(for: POLLIN)
        }
    }

    /// Reads so many bytes; nil where the end comes before.
    func readWhole(_ count: Int) throws(SystemError) -> [UInt8]? {
        var all: [UInt8] = []
        while all.count < count {
            guard let piece = try read(upTo: count - all.count) else { return nil }
            all += piece
        }
        return all
    }

    func write(_ bytes: [UInt8]) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { bytes in
                // A socket whose other end is gone must not end the process.
                let sent = send(number, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
                guard sent < 0, errno == ENOTSOCK else { return sent }
                #if canImport(Glibc)
                    return Glibc.write(number, bytes.baseAddress, bytes.count)
                #else
                    return Musl.write(number, bytes.baseAddress, bytes.count)
                #endif
            }
            if written >= 0 { rest = rest.dropFirst(written) } else { try wait(for: POLLOUT) }
        }
    }

    /// Waits after a call that has failed, where it only has to be made again.
    private func wait(for events: Int32) throws(SystemError) {
        switch errno {
        case EINTR: return
        case EAGAIN:
            // rsync makes its ends non-blocking.
            var ready = pollfd(fd: number, events: Int16(events), revents: 0)
            poll(&ready, 1, -1)
        case let code: throw SystemError(code: code)
        }
    }

    /// Tells the other end that nothing more comes.
    func endWriting() { shutdown(number, Int32(SHUT_WR)) }

    /// Ends what waits for more to read.
    func endReading() { shutdown(number, Int32(SHUT_RD)) }

    /// Ends all that waits for it.
    func shutDown() { shutdown(number, Int32(SHUT_RDWR)) }
}
