import FoundationEssentials
import Kubernetes

/// Runs containers inside the model: volumes are values, programs are functions that take model time.
struct ModelRuntime: Sendable {
    private(set) var contents: [ModelFiles.Key: Content] = [:] { didSet { writes += 1 } }
    /// Counts what may have changed a content.
    private(set) var writes = 0
    private var containers: [ContainerID: ModelContainer] = [:]
    /// The commands that run or ran beside containers, by number.
    private var execs: [Int: Exec] = [:]
    private var lastExec = 0

    private struct Exec: Sendable {
        /// The container that it runs in.
        let host: ContainerID
        /// Nil when it has ended.
        var container: ModelContainer?
        var hasBegun = false
        var events: [ExecEvent] = []
        /// Nobody wants to know any more.
        var isForgotten = false
    }

    static func start(_ run: ContainerRun, _ cluster: inout Cluster) {
        guard let container = ModelContainer(run, scripts: cluster.behaviour.scripts) else {
            return cluster.report(.failedToStart(run.id, message: missingProgramMessage(run.command[0])))
        }
        cluster.controllers.model.containers[run.id] = container
        cluster.report(.started(run.id))
        cluster.soon(.container(run.id), 2...10)
    }

    /// Lets a container go on until it pauses or ends.
    static func step(_ id: ContainerID, _ cluster: inout Cluster) {
        guard var container = cluster.controllers.model.containers[id] else { return }
        var files = ModelFiles(cluster.controllers.model.contents, container.run, now: cluster.now)
        // Let go of the old content, so that the new one is made in place.
        cluster.controllers.model.contents = [:]
        let (output, pause, code) = container.step(&files, injected: &cluster.controllers.behaviour.rsyncExits)
        cluster.controllers.model.contents = files.contents
        container.unwritten += output
        if let pause {
            // A line reaches the log with its end.
            if let end = container.unwritten.utf8.lastIndex(of: UInt8(ascii: "\n")) {
                cluster.report(.log(id, String(container.unwritten[...end])))
                container.unwritten = String(container.unwritten[container.unwritten.utf8.index(after: end)...])
            }
            cluster.controllers.model.containers[id] = container
            cluster.enqueue(.container(id), after: pause)
        } else {
            if !container.unwritten.isEmpty { cluster.report(.log(id, container.unwritten)) }
            cluster.controllers.model.remove(id)
            cluster.report(.exited(id, code: code ?? 0))
        }
    }

    /// Asks a container to end, and ends it when its grace is over.
    static func stop(_ id: ContainerID, grace: Duration, _ cluster: inout Cluster) {
        guard let container = cluster.controllers.model.containers[id] else { return }
        if container.endsOnTermination {
            cluster.controllers.model.remove(id)
            cluster.report(.log(id, container.unwritten + ModelRsync.errorLine(20)))
            cluster.report(.exited(id, code: 20))
        } else {
            cluster.enqueue(.kill(id), after: grace)
        }
    }

    static func kill(_ id: ContainerID, _ cluster: inout Cluster) {
        guard let container = cluster.controllers.model.remove(id) else { return }
        if !container.unwritten.isEmpty { cluster.report(.log(id, container.unwritten)) }
        cluster.report(.exited(id, code: 137))
    }

    /// Runs a command beside a container, at once.
    static func probe(_ id: ContainerID, _ command: [String], _ cluster: inout Cluster) -> Bool {
        guard var run = cluster.controllers.model.containers[id]?.run else { return false }
        run.command = command
        guard var probe = ModelContainer(run, scripts: cluster.behaviour.scripts) else { return false }
        var files = ModelFiles(cluster.controllers.model.contents, run, now: cluster.now)
        var injected: [Int] = []
        // One that pauses takes longer than a probe may.
        return probe.step(&files, injected: &injected).code == 0
    }

    /// A container ends without anybody being told.
    mutating func end(_ id: ContainerID) {
        containers[id] = nil
        execs = execs.filter { $0.value.host != id }
    }

    /// A container ends, and with it whatever runs beside its first process.
    @discardableResult
    private mutating func remove(_ id: ContainerID) -> ModelContainer? {
        for (number, exec) in execs where exec.host == id && exec.container != nil {
            finish(number, .ended(code: 137))
        }
        return containers.removeValue(forKey: id)
    }

    // MARK: Commands beside a container

    /// Begins a command in a container.
    ///
    /// - Returns: its number.
    static func exec(_ id: ContainerID, _ command: [String], _ cluster: inout Cluster) -> Int {
        cluster.controllers.model.lastExec += 1
        let number = cluster.controllers.model.lastExec
        var run = cluster.controllers.model.containers[id]?.run
        run?.command = command
        let container = run.flatMap { ModelContainer($0, scripts: cluster.behaviour.scripts) }
        cluster.controllers.model.execs[number] = Exec(host: id, container: container)
        if container == nil {
            let words = ExecStatus.missingProgram(command.first, in: id)
            cluster.controllers.model.finish(number, .failed(message: words))
        } else {
            cluster.soon(.exec(number), 30...50)
        }
        return number
    }

