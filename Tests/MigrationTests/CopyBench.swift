import Foundation
import Testing

@testable import Migration

/// Two directories in place of the volumes, and the commands of a mover's containers as processes of this machine.
struct CopyBench {
    /// Whose programs the image has.
    enum Image: String, CaseIterable, Sendable {
        case gnu, busybox

        static let busyboxPath = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":")
            .map { "\($0)/busybox" }.first { FileManager.default.isExecutableFile(atPath: $0) }
        /// Those that this machine can stand in for.
        static let here: [Image] = busyboxPath == nil ? [.gnu] : [.gnu, .busybox]
    }

    let root = FileManager.default.temporaryDirectory.appending(path: "copy-\(UUID())").path
    var source: String { root + "/source" }
    var dest: String { root + "/dest" }
    private var programs: String { root + "/bin" }
    private let image: Image

    /// Makes it for a test, and removes it afterwards.
    static func with(_ image: Image = .gnu, _ body: (CopyBench) async throws -> Void) async throws {
        let bench = CopyBench(image: image)
        for folder in [bench.source, bench.dest, bench.programs, bench.root + "/tmp", bench.root + "/work"] {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        if image == .busybox, let busybox = Image.busyboxPath {
            let (code, output) = try bench.run([busybox, "--install", "-s", bench.programs])
            #expect(code == 0, "\(output)")
        }
        do { try await body(bench) } catch {
            try bench.remove()
            throw error
        }
        try bench.remove()
    }

    private init(image: Image) { self.image = image }

    private func remove() throws {
        // What a test has made unreadable.
        try shell("chmod -R u+rwx \(root) && rm -rf \(root)", of: "/bin/sh")
    }

    /// Puts a program of the test's own into the image: a script.
    func install(_ name: String, _ script: String) throws {
        // A link is not to be followed.
        if (try? FileManager.default.attributesOfItem(atPath: "\(programs)/\(name)")) != nil {
            try FileManager.default.removeItem(atPath: "\(programs)/\(name)")
        }
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(filePath: "\(programs)/\(name)"))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(programs)/\(name)")
    }

    /// Begins a container's command, its output and errors in one pipe.
    func start(_ command: [String]) throws -> (process: Process, output: FileHandle) {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        let words = command.map { word in
            word.replacing(#/(^|[ "'=<>(:])(/source|/dest|/work)\b/#) { "\($0.1)\(root)\($0.2)" }
        }
        let path = image == .busybox ? [programs, "/usr/bin"] : [programs, "/usr/bin", "/bin"]
        process.arguments = ["-i", "PATH=\(path.joined(separator: ":"))", "TMPDIR=\(root)/tmp", "LC_ALL=C"] + words
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return (process, pipe.fileHandleForReading)
    }

    func run(_ command: [String]) throws -> (code: Int, output: String) {
        let (process, handle) = try start(command)
        let output = String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return (Int(process.terminationStatus), output)
    }

    /// Runs a script of the test's own, in the bench's directory.
    @discardableResult
    func shell(_ script: String, of shell: String = "bash") throws -> String {
        let (code, output) = try run([shell, "-c", "cd \(root) && \(script)"])
        #expect(code == 0, "\(output)")
        return output
    }

    /// Records an issue where a check finds a difference.
    func expectEqual(_ flags: RsyncFlags, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let (code, output) = try run(flags.checkingCommand)
        #expect(code == 0 && flags.differences(in: output) == [], "\(output)", sourceLocation: sourceLocation)
    }
}
