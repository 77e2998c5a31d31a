import Foundation
import Glibc
import Testing

@Suite("The program")
struct ProgramTests {
    /// A server that takes connections and never says anything.
    private struct SilentServer {
        let socket: Int32
        let port: UInt16

        init() throws {
            socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let socket = socket
            let isBound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    bind(socket, address, size) == 0 && listen(socket, 16) == 0
                        && getsockname(socket, address, &size) == 0
                }
            }
            try #require(isBound)
            port = UInt16(bigEndian: address.sin_port)
        }

        /// Waits until somebody connects.
        func accept() { _ = Glibc.accept(socket, nil, nil) }
    }

    @Test("gives up on a signal, says so, and ends with 1", arguments: [SIGINT, SIGTERM, SIGHUP])
    func signals(signal: Int32) async throws {
        let folder = try TemporaryFolder()
        let server = try SilentServer()
        defer { close(server.socket) }
        let file = try folder.write("config", kubeconfig(cluster: "{server: 'http://127.0.0.1:\(server.port)'}"))
        // Ignored signals are inherited, and stay ignored: the tests may have been started by nohup.
        _ = Glibc.signal(signal, SIG_DFL)
        let process = Process()
        let (output, errors) = (Pipe(), Pipe())
        process.executableURL = Self.directory.appending(path: "pvmigrate")
        process.arguments = ["--source-sc", "a", "--dest-sc", "b", "--output", "json", "--kubeconfig", file]
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        server.accept()
        kill(process.processIdentifier, signal)
        let said = try errors.fileHandleForReading.readToEnd() ?? Data()
        let result = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 1)
        #expect(
            String(decoding: said, as: UTF8.self) == """
                interrupted: bringing everything to a safe state; press again to exit at once
                error: interrupted; nothing was changed

                """
        )
        #expect(String(decoding: result, as: UTF8.self).contains(#""outcome":"interrupted""#))
    }

    /// Looks at a program as it waits for its first answer: `status`, started by a shell script, to which the program and the
    /// kubeconfig are given.
    private func connecting(by script: String, _ look: (Process) throws -> Void) throws {
        let folder = try TemporaryFolder()
        let server = try SilentServer()
        defer { close(server.socket) }
        let file = try folder.write("config", kubeconfig(cluster: "{server: 'http://127.0.0.1:\(server.port)'}"))
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", script, Self.directory.appending(path: "pvmigrate").path, file]
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        server.accept()
        try look(process)
    }

    @Test("writes into no file or connection of its own where its standard streams are closed")
    func closed() throws {
        try connecting(by: #"exec "$0" status --kubeconfig "$1" <&- >&- 2>&-"#) { process in
            for descriptor in 0...2 {
                let path = "/proc/\(process.processIdentifier)/fd/\(descriptor)"
                let target = try FileManager.default.destinationOfSymbolicLink(atPath: path)
                #expect(target == "/dev/null")
            }
        }
    }

    @Test("leaves nothing of its memory on a disk when it crashes: there may be tokens and keys in it")
    func coreDumps() throws {
        // With a limit that would let it, and the kernel's own filter.
        let script =
            #"ulimit -S -c unlimited; echo 0x33 >/proc/self/coredump_filter; exec "$0" status --kubeconfig "$1""#
        try connecting(by: script) { process in
            func read(_ name: String) throws -> String {
                try String(contentsOfFile: "/proc/\(process.processIdentifier)/\(name)", encoding: .utf8)
            }
            let limit = try read("limits").split(separator: "\n").first { $0.hasPrefix("Max core file size") }
            #expect(limit?.split(separator: " ").dropFirst(4).first == "0", "\(limit ?? "")")
            let filter = try read("coredump_filter")
            #expect(filter.allSatisfy { $0 == "0" || $0.isNewline })
        }
    }

    @Test("fails where its results find no room, and does not where nobody reads them any more")
    func results() throws {
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        let full = try #require(FileHandle(forWritingAtPath: "/dev/full"))
        let refusal = "error: the results could not be written to stdout: no space left on device\n"
        for (place, code, message) in [(full, 1, refusal), (pipe.fileHandleForWriting, 0, "")] {
            let process = Process()
            let errors = Pipe()
            process.executableURL = Self.directory.appending(path: "pvmigrate")
            process.arguments = ["rbac"]
            process.standardOutput = place
            process.standardError = errors
            try process.run()
            let said = try errors.fileHandleForReading.readToEnd() ?? Data()
            process.waitUntilExit()
            #expect(process.terminationStatus == Int32(code))
            #expect(String(decoding: said, as: UTF8.self) == message)
        }
    }

    /// Where the package's products are: beside the tests.
    static let directory = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
}
