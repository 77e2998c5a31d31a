import Foundation

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
        let folder = FileManager.default.temporaryDirectory.appending(path: "pvmigrate-e2e-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer {
            do { try FileManager.default.removeItem(at: folder) } catch { print("cannot remove \(folder): \(error)") }
        }
        // Files, not pipes: whatever it writes, it never waits for a reader.
        let (output, errors) = (folder.appending(path: "output"), folder.appending(path: "errors"))
        for file in [output, errors] { try Data().write(to: file) }
        let process = Process()
        process.executableURL = pvmigrate
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        let (ends, end) = AsyncStream<Int32>.makeStream()
        process.terminationHandler = {
            end.yield($0.terminationReason == .exit ? $0.terminationStatus : 128 + $0.terminationStatus)
            end.finish()
        }
        try process.run()
        let identifier = process.processIdentifier
        let deadline = Task {
            try await Task.sleep(for: .seconds(limit))
            kill(identifier, SIGTERM)
            try await Task.sleep(for: .seconds(60))
            kill(identifier, SIGKILL)
        }
        defer { deadline.cancel() }
        var exitCode: Int32 = -1
        for await code in ends { exitCode = code }
        return Program(
            exitCode: exitCode,
            output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self)
        )
    }
}

/// A sandbox cluster that lives as long as these tests.
final class Sandbox: Sendable {
    /// The administrator's kubeconfig, with a client certificate.
    let kubeconfig: String
    /// The sandbox ends with its standard input, and that with this process, whatever it dies of.
    private let standardInput: Pipe

    init() throws {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
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
    }

    /// The folder of everything: certificates, and the volumes of each node.
    var directory: URL { URL(filePath: kubeconfig).deletingLastPathComponent() }
}

/// Something that is not as a test needs it.
struct Surprise: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
