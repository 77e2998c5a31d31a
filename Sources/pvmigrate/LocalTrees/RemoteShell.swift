import Dispatch
import FoundationEssentials

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The remote shell of this computer's rsync: this program itself, as a command that is none for people.
///
/// It has no credentials. It passes on what rsync says over a socket to the process that has started rsync, and that
/// alone speaks to the cluster:
///
///     pvmigrate upload -- rsync -- pvmigrate __remote-shell --(socket)-- pvmigrate upload -- API server -- mover
enum RemoteShell {
    static let hiddenCommand = "__remote-shell"
    /// The exit code where there is nobody to ask, as ssh has it.
    private static let failed: Int32 = 255

    /// The kinds of what comes back.
    enum Channel: UInt8 {
        case output = 1
        case errors = 2
        /// The exit code is the first byte.
        case exit = 3
    }

    /// The largest piece on the socket, in bytes.
    static let pieceSize = 64 << 10
    /// The most bytes that the words of a command may have.
    static let wordsSize = 1 << 20

    /// Returns a number as it goes over the socket.
    static func bytes(of number: Int) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }

    static func number(_ bytes: some Sequence<UInt8>) -> Int {
        bytes.enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    }

    /// Returns words as they go over the socket: their number, and each with its length.
    static func message(_ words: [String]) -> [UInt8] {
        bytes(of: words.count) + words.flatMap { bytes(of: $0.utf8.count) + Array($0.utf8) }
    }

    /// Returns a part of an answer as it goes over the socket.
    static func frame(_ channel: Channel, _ piece: some Collection<UInt8>) -> [UInt8] {
        [channel.rawValue] + bytes(of: piece.count) + piece
    }

    /// Is the remote shell.
    ///
    /// - Parameter arguments: The socket, the name of the other side, which there is only one of, and the command.
    /// - Returns: The exit code.
    static func run(_ arguments: [String]) -> Int32 {
        guard arguments.count > 2 else { return failed }
        let socket: UnixSocket
        do {
            socket = try UnixSocket(connectingTo: arguments[0])
            try socket.write(message(Array(arguments.dropFirst(2))))
        } catch {
            Descriptor(STDERR_FILENO).write("the process that has started rsync can't be reached: \(error)\n")
            return failed
        }
        let input = UnixSocket(STDIN_FILENO)
        DispatchQueue(label: "input").async {
            do {
                while let piece = try input.read(upTo: pieceSize) { try socket.write(piece) }
            } catch {
                // Its end is told by the other direction.
            }
            socket.endWriting()
        }
        return passOn(from: socket)
    }

    private static func passOn(from socket: UnixSocket) -> Int32 {
        let output = UnixSocket(STDOUT_FILENO)
        let errors = UnixSocket(STDERR_FILENO)
        do {
            while true {
                guard let head = try socket.readWhole(5), let channel = Channel(rawValue: head[0]) else {
                    return failed
                }
                let count = number(head[1...])
                guard count <= pieceSize, let piece = try socket.readWhole(count) else { return failed }
                switch channel {
                case .output: try output.write(piece)
                case .errors: try errors.write(piece)
                case .exit: return Int32(piece.first ?? UInt8(failed))
                }
            }
        } catch {
            return failed
        }
    }
}
