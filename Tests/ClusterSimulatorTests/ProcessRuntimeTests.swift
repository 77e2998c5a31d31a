import Foundation
import Glibc
import Testing

@testable import ClusterSimulator

/// The process runtime with a directory of its own, gone after the test.
private func withRuntime(bubblewrap: Bool = true, _ body: (ProcessRuntime, Watcher) async throws -> Void) async throws {
    let root = FileManager.default.temporaryDirectory.appending(path: "runtime-\(UUID().uuidString)")
    let program = bubblewrap ? ProcessSandbox.program("bwrap") : nil
    let runtime = try ProcessRuntime(root: root, bubblewrap: program)
    let watcher = Watcher(runtime.reports)
    do {
        try await body(runtime, watcher)
    } catch {
        await runtime.shutDown()
        try FileManager.default.removeItem(at: root)
        throw error
    }
    await runtime.shutDown()
    try FileManager.default.removeItem(at: root)
}

/// Collects what the runtime reports.
private actor Watcher {
    private var iterator: AsyncStream<RuntimeReport>.Iterator
    private(set) var log: [String] = []
    private(set) var probes: [Bool] = []

    init(_ reports: AsyncStream<RuntimeReport>) { iterator = reports.makeAsyncIterator() }

    /// Waits for a report that is looked for.
    func wait(_ wanted: (RuntimeReport) -> Bool) async -> RuntimeReport? {
        var iterator = iterator
        defer { self.iterator = iterator }
        while let report = await iterator.next(isolation: self) {
            if case .log(_, let text) = report { log.append(text) }
            if wanted(report) { return report }
        }
        return nil
    }

    func exitCode() async -> Int? {
        let report = await wait { if case .exited = $0 { true } else { false } }
        if case .exited(_, let code) = report { return code }
        return nil
    }
}

private func container(_ command: [String], _ mounts: [Mount] = [], pod: String = "p1", node: String = "node-1")
    -> ContainerRun
{
    ContainerRun(
        id: ContainerID(pod: pod, container: "main", restarts: 0),
        node: node,
        command: command,
        mounts: mounts
    )
}

private func shell(_ script: String, _ mounts: [Mount] = []) -> ContainerRun {
    container(["sh", "-c", script], mounts)
}

/// With bubblewrap, and without it, which only root can do.
private let views = geteuid() == 0 ? [true, false] : [true]

@Suite("ProcessRuntime", .timeLimit(.minutes(5)))
struct ProcessRuntimeTests {
    private let source = Storage.node(handle: "/tmp/hostpath_pv/a")
    private let destination = Storage.shared(handle: "b")