    /// Lets a command go on until it pauses or ends.
    static func step(exec number: Int, _ cluster: inout Cluster) {
        guard let exec = cluster.controllers.model.execs[number], var container = exec.container else { return }
        var files = ModelFiles(cluster.controllers.model.contents, container.run, now: cluster.now)
        cluster.controllers.model.contents = [:]
        let (output, pause, code) = container.step(&files, injected: &cluster.controllers.behaviour.rsyncExits)
        cluster.controllers.model.contents = files.contents
        cluster.controllers.model.execs[number]?.container = container
        if !exec.hasBegun, cluster.controllers.model.containers[exec.host]?.isServing == true {
            // It may have asked for something.
            cluster.soon(.container(exec.host), 1...5)
        }
        cluster.controllers.model.execs[number]?.hasBegun = true
        if !output.isEmpty { cluster.controllers.model.execs[number]?.events.append(.output(Data(output.utf8))) }
        if let pause {
            cluster.enqueue(.exec(number), after: pause)
        } else {
            cluster.controllers.model.finish(number, .ended(code: code ?? 0))
        }
        cluster.logPieces += 1
    }

    private mutating func finish(_ number: Int, _ event: ExecEvent) {
        execs[number]?.container = nil
        execs[number]?.events.append(event)
        if execs[number]?.isForgotten == true { execs[number] = nil }
    }

    func event(_ index: Int, ofExec number: Int) -> ExecEvent? {
        guard let events = execs[number]?.events, events.indices.contains(index) else { return nil }
        return events[index]
    }

    /// Lets a command go on unheard.
    mutating func forgetExec(_ number: Int) {
        execs[number]?.isForgotten = true
        if execs[number]?.container == nil { execs[number] = nil }
    }

    mutating func forget(_ storage: Storage) {
        for key in contents.keys {
            switch (key, storage) {
            case (.node(let own, _), .node(let handle)) where own == handle: contents[key] = nil
            case (.shared(let own), .shared(let handle)) where own == handle: contents[key] = nil
            default: break
            }
        }
    }

    mutating func copy(_ source: Storage, to destination: Storage) {
        for (key, content) in contents {
            switch (key, source, destination) {
            case (.node(let own, let node), .node(let handle), .node(let new)) where own == handle:
                contents[.node(handle: new, node: node)] = content
            case (.shared(let own), .shared(let handle), .shared(let new)) where own == handle:
                contents[.shared(handle: new)] = content
            default: break
            }
        }
    }

    /// What a pod kept for itself goes with it.
    mutating func forget(pod uid: String) {
        for key in contents.keys {
            if case .pod(uid, _) = key { contents[key] = nil }
        }
    }

    fileprivate mutating func change(_ key: ModelFiles.Key, _ change: (inout Content) -> Void) {
        change(&contents[key, default: [:]])
    }
}

extension Cluster {
    /// The storage of a volume, or of a snapshot, is gone, on every node.
    mutating func free(_ storage: Storage) {
        controllers.model.forget(storage)
        if !behaviour.modelsContainers { runtimeCommands.append(.reclaim(storage)) }
    }

    /// New storage begins as what other storage holds, on every node.
    mutating func copy(_ source: Storage, to destination: Storage) {
        controllers.model.copy(source, to: destination)
        if !behaviour.modelsContainers { runtimeCommands.append(.copy(source, to: destination)) }
    }

    /// Grows whenever the content of a modelled volume may have changed.
    public var contentVersion: Int { controllers.model.writes }

    /// The content of a modelled volume, nil where there is none (yet, or any more).
    ///
    /// - Parameter node: whose directory is meant, for volumes that have one on each node; the only one that has
    ///   content where none is named.
    public func content(ofVolumeNamed name: String, node: String? = nil) -> Content? {
        guard let volume = get(ObjectKey(.persistentVolumes, nil, name)) else { return nil }
        return content(of: VolumeMatching.storage(of: volume, behaviour), node: node)
    }

    /// The content of modelled storage, also of one whose volume is gone.
    public func content(of storage: Storage, node: String? = nil) -> Content? {
        switch storage {
        case .node(let handle):
            if let node { return controllers.model.contents[.node(handle: handle, node: node)] }
            let found = controllers.model.contents.filter { key, content in
                if case .node(handle, _) = key { !content.isEmpty } else { false }
            }
            return found.count == 1 ? found.first?.value : nil
        case .shared(let handle): return controllers.model.contents[.shared(handle: handle)]
        case .pod, .files: return nil
        }
    }

    /// Where a volume's content is kept.
    public func storage(ofVolumeNamed name: String) -> Storage? {
        get(ObjectKey(.persistentVolumes, nil, name)).map { VolumeMatching.storage(of: $0, behaviour) }
    }

    /// Puts files into a modelled volume.
    ///
    /// - Parameter node: whose directory is meant, for volumes that have one on each node; `node-1` where none is named.
    public mutating func write(_ files: Content, toVolumeNamed name: String, node: String = "node-1") {
        guard let storage = storage(ofVolumeNamed: name), let key = ModelFiles.Key(storage, node: node, pod: "") else {
            return
        }
        controllers.model.change(key) { $0.merge(files) { $1 } }
    }
}
