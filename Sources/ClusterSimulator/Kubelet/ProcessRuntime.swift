public import Foundation
import Glibc

/// Runs containers as real processes, each in its own view of the machine, over real directories.
///
/// Volumes are below the root directory: `nodes/NODE/volumes/HANDLE` where a volume is of one node, `shared/HANDLE`
/// where it comes over a network. The images' programs are the host's, whatever the image is called. Without root, files
/// of other owners cannot be kept, as the host lets an ordinary user have only one.
public actor ProcessRuntime: ContainerRuntime {
    public nonisolated let reports: AsyncStream<RuntimeReport>
    private let report: AsyncStream<RuntimeReport>.Continuation
    private let sandbox: ProcessSandbox
    private var processes: [ContainerID: ContainerProcess] = [:]
    /// What the running containers were started with.
    private var runs: [ContainerID: ContainerRun] = [:]
    /// Waiting for the last process to end.
    private var idle: [CheckedContinuation<Void, Never>] = []

    /// - Parameter root: the directory that holds the volumes; it is made when it is not there.
    public init(root: URL) throws { try self.init(root: root, bubblewrap: ProcessSandbox.program("bwrap")) }

    init(root: URL, bubblewrap: String?) throws {
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        sandbox = ProcessSandbox(root: root.path, bubblewrap: bubblewrap)
        (reports, report) = AsyncStream.makeStream()
    }

    /// The directory with a volume's content, to look at or to fill; it need not exist.
    public nonisolated func directory(of storage: Storage, node: String) -> URL {
        URL(filePath: sandbox.directory(of: storage, node: node, pod: ""))
    }

    public func perform(_ command: RuntimeCommand) async {
        switch command {
        case .start(let run): start(run)
        case .stop(let id, let grace): stop(id, grace: grace)
        case .probe(let id, let command, let timeout): probe(id, command, timeout)
        case .connect(let id, let address, let port):
            report.yield(.probed(id, succeeded: Self.isListening(address, port)))
        case .remove(let pod):
            remove(sandbox.podDirectory(pod))
        case .reclaim(let storage):
            guard case .node = storage else { return remove(sandbox.directory(of: storage, node: "", pod: "")) }
            for node in listing(sandbox.root + "/nodes") {
                remove(sandbox.directory(of: storage, node: node, pod: ""))
            }
        case .copy(let source, let destination):
            let isOfNodes = if case .node = source { true } else { false }
            for node in isOfNodes ? listing(sandbox.root + "/nodes") : [""] {
                await copy(
                    sandbox.directory(of: source, node: node, pod: ""),
                    to: sandbox.directory(of: destination, node: node, pod: "")
                )
            }
        }
    }

    public func shutDown() async {
        for process in processes.values { process.signal(SIGKILL) }
        if !processes.isEmpty { await withCheckedContinuation { idle.append($0) } }
        report.finish()
    }

    public func exec(
        _ id: ContainerID,
        _ command: [String],
        hasInput: Bool,
        hears: @escaping @Sendable (ExecEvent) -> Void
    ) async -> (any ExecInput)? {
        let program = command.first ?? ""
        guard let run = runs[id], let container = processes[id]?.containerProcess else {
            hears(.failed(message: "failed to exec in container: container is in CONTAINER_EXITED state"))
            return nil
        }
        guard Self.canFind(program, in: run) else {
            hears(.failed(message: ExecStatus.missingProgram(program, in: id)))
            return nil
        }
        do {
            let arguments = sandbox.arguments(for: command, beside: container, of: run)
            let process = try ContainerProcess(arguments, .apart(hasInput: hasInput))
            process.follow(hears)
            return process.input
        } catch {
            hears(.failed(message: "failed to exec in container: \(error)"))
            return nil
        }
    }

    /// Whether a program is there. One of a mounted volume can't be looked up from here; anything else must be one of the
    /// host's.
    private static func canFind(_ program: String, in run: ContainerRun) -> Bool {
        run.mounts.contains { program.hasPrefix($0.path) } || ProcessSandbox.program(program) != nil
    }

    private func start(_ run: ContainerRun) {
        let program = run.command.first ?? ""
        if !Self.canFind(program, in: run) {
            report.yield(.failedToStart(run.id, message: missingProgramMessage(program)))
            return
        }
        do {
            let directories = try run.mounts.map { try sandbox.prepare($0, node: run.node, pod: run.id.pod) }
            let process = try ContainerProcess(sandbox.arguments(for: run, directories: directories))
            (processes[run.id], runs[run.id]) = (process, run)
            report.yield(.started(run.id))
            let report = report
            process.follow {
                report.yield(.log(run.id, $0))
            } ended: { code in
                Task { await self.ended(run.id, code) }
            }
        } catch {
            report.yield(.failedToStart(run.id, message: "failed to create containerd task: \(error)"))
        }
    }

    private func ended(_ id: ContainerID, _ code: Int) {
        (processes[id], runs[id]) = (nil, nil)
        report.yield(.exited(id, code: code))
        guard processes.isEmpty else { return }
        for continuation in idle { continuation.resume() }
        idle = []
    }

    private func stop(_ id: ContainerID, grace: Duration) {
        guard let process = processes[id] else { return }
        process.signal(grace > .zero ? SIGTERM : SIGKILL)
        guard grace > .zero else { return }
        Task {
            // Nothing is waited for: that is the time which the container has.
            try await Task.sleep(for: grace)
            process.signal(SIGKILL)
        }
    }

    private func probe(_ id: ContainerID, _ command: [String], _ timeout: Duration) {
        guard let container = processes[id]?.containerProcess else {
            report.yield(.probed(id, succeeded: false))
            return
        }
        do {
            let user = geteuid() == 0 ? [] : ["--user", "--preserve-credentials"]
            let process = try ContainerProcess(
                ["nsenter", "--target", "\(container)", "--mount", "--pid", "--root", "--wd"] + user + ["--"] + command
            )
            let report = report
            process.follow { _ in
            } ended: {
                report.yield(.probed(id, succeeded: $0 == 0))
            }
            Task {
                // Nothing is waited for: that is the time which the probe has.
                try await Task.sleep(for: timeout)
                process.signal(SIGKILL)
            }
        } catch {
            report.yield(.probed(id, succeeded: false))
        }
    }

    /// Whether somebody takes connections; on a loopback address that is known at once.
    private static func isListening(_ address: String, _ port: Int) -> Bool {
        let end = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard end >= 0 else { return false }
        defer { close(end) }
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        place.sin_addr.s_addr = inet_addr(address)
        return withUnsafePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(end, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private func copy(_ path: String, to copy: String) async {
        // Missing until it is first mounted.
        guard FileManager.default.fileExists(atPath: path) else { return }
        do {
            let process = try ContainerProcess(["cp", "-a", path, copy])
            await withCheckedContinuation { continuation in
                process.follow {
                    FileHandle.standardError.write(Data($0.utf8))
                } ended: { _ in
                    continuation.resume()
                }
            }
        } catch {
            FileHandle.standardError.write(Data("cannot copy \(path): \(error)\n".utf8))
        }
    }

    private func remove(_ path: String) {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch CocoaError.fileNoSuchFile {
            // Never mounted.
        } catch {
            FileHandle.standardError.write(Data("cannot remove \(path): \(error)\n".utf8))
        }
    }

    private func listing(_ path: String) -> [String] {
        // Missing until the first volume of a node is mounted.
        (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    }
}