    @Test(
        "real rsync moves real files with hard links, symlinks, owners, sparse files and extended attributes",
        arguments: views
    )
    func rsync(bubblewrap: Bool) async throws {
        try await withRuntime(bubblewrap: bubblewrap) { runtime, watcher in
            await runtime.perform(
                .start(
                    shell(
                        """
                        cd /s && echo one > a && ln a b && ln -s a l && truncate -s 50M sparse && mkdir -p d/e && \
                        chown 1234:77 a && touch -d 2001-02-03 d/e/old && setfattr -n user.k -v v a && : > 'ä ü'
                        """,
                        [Mount(path: "/s", storage: source)]
                    )
                )
            )
            #expect(await watcher.exitCode() == 0)
            await runtime.perform(
                .start(
                    container(
                        ["rsync", "-aHAXS", "--numeric-ids", "--delete", "/s/", "/d/"],
                        [
                            Mount(path: "/s", storage: source, readOnly: true),
                            Mount(path: "/d", storage: destination),
                        ]
                    )
                )
            )
            #expect(await watcher.exitCode() == 0)
            let path = runtime.directory(of: destination, node: "node-1").path
            var a = stat()
            var b = stat()
            var sparse = stat()
            var old = stat()
            lstat(path + "/a", &a)
            lstat(path + "/b", &b)
            lstat(path + "/sparse", &sparse)
            lstat(path + "/d/e/old", &old)
            #expect(a.st_ino == b.st_ino && a.st_nlink == 2)
            if geteuid() == 0 { #expect(a.st_uid == 1234 && a.st_gid == 77) }
            #expect(sparse.st_size == 50 << 20 && sparse.st_blocks < 1000)
            #expect(old.st_mtim.tv_sec < 1_000_000_000)
            let target = try FileManager.default.destinationOfSymbolicLink(atPath: path + "/l")
            #expect(target == "a")
            let content = try String(contentsOfFile: path + "/a", encoding: .utf8)
            #expect(content == "one\n")
            #expect(FileManager.default.fileExists(atPath: path + "/ä ü"))
            await runtime.perform(
                .start(
                    container(
                        ["getfattr", "--only-values", "-n", "user.k", "--absolute-names", "/d/b"],
                        [Mount(path: "/d", storage: destination)]
                    )
                )
            )
            #expect(await watcher.exitCode() == 0)
            #expect(await watcher.log.last == "v")
        }
    }

    @Test("a volume of one node is empty on another one, one of the network is not")
    func locality() async throws {
        try await withRuntime { runtime, watcher in
            let mounts = [Mount(path: "/l", storage: source), Mount(path: "/n", storage: destination)]
            await runtime.perform(.start(shell("touch /l/x /n/x", mounts)))
            #expect(await watcher.exitCode() == 0)
            await runtime.perform(
                .start(container(["sh", "-c", "ls /l; echo --; ls /n"], mounts, pod: "p2", node: "node-2"))
            )
            #expect(await watcher.exitCode() == 0)
            #expect(await watcher.log.joined() == "--\nx\n")
        }
    }

    @Test("a read-only mount refuses writes, and the host's own directories are out of reach", arguments: views)
    func readOnly(bubblewrap: Bool) async throws {
        try await withRuntime(bubblewrap: bubblewrap) { runtime, watcher in
            await runtime.perform(
                .start(
                    shell(
                        "touch /v/x; echo $?; touch /etc/x; echo $?; ls /root /home /work",
                        [Mount(path: "/v", storage: source, readOnly: true)]
                    )
                )
            )
            #expect(await watcher.exitCode() != 0)
            let log = await watcher.log.joined()
            #expect(log.contains("/v/x': Read-only file system\n1\n"))
            #expect(log.contains("/etc/x': Read-only file system\n1\n"))
            #expect(log.contains("/work': No such file or directory"))
        }
    }

    @Test(
        "the first process ignores SIGTERM unless it handles it, and is killed when its grace is over",
        arguments: views
    )
    func termination(bubblewrap: Bool) async throws {
        try await withRuntime(bubblewrap: bubblewrap) { runtime, watcher in
            let stubborn = container(["sleep", "1000"])
            await runtime.perform(.start(stubborn))
            await runtime.perform(.stop(stubborn.id, grace: .milliseconds(300)))
            let code = await watcher.exitCode()
            let said = await watcher.log
            #expect(code == 137, "\(said)")
            let polite = container(
                ["sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done"],
                pod: "p2"
            )
            await runtime.perform(.start(polite))
            _ = await watcher.wait { if case .log = $0 { true } else { false } }
            await runtime.perform(.stop(polite.id, grace: .seconds(20)))
            #expect(await watcher.exitCode() == 3)
            #expect(await watcher.log == ["up\n", "bye\n"])
        }
    }

    @Test("a line reaches the log with its newline, and an unfinished one at the end")
    func lines() async throws {
        try await withRuntime { runtime, watcher in
            await runtime.perform(.start(shell("printf 'one\\r'; sleep 0.2; printf 'two\\n'; printf rest")))
            #expect(await watcher.exitCode() == 0)
            #expect(await watcher.log == ["one\rtwo\n", "rest"])
        }
    }

    @Test("a program that is not there fails to start with the runtime's own words")
    func missingProgram() async throws {
        try await withRuntime { runtime, watcher in
            await runtime.perform(.start(container(["rsync-not-there"])))
            let report = await watcher.wait { _ in true }
            guard case .failedToStart(_, let message) = report else {
                Issue.record("\(String(describing: report))")
                return
            }
            #expect(message.hasSuffix("exec: \"rsync-not-there\": executable file not found in $PATH: unknown"))
        }
    }

    @Test("a readiness probe runs in the container's own view", arguments: views)
    func probes(bubblewrap: Bool) async throws {
        try await withRuntime(bubblewrap: bubblewrap) { runtime, watcher in
            let run = shell("echo > /v/ready; echo up; sleep 1000", [Mount(path: "/v", storage: source)])
            await runtime.perform(.start(run))
            _ = await watcher.wait { if case .log = $0 { true } else { false } }
            await runtime.perform(.probe(run.id, command: ["test", "-e", "/v/ready"], timeout: .seconds(10)))
            #expect(
                await watcher.wait { if case .probed = $0 { true } else { false } } == .probed(run.id, succeeded: true)
            )
            await runtime.perform(.probe(run.id, command: ["test", "-e", "/v/nothing"], timeout: .seconds(10)))
            #expect(
                await watcher.wait { if case .probed = $0 { true } else { false } } == .probed(run.id, succeeded: false)
            )
        }
    }

    @Test("a reclaimed volume's directories go on every node")
    func reclaim() async throws {
        try await withRuntime { runtime, watcher in
            for node in ["node-1", "node-2"] {
                await runtime.perform(
                    .start(container(["touch", "/v/x"], [Mount(path: "/v", storage: source)], pod: node, node: node))
                )
                #expect(await watcher.exitCode() == 0)
            }
            await runtime.perform(.reclaim(source))
            for node in ["node-1", "node-2"] {
                #expect(!FileManager.default.fileExists(atPath: runtime.directory(of: source, node: node).path))
            }
        }
    }

    @Test("shutting down ends every process of every container", arguments: views)
    func shutDown(bubblewrap: Bool) async throws {
        let marker = "9\(Int.random(in: 100_000...999_999))"
        try await withRuntime(bubblewrap: bubblewrap) { runtime, watcher in
            await runtime.perform(.start(shell("sleep \(marker) & echo up; sleep \(marker)")))
            _ = await watcher.wait { if case .log = $0 { true } else { false } }
        }
        let processes = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }
        for process in processes {
            // Gone meanwhile.
            guard let line = try? String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8) else { continue }
            #expect(!line.contains(marker))
        }
    }
}
