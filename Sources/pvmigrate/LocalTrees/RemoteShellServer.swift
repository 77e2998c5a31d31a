import Dispatch
import FoundationEssentials
import Kubernetes
import Migration

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The end of one rsync's remote shell that has the credentials.
///
/// The socket is in a folder that nobody else of this computer may enter.
final class RemoteShellServer: Sendable {
    /// The folder, for what else rsync is to read.
    let folder: String
    var path: String { folder + "/shell" }
    private let listener: UnixSocket

    /// - Throws: `Refusal`.
    init(below temporary: String) throws {
        var template = Array((temporary + "/pvmigrate-XXXXXX").utf8CString)
        let made = template.withUnsafeMutableBufferPointer { $0.baseAddress.map { mkdtemp($0) != nil } ?? false }
        guard made else { throw Refusal("no folder could be made in \(temporary): \(SystemError(code: errno))") }
        folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        do {
            listener = try UnixSocket(listeningAt: folder + "/shell")
        } catch {
            rmdir(folder)
            throw Refusal("no socket could be made in \(folder): \(error)")
        }
    }

    /// Lets nobody connect any more.
    func stop() { listener.shutDown() }

    /// Removes the folder and what is in it.
    func remove() {
        for name in ["shell", "excluded"] { unlink(folder + "/" + name) }
        rmdir(folder)
    }

    /// What has become of the command on the other side.
    struct Served: Sendable {
        var code: Int?
        var failure: (any Error)?
    }

    /// Runs the one command that is asked for, and passes on what it reads and writes.
    func serve(_ remote: RemoteRsync) async -> Served {
        guard let socket = await AsyncSocket.accepted(by: listener) else { return Served() }
        var served = Served()
        do {
            let session = try await remote.open(try await socket.words())
            served.code = try await pass(between: socket, session)
        } catch {
            served.failure = error
        }
        await socket.end(with: served.code)
        return served
    }

    /// - Returns: The exit code.
    private func pass(between socket: AsyncSocket, _ session: ExecSession) async throws -> Int {
        let input = Task { await passInput(of: socket, to: session) }
        return try await withTaskCancellationHandler {
            defer {
                input.cancel()
                socket.endReading()
            }
            return try await withThrowingTaskGroup(of: Int?.self) { group in
                group.addTask {
                    for try await piece in session.stdout { try await socket.write(.output, piece) }
                    return nil
                }
                group.addTask {
                    for try await piece in session.stderr { try await socket.write(.errors, piece) }
                    return nil
                }
                group.addTask { try await session.exitCode() }
                var code: Int?
                for try await part in group { code = part ?? code }
                guard let code else { throw CancellationError() }
                return code
            }
        } onCancel: {
            socket.endReading()
        }
    }

    private func passInput(of socket: AsyncSocket, to session: ExecSession) async {
        do {
            while let piece = try await socket.read() { try await session.send(piece) }
            // rsync has ended, or says that nothing more comes.
            try await session.closeStdin()
        } catch {
            // A command that has ended reads no more. One that can't be told so is left.
            await session.close()
        }
    }
}

/// A connection whose calls do not keep a thread of the others from working.
private struct AsyncSocket: Sendable {
    private let socket: UnixSocket
    private let reading = DispatchQueue(label: "reading")
    private let writing = DispatchQueue(label: "writing")

    static func accepted(by listener: UnixSocket) async -> AsyncSocket? {
        let queue = DispatchQueue(label: "accepting")
        let socket = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async { continuation.resume(returning: listener.accepted()) }
            }
        } onCancel: {
            listener.shutDown()
        }
        return socket.map(AsyncSocket.init)
    }

    private init(_ socket: UnixSocket) { self.socket = socket }

    private func on<Value: Sendable>(
        _ queue: DispatchQueue,
        _ work: @escaping @Sendable () throws(SystemError) -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async {
                continuation.resume(with: Result { try work() })
            }
        }
    }

    /// Reads the words of a command.
    func words() async throws -> [String] {
        try await on(reading) { () throws(SystemError) in
            var words: [String] = []
            var left = RemoteShell.wordsSize
            let broken = SystemError(code: EPROTO)
            guard let count = try socket.readWhole(4).map({ RemoteShell.number($0) }), count <= left else {
                throw broken
            }
            for _ in 0..<count {
                guard let size = try socket.readWhole(4).map({ RemoteShell.number($0) }), size <= left,
                    let word = try socket.readWhole(size)
                else { throw broken }
                left -= size
                words.append(String(decoding: word, as: UTF8.self))
            }
            return words
        }
    }

    /// Reads what there is of the input; nil at its end.
    func read() async throws -> Data? {
        try await on(reading) { () throws(SystemError) in
            try socket.read(upTo: RemoteShell.pieceSize).map { Data($0) }
        }
    }

    func write(_ channel: RemoteShell.Channel, _ piece: Data) async throws {
        try await on(writing) { () throws(SystemError) in
            var rest = piece[...]
            while !rest.isEmpty {
                try socket.write(RemoteShell.frame(channel, rest.prefix(RemoteShell.pieceSize)))
                rest = rest.dropFirst(RemoteShell.pieceSize)
            }
        }
    }

    /// Tells how the command ended, where that is known.
    func end(with code: Int?) async {
        do {
            try await on(writing) { () throws(SystemError) in
                try socket.write(RemoteShell.frame(.exit, [UInt8(clamping: code ?? 255)]))
            }
        } catch {
            // The remote shell is gone.
        }
        socket.shutDown()
    }

    /// Ends what waits for more input.
    func endReading() { socket.endReading() }
}
