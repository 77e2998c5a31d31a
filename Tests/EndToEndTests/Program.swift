import Foundation
import Synchronization

/// A run of `pvmigrate` that came to its end.
struct Program {
    var exitCode: Int32
    var output: String
    var errors: String

    /// Where the build put the programs: beside the tests themselves.
    static let directory = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

    /// The `pvmigrate` to test.
    private static let pvmigrate =
        ProcessInfo.processInfo.environment["PVMIGRATE_PROGRAM"]
        .map { URL(filePath: $0) } ?? directory.appending(path: "pvmigrate")

    /// Runs `pvmigrate` to its end.
    ///
    /// - Parameter limit: after this many seconds it is told to stop, with SIGTERM, and later killed.
    /// - Throws: what Foundation says of a program that cannot be started.
    static func pvmigrate(_ arguments: [String], limit: Double = 300) async throws -> Program {
        try await start(arguments).end(limit: limit)
    }

    /// Starts `pvmigrate`.
    static func start(_ arguments: [String], output: Output = .kept) throws -> RunningProgram {
        try RunningProgram(pvmigrate, arguments, output)
    }

    /// What becomes of what a program writes.
    enum Output {
        case kept
        /// Nobody reads it any more, as when a terminal is closed.
        case unread
        /// Standard output and standard error are closed.
        case closed
        /// Both are a terminal of this type, 40 columns wide; what it was sent is kept as output.
        case terminal(type: String)
    }

    /// Runs its arguments in a terminal, and passes on what that is sent.
    fileprivate static let terminal = """
        import fcntl, os, pty, struct, sys, termios
        process, terminal = pty.fork()
        if process == 0:
            os.environ["TERM"] = sys.argv[1]
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
            os.execv(sys.argv[2], sys.argv[2:])
        try:
            while text := os.read(terminal, 65536):
                sys.stdout.buffer.write(text)
        except OSError:
            pass  # That is how a terminal ends.
        sys.stdout.flush()
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
        """
}

/// A run of `pvmigrate` that has begun.
final class RunningProgram {
    private let process = Process()
    private let outputFile = FileManager.default.temporaryDirectory.appending(
        path: "pvmigrate-e2e-\(UUID().uuidString)"
    )
    private let errors = Collector()
    private let ends: AsyncStream<Int32>

    fileprivate init(_ program: URL, _ arguments: [String], _ output: Program.Output) throws {
        let (ends, end) = AsyncStream<Int32>.makeStream()
        self.ends = ends
        try Data().write(to: outputFile)
        process.executableURL = program
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: outputFile)
        process.standardError = errors.pipe
        let unread = Pipe()
        switch output {
        case .kept: break
        case .unread:
            process.standardOutput = unread
            process.standardError = unread
        case .closed:
            process.executableURL = URL(filePath: "/bin/sh")
            process.arguments = ["-c", #"exec "$0" "$@" >&- 2>&-"#, program.path] + arguments
        case .terminal(let type):
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["python3", "-c", Program.terminal, type, program.path] + arguments
        }
        process.terminationHandler = {
            end.yield($0.terminationReason == .exit ? $0.terminationStatus : 128 + $0.terminationStatus)
            end.finish()
        }
        try process.run()
        // Where it got another one there is nobody to end it.
        if case .unread = output { try errors.pipe.fileHandleForWriting.close() }
        try unread.fileHandleForReading.close()
    }

    deinit {
        // A test that failed leaves nothing running.
        send(SIGKILL)
        do { try FileManager.default.removeItem(at: outputFile) } catch {
            print("cannot remove \(outputFile): \(error)")
        }
    }

    /// Sends it a signal, unless it has ended.
    func send(_ signal: Int32) {
        if process.isRunning { kill(process.processIdentifier, signal) }
    }

    /// Waits until it has ended.
    ///
    /// - Parameters:
    ///   - lines: how many lines it is to have written to stderr before the limit begins.
    ///   - limit: after this many seconds it is sent a signal, and a minute later it is killed.
    ///   - signal: which one.
    func end(afterLines lines: Int = 0, limit: Double = 300, signal: Int32 = SIGTERM) async throws -> Program {
        for await _ in errors.lines.prefix(lines) {}
        let identifier = process.processIdentifier
        let deadline = Task {
            try await Task.sleep(for: .seconds(limit))
            kill(identifier, signal)
            try await Task.sleep(for: .seconds(60))
            kill(identifier, SIGKILL)
        }
        defer { deadline.cancel() }
        var exitCode: Int32 = -1
        for await code in ends { exitCode = code }
        for await _ in errors.lines {}
        return Program(
            exitCode: exitCode,
            output: String(decoding: try Data(contentsOf: outputFile), as: UTF8.self),
            errors: errors.text
        )
    }
}

/// Reads a pipe to its end, as fast as it is filled.
private final class Collector: Sendable {
    let pipe = Pipe()
    /// One for each line that was read.
    let lines: AsyncStream<Void>
    private let data = Mutex(Data())

    init() {
        let (lines, line) = AsyncStream<Void>.makeStream()
        self.lines = lines
        // A thread of its own: a readability handler misses the end of the pipe now and then (Swift 6.3).
        Thread.detachNewThread {
            while true {
                let chunk = self.pipe.fileHandleForReading.availableData
                guard !chunk.isEmpty else { break }
                self.data.withLock { $0 += chunk }
                for byte in chunk where byte == UInt8(ascii: "\n") { line.yield() }
            }
            line.finish()
        }
    }

    var text: String { data.withLock { String(decoding: $0, as: UTF8.self) } }
}

/// A sandbox cluster that lives as long as these tests.
final class Sandbox: Sendable {
    /// The administrator's kubeconfig, with a client certificate.
    let kubeconfig: String
    /// The sandbox ends with its standard input, and that with this process, whatever it dies of.
    private let standardInput: Pipe
    private let ended: AsyncStream<Void>
    private let process: pid_t

    init() throws {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        let (ended, end) = AsyncStream<Void>.makeStream()
        process.terminationHandler = { _ in end.finish() }
        process.executableURL = Program.directory.appending(path: "pvmigrate-sandbox")
        // The volume binder loses its race now and then, as a real one does.
        process.arguments = ["--empty", "--until-stdin-closes", "--slow-binder", "0.3"]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), byte != Data("\n".utf8) {
            if byte.isEmpty { break }
            line += byte
        }
        let words = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[0] == "ready" else {
            throw Surprise("the sandbox did not come up; it said: \(String(decoding: line, as: UTF8.self))")
        }
        kubeconfig = String(words[1])
        standardInput = input
        self.ended = ended
        self.process = process.processIdentifier
    }

    /// Lets the sandbox end; kills it where it does not in time, as it would hold the output of the tests open.
    ///
    /// - Returns: whether it ended in time.
    func end(within limit: Duration) async throws -> Bool {
        try standardInput.fileHandleForWriting.close()
        let hasEnded = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in self.ended {}
                return !Task.isCancelled
            }
            group.addTask {
                do { try await Task.sleep(for: limit) } catch { return true }
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
        if !hasEnded { kill(process, SIGKILL) }
        return hasEnded
    }

    /// The folder of everything: certificates, and the volumes of each node.
    var directory: URL { URL(filePath: kubeconfig).deletingLastPathComponent() }
}

/// Something that is not as a test needs it.
struct Surprise: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
