import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization

@testable import Migration

/// A modelled computer: directories are values, and its rsync moves files between them and modelled volumes.
///
/// It asks for the other side's rsync as the real one does, so that each such request can fail. What that moves, it moves
/// itself: half of it once the other side runs, the rest when that has ended well.
final class ModelTree: LocalEnd {
    /// The directories by their absolute paths.
    private let directories: Mutex<[String: Content]>
    private let simulator = Mutex<ClusterSimulator?>(nil)
    /// The claims' volumes by the directories.
    private let volumes: [String: String]
    /// The exit codes of the rsyncs to come; zero for one that ends well.
    private let codes = Mutex<[Int]>([])
    private let started = Mutex<[[String]]>([])
    let isRoot = true
    /// Both sides end well, and only half is there.
    static let lies = 998
    /// The other side ends with a failure, which this one does not see.
    static let failsThere = 999

    init(_ directories: [String: Content], volumes: [String: String]) {
        self.directories = Mutex(directories)
        self.volumes = volumes
    }

    /// The arguments of each rsync that was started.
    var runs: [[String]] { started.withLock { $0 } }

    subscript(_ directory: String) -> Content { directories.withLock { $0[directory] ?? [:] } }

    func connect(to simulator: ClusterSimulator) { self.simulator.withLock { $0 = simulator } }
    func fail(with codes: Int...) { self.codes.withLock { $0 = codes } }

    func isEmpty(_ directory: String) throws -> Bool { self[directory].isEmpty }
    func make(_ directory: String, below tree: String) throws {}
    func remove(_ directory: String, below tree: String) throws {}
    func sockets(in directory: String) throws -> [Data] { [] }
    func freeBytes(at directory: String) -> Int64? { nil }

    func rsync(
        _ arguments: [String],
        excluding excluded: [Data],
        with remote: RemoteRsync,
        onLine: @escaping @Sendable (Substring) -> Void
    ) async throws -> RsyncEnd {
        started.withLock { $0.append(arguments) }
        let isUpload = arguments.last?.hasPrefix("pod:") == true
        let directory = String((isUpload ? arguments[arguments.count - 2] : arguments.last ?? "").dropLast())
        guard let simulator = simulator.withLock({ $0 }), let volume = volumes[directory] else {
            throw Refusal("the model has no such directory \(directory)")
        }
        let isDry = arguments.contains("--dry-run")
        let code = codes.withLock { isDry || $0.isEmpty ? 0 : $0.removeFirst() }
        do {
            let session = try await remote.open(["rsync", "--server", "-slogDtpr.iLsfxCIvu"])
            let there = await simulator.snapshot.content(ofVolumeNamed: volume) ?? [:]
            let here = self[directory]
            let (from, to) = isUpload ? (here, there) : (there, here)
            let wanted = from.filter { !Self.isKept($0.key) && to[$0.key] != $0.value }.sorted { $0.key < $1.key }
            if isDry {
                for (path, _) in wanted { onLine("\(to[path] == nil ? "<f+++++++++" : "<f.st......") \(path)") }
                if arguments.contains("--delete") {
                    for path in to.keys.sorted() where from[path] == nil && !Self.isKept(path) {
                        onLine("*deleting   \(path)")
                    }
                }
            }
            let half = isDry ? [] : Array(wanted.prefix((wanted.count + 1) / 2))
            await move(half, isUpload, directory, volume, simulator)
            let remoteCode = try await session.exitCode()
            guard code == 0 || code == Self.lies else {
                let isThere = code == Self.failsThere
                return RsyncEnd(
                    code: isThere ? 0 : code,
                    errors: "",
                    remoteCode: isThere ? 12 : remoteCode,
                    remoteFailure: nil
                )
            }
            if !isDry, code != Self.lies { await move(wanted, isUpload, directory, volume, simulator) }
            onLine("Number of files: \(from.count)")
            return RsyncEnd(code: 0, errors: "", remoteCode: remoteCode, remoteFailure: nil)
        } catch let error as APIError {
            return RsyncEnd(code: 12, errors: "", remoteCode: nil, remoteFailure: error)
        }
    }

    private static func isKept(_ path: String) -> Bool {
        LocalTree.kept.contains { path == $0 || path.hasPrefix($0 + "/") }
    }

    private func move(
        _ files: [(key: String, value: File)],
        _ isUpload: Bool,
        _ directory: String,
        _ volume: String,
        _ simulator: ClusterSimulator
    ) async {
        let files = Dictionary(uniqueKeysWithValues: files.map { ($0.key, $0.value) })
        guard isUpload else {
            return directories.withLock { $0[directory, default: [:]].merge(files) { $1 } }
        }
        await simulator.change { $0.write(files, toVolumeNamed: volume) }
    }
}
