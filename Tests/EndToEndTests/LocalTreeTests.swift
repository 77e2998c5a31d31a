import Foundation
import Kubernetes
import Testing

/// Copies between claims and directories on this computer, with real rsyncs at both ends.
struct LocalTreeTests {
    /// The script of a pod that says whose data it has, and writes nothing.
    private static let reader = #"""
        trap 'exit 0' TERM
        echo "$HOSTNAME has $(cat /data/index 2>/dev/null || echo nothing)"
        touch /tmp/ready
        sleep 1000000 & wait
        """#

    /// Makes a folder for a test, and removes it afterwards.
    private func withFolder(_ work: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tree-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { do { try FileManager.default.removeItem(at: folder) } catch { Issue.record(error) } }
        try await work(folder)
    }

    /// Runs a script on this computer.
    private static func shell(_ script: String, in folder: URL) throws -> String {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-euc", script]
        process.currentDirectoryURL = folder
        process.standardOutput = output
        try process.run()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Surprise("the script failed: \(script)") }
        return String(decoding: said, as: UTF8.self)
    }

    private static func expectOwnData(_ set: TestWorkload, _ scene: Scene) async throws {
        for pod in try await scene.pods(of: set) {
            let ordinal = pod.metadata.name.split(separator: "-").last ?? ""
            let log = try await scene.client.log(of: pod.name, container: "main", tail: 10)
            #expect(log.contains("\(pod.metadata.name) has \(ordinal)\n"), "\(log)")
        }
    }

    /// How many files each claim's rsync has transferred, by the messages.
    private static func transferred(_ run: Program) -> [Int] {
        run.errors.split(separator: "\n").compactMap { line in
            guard line.contains(": copied: "), let end = line.range(of: " of them transferred") else { return nil }
            return line[..<end.lowerBound].split(separator: " ").last.flatMap { Int($0) }
        }.sorted()
    }

    @Test(
        "the state of eleven instances is uploaded, each to its own; a rerun copies nothing, and then what has changed"
    )
    func elevenInstances() async throws {
        try await Scene.with { scene in
            let set = try await scene.deploySet("postgres", replicas: 11, template: "data", script: Self.reader)
            try await withFolder { folder in
                // As the origin's Makefile left it: target/download/{idx}/{mount_name}.
                _ = try Self.shell(
                    #"""
                    for i in 0 1 2 3 4 5 6 7 8 9 10; do
                      mkdir -p target/download/$i/data/base
                      echo $i > target/download/$i/data/index
                      head -c 100000 /dev/urandom > target/download/$i/data/base/random
                      echo x > "target/download/$i/data/-odd: na[me]*"
                      printf y > "target/download/$i/data/$(printf 'caf\351')"
                    done
                    """#,
                    in: folder
                )
                let tree = folder.appending(path: "target/download").path
                let flags = ["--statefulset", "\(scene.namespace)/postgres"]
                let plan = try await scene.run(["upload", tree, "--dry-run"] + flags)
                scene.expect(plan, exit: 0)
                #expect(plan.output.contains("local directory"), "\(plan.output)")

                let first = try await scene.run(["upload", tree] + flags)
                scene.expect(first, exit: 0)
                #expect(Self.transferred(first) == Array(repeating: 4, count: 11), "\(first.errors)")
                try await scene.waitUntilReady(set)
                try await Self.expectOwnData(set, scene)

                let second = try await scene.run(["upload", tree] + flags)
                scene.expect(second, exit: 0)
                #expect(Self.transferred(second) == Array(repeating: 0, count: 11), "\(second.errors)")

                _ = try Self.shell("echo changed > target/download/7/data/base/random", in: folder)
                let refused = try await scene.run(["upload", tree] + flags)
                scene.expect(refused, exit: 2)
                #expect(refused.output.contains("data-postgres-7") && refused.output.contains("base/random"))
                let third = try await scene.run(["upload", tree, "--merge"] + flags)
                scene.expect(third, exit: 0)
                #expect(Self.transferred(third) == Array(repeating: 0, count: 10) + [1], "\(third.errors)")
                try await scene.waitUntilReady(set)
                try await Self.expectOwnData(set, scene)
                #expect(
                    try await scene.claim("data-postgres-7").metadata.annotations?.keys.contains {
                        $0.hasPrefix("kurl.sh")
                    } != true
                )
            }
        }
    }

    @Test("what is downloaded and uploaded elsewhere is the same, in every property of every file")
    func roundTrip() async throws {
        try await Scene.with(namespaces: 2) { scene in
            let set = try await scene.deploySet("database", replicas: 2, template: "data")
            let before = try await scene.contents(of: set)
            try await withFolder { folder in
                let tree = folder.appending(path: "backup").path
                scene.expect(
                    try await scene.run(["download", tree, "--statefulset", "\(scene.namespace)/database"]),
                    exit: 0
                )
                #expect(try Self.shell("ls backup", in: folder) == "0\n1\n")
                let again = try await scene.run(["download", tree, "--statefulset", "\(scene.namespace)/database"])
                // Its pods have written since: that is not overwritten unasked.
                scene.expect(again, exit: 2)
                let there = try await scene.deploySet(
                    "database",
                    in: scene.otherNamespace,
                    replicas: 2,
                    template: "data"
                )
                let flags = ["--statefulset", "\(scene.otherNamespace)/database"]
                scene.expect(try await scene.run(["upload", tree] + flags), exit: 2)
                scene.expect(
                    try await scene.run(["upload", tree, "--replace", "--verify", "checksum"] + flags),
                    exit: 0
                )
                try await scene.waitUntilReady(there)
                let after = try await scene.contents(of: there)
                for (claim, contents) in before { #expect(after[claim]?.lines == contents.lines, "\(claim)") }
            }
        }
    }

    @Test("an upload that is killed leaves the workload stopped; status says why, and a rerun finishes it")
    func killed() async throws {
        try await Scene.with { scene in
            let set = try await scene.deploySet("app", replicas: 1, template: "data", script: Self.reader)
            try await withFolder { folder in
                _ = try Self.shell(
                    "mkdir -p tree/0/data; echo 0 > tree/0/data/index; head -c 3000000 /dev/urandom > tree/0/data/large",
                    in: folder
                )
                let arguments = ["upload", folder.path + "/tree", "--statefulset", "\(scene.namespace)/app"]
                let run = try scene.start(arguments + ["--bandwidth-limit", "100K", "--skip-preflight-validation"])
                let mark = "kurl.sh/pvcmigrate-filling"
                _ = try await scene.client.wait(
                    for: PersistentVolumeClaim.self,
                    in: scene.namespace,
                    limit: Scene.limit,
                    what: "the claim to be marked"
                ) { claims in claims.objects.values.contains { $0.metadata.annotation(mark) != nil } ? () : nil }
                let second = try await scene.run(arguments + ["--skip-preflight-validation"])
                scene.expect(second, exit: 1)
                #expect(second.errors.contains("another pvmigrate is at work"), "\(second.errors)")
                run.send(SIGKILL)
                _ = try await run.end()
                #expect(try await scene.pods(of: set).isEmpty)
                let status = try await scene.status()
                #expect(status.output.contains("only half filled"), "\(status.output)")
                try await scene.removeLocks()
                let again = try await scene.run(arguments)
                scene.expect(again, exit: 0)
                try await scene.waitUntilReady(set)
                try await Self.expectOwnData(set, scene)
                #expect(try await scene.claim("data-app-0").metadata.annotation(mark) == nil)
            }
        }
    }

    @Test("an rsync that dies at the other end is started again, and goes on where it stopped")
    func cut() async throws {
        try await Scene.with { scene in
            let set = try await scene.deploySet("app", replicas: 1, template: "data", script: Self.reader)
            try await withFolder { folder in
                _ = try Self.shell(
                    "mkdir -p tree/0/data; echo 0 > tree/0/data/index; head -c 2000000 /dev/urandom > tree/0/data/large",
                    in: folder
                )
                let run = try scene.start(
                    ["upload", folder.path + "/tree", "--statefulset", "\(scene.namespace)/app"]
                        + ["--bandwidth-limit", "300K", "--skip-preflight-validation"]
                )
                let mark = "kurl.sh/pvcmigrate-filling"
                _ = try await scene.client.wait(
                    for: PersistentVolumeClaim.self,
                    in: scene.namespace,
                    limit: Scene.limit,
                    what: "the claim to be marked"
                ) { claims in claims.objects.values.contains { $0.metadata.annotation(mark) != nil } ? () : nil }
                let pods = try await scene.client.list(Pod.self, in: scene.namespace)
                let mover = try #require(pods.first { $0.metadata.annotation("kurl.sh/pvcmigrate-kind") == "migrate" })
                for _ in 1...2 {
                    let kill = try await scene.client.exec(
                        in: mover.name,
                        container: "copy",
                        command: ["sh", "-c", "until p=$(pidof rsync); do sleep 0.1; done; sleep 1; kill -9 $p"]
                    )
                    #expect(try await kill.exitCode() == 0)
                }
                let program = try await run.end()
                scene.expect(program, exit: 0)
                #expect(program.errors.contains("the copy is repeated from where it stopped"), "\(program.errors)")
                try await scene.waitUntilReady(set)
                try await Self.expectOwnData(set, scene)
            }
        }
    }
}
