import FoundationEssentials
import Kubernetes
import Migration
import Subprocess
import Synchronization
import SystemPackage

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// This computer with its directories and its rsync.
struct LocalComputer: LocalEnd {
    /// This program, which rsync is to call.
    var program = "/proc/self/exe"
    var environment: [String: String]
    var time: TimeSource
    /// The time that the other side may take to be gone once rsync has ended.
    private static let drain: Duration = .seconds(15)

    var isRoot: Bool { geteuid() == 0 }

    func isEmpty(_ directory: String) throws -> Bool { try Folder.isEmpty(directory) }
    func make(_ directory: String, below tree: String) throws { try Folder.make(directory, below: tree) }
    func remove(_ directory: String, below tree: String) throws { try Folder.remove(directory, below: tree) }
    func sockets(in directory: String) throws -> [Data] { try Folder.sockets(in: directory) }
    func freeBytes(at directory: String) -> Int64? { Folder.freeBytes(at: directory) }

    /// What two sides of a copy come to.
    private enum Part: Sendable {
        case here(code: Int, errors: String)
        case there(RemoteShellServer.Served)
        case late
    }

    func rsync(
        _ arguments: [String],
        excluding excluded: [Data],
        with remote: RemoteRsync,
        onLine: @escaping @Sendable (Substring) -> Void
    ) async throws -> RsyncEnd {
        let shell = try RemoteShellServer(below: environment["TMPDIR"] ?? "/tmp")
        defer { shell.remove() }
        let list = shell.folder + "/excluded"
        if !excluded.isEmpty { try Folder.write(excluded.map(Self.pattern), to: list) }
        // rsync takes a word in quotes as one, and two of them inside as one.
        let words = [try Folder.target(of: program), RemoteShell.hiddenCommand, shell.path]
        let command = words.map { "'\($0.replacing("'", with: "''"))'" }.joined(separator: " ")
        let all =
            ["--rsh=\(command)"] + (excluded.isEmpty ? [] : ["--from0", "--exclude-from=\(list)"]) + arguments
        return try await withThrowingTaskGroup(of: Part.self) { group in
            group.addTask { .there(await shell.serve(remote)) }
            group.addTask {
                defer { shell.stop() }
                return try await run(all, onLine)
            }
            var (end, served) = (RsyncEnd(code: -1, errors: "", remoteCode: nil, remoteFailure: nil), false)
            while let part = try await group.next() {
                switch part {
                case .here(let code, let errors):
                    (end.code, end.errors) = (code, errors)
                    if served { group.cancelAll() }
                    group.addTask {
                        try await time.sleep(time.now() + Self.drain)
                        return .late
                    }
                case .there(let there):
                    (end.remoteCode, end.remoteFailure) = (there.code, there.failure)
                    served = true
                    if end.code >= 0 { group.cancelAll() }
                case .late: group.cancelAll()
                }
                if served, end.code >= 0 { break }
            }
            return end
        }
    }

    /// Returns a pattern of rsync that fits one path only. A backslash is one only where there is something to escape.
    static func pattern(_ path: Data) -> Data {
        let special = Set("*?[".utf8)
        guard path.contains(where: special.contains) else { return path }
        return Data(
            path.flatMap { byte in
                special.contains(byte) || byte == UInt8(ascii: "\\") ? [UInt8(ascii: "\\"), byte] : [byte]
            }
        )
    }

    private func run(_ arguments: [String], _ onLine: @escaping @Sendable (Substring) -> Void) async throws -> Part {
        var variables: [Environment.Key: String] = ["LC_ALL": "C"]
        // What else there is may change what rsync does, or hold what it is not to know.
        for name in ["PATH", "HOME", "TMPDIR"] {
            if let key = Environment.Key(rawValue: name) { variables[key] = environment[name] }
        }
        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(5))]
        let configuration = Subprocess.Configuration(
            executable: .name("rsync"),
            arguments: Arguments(arguments),
            environment: .custom(variables),
            platformOptions: options
        )
        do {
            let errors = Tail()
            let result = try await Subprocess.run(configuration, input: .none, output: .sequence, error: .sequence) {
                execution in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        var lines = LineSplitter()
                        for try await buffer in execution.standardOutput {
                            lines.take(buffer.withUnsafeBytes { Array($0) }, onLine)
                        }
                        lines.end(onLine)
                    }
                    group.addTask {
                        for try await buffer in execution.standardError {
                            errors.add(buffer.withUnsafeBytes { Array($0) })
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try Task.checkCancellation()
            return .here(code: Int(result.terminationStatus.code), errors: errors.text)
        } catch let error as SubprocessError {
            if Task.isCancelled { throw CancellationError() }
            throw Refusal(
                error.code == .executableNotFound
                    ? "there is no rsync on this computer: install it"
                    : "rsync could not be run on this computer: \(error)"
            )
        }
    }
}

extension TerminationStatus {
    /// The exit code; that of a shell where a signal was the end.
    fileprivate var code: Int32 {
        switch self {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    }
}

/// The last of what a program writes to standard error.
private final class Tail: Sendable {
    private let bytes = Mutex<[UInt8]>([])

    func add(_ piece: [UInt8]) {
        bytes.withLock { bytes in
            bytes += piece
            if bytes.count > 64 << 10 { bytes.removeFirst(bytes.count - 32 << 10) }
        }
    }

    var text: String { bytes.withLock { String(decoding: $0, as: UTF8.self) } }
}

/// Makes lines of what comes in pieces. rsync ends those of its progress with a carriage return.
struct LineSplitter {
    private var rest: [UInt8] = []
    /// No line is longer: a path has at most 4096 bytes, and a byte takes at most five characters.
    private static let longest = 64 << 10

    mutating func take(_ piece: [UInt8], _ onLine: (Substring) -> Void) {
        rest += piece
        let ends = Set("\r\n".utf8)
        var lines = rest.split(omittingEmptySubsequences: false, whereSeparator: ends.contains)
        rest = Array((lines.popLast() ?? []).prefix(Self.longest))
        for line in lines where !line.isEmpty { onLine(Substring(decoding: line, as: UTF8.self)) }
    }

    func end(_ onLine: (Substring) -> Void) {
        if !rest.isEmpty { onLine(Substring(decoding: rest, as: UTF8.self)) }
    }
}
