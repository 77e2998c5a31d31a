import ClusterSimulator
import Foundation
import Kubernetes
import Synchronization
import Testing

@testable import Migration

extension RealScene {
    fileprivate static let size = 40 << 20

    /// Writes random data into the claim's device, with zeros before, between and after.
    func fill() async throws -> Data {
        let file = try FileHandle(forUpdating: URL(filePath: try #require(try await path())))
        for offset in [4 << 20, (13 << 20) + 77, (35 << 20) - 1] {
            try file.seek(toOffset: UInt64(offset))
            try file.write(contentsOf: Data((0..<(1 << 20)).map { _ in UInt8.random(in: 0...255) }))
        }
        try file.close()
        return try await content()
    }

    func content() async throws -> Data {
        try Data(contentsOf: URL(filePath: try #require(try await path())))
    }

    /// Changes one byte of the claim's device.
    func damage() async throws {
        let file = try FileHandle(forUpdating: URL(filePath: try #require(try await path())))
        try file.seek(toOffset: 20_000_000)
        try file.write(contentsOf: Data([1]))
        try file.close()
    }
}

/// The bytes that a file really takes.
private func taken(by path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_blocks) * 512 : 0
}

@Suite("Block volumes", .timeLimit(.minutes(5)))
struct BlockVolumeTests {
    @Test("a block volume is copied byte for byte, and its zeros take no room")
    func migration() async throws {
        try await RealScene.with(.init(volumeMode: "Block")) { scene in
            let before = try await scene.fill()
            #expect(try await scene.preflight() == [])
            let report = try await scene.migrate(scene.options())
            #expect(report.succeeded, "\(report.claims)")
            try await scene.awaitPod()
            #expect(try await scene.content() == before)
            #expect(taken(by: try #require(try await scene.path())) <= 24 << 20)
            #expect(scene.messages.contains { $0.hasPrefix("copied: a device of 40.0 MiB, of which ") })
            #expect(report.claims.first?.bytes == Int64(RealScene.size))
        }
    }

    @Test("a block volume is copied from a clone while its pod runs, and after that only what has changed")
    func live() async throws {
        try await RealScene.with(.init(volumeMode: "Block")) { scene in
            _ = try await scene.fill()
            var options = scene.options()
            (options.isLive, options.copyFrom, options.goal) = (true, .clone, .stage)
            let staged = try await scene.migrate(options)
            #expect(staged.claims.map(\.result) == [.staged], "\(staged.claims)")
            #expect(scene.messages.contains { $0.hasPrefix("pass 1 took ") })
            try await scene.damage()
            let before = try await scene.content()
            options.goal = .migrate
            let report = try await scene.migrate(options)
            #expect(report.succeeded, "\(report.claims)")
            try await scene.awaitPod()
            #expect(try await scene.content() == before)
        }
    }

    @Test("a run that dies in the middle of the copy is finished by the next one")
    func crash() async throws {
        try await RealScene.with(.init(volumeMode: "Block")) { scene in
            let before = try await scene.fill()
            async let first = scene.migrate(scene.options())
            let staging = ObjectName("data-pvcmigrate", in: "shop")
            // The test's time limit bounds it.
            while true {
                if let device = try await scene.path(staging), taken(by: device) > 0 { break }
                try await Task.sleep(for: .milliseconds(5))
            }
            scene.state.isDead.withLock { $0 = true }
            let dead = try await first
            #expect(!dead.succeeded && !dead.stopped.isEmpty)
            scene.state.isDead.withLock { $0 = false }
            let report = try await scene.migrate(scene.options())
            #expect(report.succeeded, "\(report.claims)")
            try await scene.awaitPod()
            #expect(try await scene.content() == before)
        }
    }

    @Test("a rollback sees one byte that was written since, and gives it up only when told to")
    func rollback() async throws {
        try await RealScene.with(.init(volumeMode: "Block")) { scene in
            let before = try await scene.fill()
            var options = scene.options()
            options.keepSource = true
            #expect(try await scene.migrate(options).succeeded)
            try await scene.damage()
            let refused = try await scene.migrate(options.back(discardingChanges: false))
            #expect(refused.claims.first?.reason?.contains("has newer data") == true, "\(refused.claims)")
            #expect(refused.claims.first?.reason?.contains("the SHA-256 is") == true)
            #expect(refused.stopped.isEmpty)
            #expect(try await scene.content() != before)
            let back = try await scene.migrate(options.back(discardingChanges: true))
            #expect(back.succeeded, "\(back.claims)")
            #expect(try await scene.content() == before)
        }
    }

    @Test("a class that makes no block volumes is named by preflight, and so is an image that lacks a program")
    func preflight() throws {
        var scene = try PreflightScene()
        try scene.cluster.create(
            .persistentVolumeClaims,
            namespace: "shop",
            [
                "metadata": ["name": "data"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "slow", "volumeMode": "Block",
                    "resources": ["requests": ["storage": "1Gi"]],
                ],
            ]
        )
        scene.pass(.seconds(10))
        scene.cluster.behaviour.provisioners["network.csi.example.com"]?.volumeModes = ["Filesystem"]
        let result = try scene.preflight()
        #expect(
            result.table.count == 1
                && result.table[0].contains("a trial of Block, ReadWriteOnce, for data, failed: its pod did not run")
                && result.table[0].contains("does not support block volume provisioning"),
            "\(result.table)"
        )
        result.expectNoTrace()
        #expect(DeviceScript().exit(127).meaning.contains("sha256sum"))
    }
}

@Suite("The script that copies devices", .timeLimit(.minutes(5)))
struct DeviceScriptTests {
    /// Two files in a directory of their own, and the exit code and the output of the script on them.
    private struct Bench {
        let root = FileManager.default.temporaryDirectory.appending(path: "device-\(UUID())").path

        init(source: Data, dest: Data) throws {
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            try source.write(to: URL(filePath: root + "/source"))
            try dest.write(to: URL(filePath: root + "/dest"))
        }

        func run(_ command: [String], path: String? = nil) throws -> (code: Int, output: String) {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            let words = command.map { $0.replacing(#/([ =<>])(/source|/dest)\b/#) { "\($0.1)\(root)\($0.2)" } }
            process.arguments = (path.map { ["-i", "PATH=\($0)"] } ?? []) + words
            let pipe = Pipe()
            process.standardOutput = pipe
            process.standardError = pipe
            try process.run()
            let output = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
            process.waitUntilExit()
            return (Int(process.terminationStatus), output)
        }

        func remove() throws { try FileManager.default.removeItem(atPath: root) }
    }

    private static let content =
        Data(count: 5 << 20) + Data((0..<(2 << 20)).map { _ in UInt8.random(in: 1...255) }) + Data(count: 6_000_001)
    private let script = DeviceScript()

    @Test("a copy is equal whatever its size, repeated it writes nothing, and after one byte it writes one piece")
    func copy() throws {
        let bench = try Bench(source: Self.content, dest: Data(repeating: 7, count: 15 << 20))
        var (code, output) = try bench.run(script.copyingCommand)
        #expect(code == 0, "\(output)")
        #expect(script.statistics(in: output)?.totalBytes == Int64(Self.content.count))
        #expect(script.statistics(in: output)?.transferredBytes == Int64(Self.content.count))
        (code, output) = try bench.run(script.checkingCommand)
        #expect(code == 0 && script.differences(in: output) == [], "\(output)")
        (code, output) = try bench.run(script.copyingCommand)
        #expect(code == 0 && script.statistics(in: output)?.transferredBytes == 0, "\(output)")

        let file = try FileHandle(forUpdating: URL(filePath: bench.root + "/dest"))
        try file.seek(toOffset: UInt64(Self.content.count - 1))
        try file.write(contentsOf: Data([1]))
        try file.close()
        (code, output) = try bench.run(script.checkingCommand)
        #expect(code == 0 && script.differences(in: output)?.count == 1, "\(output)")
        (code, output) = try bench.run(script.copyingCommand)
        #expect(code == 0 && script.statistics(in: output)?.transferredBytes ?? 0 > 0, "\(output)")
        #expect(script.statistics(in: output)?.transferredBytes ?? .max <= 4 << 20)
        (code, output) = try bench.run(script.checkingCommand)
        #expect(code == 0 && script.differences(in: output) == [], "\(output)")
        try bench.remove()
    }

    @Test("a destination that is smaller is refused; a comparison takes what it lacks for zeros")
    func smaller() throws {
        let bench = try Bench(source: Self.content, dest: Data(Self.content.prefix(8 << 20)))
        var (code, output) = try bench.run(script.copyingCommand)
        #expect(script.exit(code).meaning == "the destination is smaller than the source", "\(output)")
        #expect(output.contains("the destination has 8388608 bytes, the source \(Self.content.count)"))
        (code, output) = try bench.run(script.checkingCommand)
        #expect(code == 0 && script.differences(in: output) == [], "\(output)")
        try Data(Self.content.prefix(6 << 20)).write(to: URL(filePath: bench.root + "/dest"))
        (code, output) = try bench.run(script.checkingCommand)
        #expect(code == 0 && script.differences(in: output)?.count == 1, "\(output)")
        try bench.remove()
    }

    @Test("an empty source, and an image without a program, are told apart")
    func failures() throws {
        let bench = try Bench(source: Data(), dest: Data(count: 10))
        var (code, output) = try bench.run(script.copyingCommand)
        #expect(code == 65 && output.contains("/source holds nothing"), "\(output)")
        (code, output) = try bench.run(script.tryingCommand)
        #expect(code == 0, "\(output)")
        let programs = bench.root + "/bin"
        try FileManager.default.createDirectory(atPath: programs, withIntermediateDirectories: true)
        for program in ["sh", "dd", "head", "wc"] {
            try FileManager.default.createSymbolicLink(
                atPath: "\(programs)/\(program)",
                withDestinationPath: "/usr/bin/\(program)"
            )
        }
        (code, output) = try bench.run(script.tryingCommand, path: programs)
        #expect(code == 127 && output.contains("device: cmp is not in the image"), "\(output)")
        try bench.remove()
    }

    @Test("a check that does not say both sums and the size has not looked")
    func sums() {
        let (a, b) = (String(repeating: "a", count: 64), String(repeating: "b", count: 64))
        #expect(script.differences(in: "size 5\nsource \(a)\ndest \(a)\n") == [])
        #expect(script.differences(in: "size 5\nsource \(a)\ndest \(b)\n")?.count == 1)
        #expect(script.differences(in: "size 5\nsource \(a)\n") == nil)
        #expect(script.differences(in: "source \(a)\ndest \(a)\n") == nil)
        #expect(script.differences(in: "size 5\nsource \ndest \n") == nil)
        #expect(script.differences(in: "") == nil)
    }
}
