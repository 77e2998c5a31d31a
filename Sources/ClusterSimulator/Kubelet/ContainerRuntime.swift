public import FoundationEssentials

/// One run of one container of one pod.
public struct ContainerID: Hashable, Sendable {
    /// The pod's UID.
    public var pod: String
    /// The container's name.
    public var container: String
    /// How often it was restarted before this run.
    public var restarts: Int

    public init(pod: String, container: String, restarts: Int) {
        self.pod = pod
        self.container = container
        self.restarts = restarts
    }
}

/// Where the content of a volume is kept.
public enum Storage: Hashable, Sendable {
    /// A directory of each node: what is written on one node is not there on another.
    case node(handle: String)
    /// Storage behind a network, the same from wherever it is attached.
    case shared(handle: String)
    /// Empty at the pod's start, gone with the pod.
    case pod(name: String)
    /// Files that the cluster fills in: ConfigMaps and Secrets, by path.
    case files([String: String], mode: Int = 0o644)
}

/// A volume as one container sees it.
public struct Mount: Hashable, Sendable {
    public var path: String
    public var storage: Storage
    public var subPath: String
    public var readOnly: Bool
    /// The size in bytes of a block volume, which is a device at the path; nil for a directory.
    public var deviceSize: Int64?
    /// The group that the volume's files are given to (a pod's fsGroup), where its driver does that.
    public var group: Int?

    public init(
        path: String,
        storage: Storage,
        subPath: String = "",
        readOnly: Bool = false,
        deviceSize: Int64? = nil,
        group: Int? = nil
    ) {
        self.path = path
        self.storage = storage
        self.subPath = subPath
        self.readOnly = readOnly
        self.deviceSize = deviceSize
        self.group = group
    }
}

/// What becomes of a command that runs beside a container's first process.
public enum ExecEvent: Hashable, Sendable {
    case output(Data)
    case errors(Data)
    /// The last one: its exit code, 128 and the signal's number where a signal ended it.
    case ended(code: Int)
    /// The only one: there is no such program, say; the message is the runtime's.
    case failed(message: String)
}

/// What leads to a command's standard input.
public protocol ExecInput: Sendable {
    /// Passes on what the command is to read, and returns when there is room for more. What nobody reads is lost.
    func write(_ data: Data) async
    /// Lets the command come to the end of its input; harmless after it.
    func end()
}

/// Everything that a runtime needs to know to run a container.
public struct ContainerRun: Hashable, Sendable {
    public var id: ContainerID
    public var node: String
    /// The command with its arguments, never empty.
    public var command: [String]
    public var environment: [String: String]
    public var workingDirectory: String
    public var mounts: [Mount]
    /// The user and group to run as, root unless the pod says otherwise.
    public var user: Int
    public var group: Int
    /// Further groups that the user is in, first of all the one that volumes are given to.
    public var groups: [Int]
    /// The capabilities that root has, without the prefix; nil for what the runtime gives.
    public var capabilities: Set<String>?
    /// Whether it may write nothing but its mounts and `/dev/shm`.
    public var hasReadOnlyRoot: Bool

    public init(
        id: ContainerID,
        node: String,
        command: [String],
        environment: [String: String] = [:],
        workingDirectory: String = "/",
        mounts: [Mount] = [],
        user: Int = 0,
        group: Int = 0,
        groups: [Int] = [],
        capabilities: Set<String>? = nil,
        hasReadOnlyRoot: Bool = false
    ) {
        self.id = id
        self.node = node
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.mounts = mounts
        self.user = user
        self.group = group
        self.groups = groups
        self.capabilities = capabilities
        self.hasReadOnlyRoot = hasReadOnlyRoot
    }
}

/// What the kubelet asks a container runtime to do.
public enum RuntimeCommand: Hashable, Sendable {
    case start(ContainerRun)
    /// SIGTERM, and SIGKILL after the grace.
    case stop(ContainerID, grace: Duration)
    /// Runs a command in a running container; it fails when it takes longer.
    case probe(ContainerID, command: [String], timeout: Duration)
    /// Connects to a port of a pod.
    case connect(ContainerID, address: String, port: Int)
    /// The pod is gone from its node: nothing of it is kept.
    case remove(pod: String)
    /// The volume was reclaimed: its content goes, on every node.
    case reclaim(Storage)
    /// New storage begins as what other storage holds.
    case copy(Storage, to: Storage)
}

/// What a container runtime tells the kubelet.
public enum RuntimeReport: Hashable, Sendable {
    case started(ContainerID)
    /// There is no such program, say; the message is the runtime's.
    case failedToStart(ContainerID, message: String)
    /// Text for the log: whole lines, but for the last one before the end.
    case log(ContainerID, String)
    case exited(ContainerID, code: Int)
    case probed(ContainerID, succeeded: Bool)
}

/// What runs containers outside the simulated cluster: real processes over real directories.
public protocol ContainerRuntime: Sendable {
    /// Begins a command and returns; what comes of it is in `reports`.
    func perform(_ command: RuntimeCommand) async
    /// Runs a command in a running container, whose end is the command's, too.
    ///
    /// - Parameter hears: is told what becomes of it, on threads that it may hold up while it has no room.
    /// - Returns: what leads to the command's input, where it is to have any.
    func exec(
        _ id: ContainerID,
        _ command: [String],
        hasInput: Bool,
        hears: @escaping @Sendable (ExecEvent) -> Void
    ) async -> (any ExecInput)?
    /// What happens to the containers, in order; for one reader.
    var reports: AsyncStream<RuntimeReport> { get }
    /// Ends every container and waits until its processes are gone.
    func shutDown() async
}

/// The words of containerd and runc about a program that is not there.
func missingProgramMessage(_ program: String) -> String {
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        + "unable to start container process: exec: \"\(program)\": executable file not found in $PATH: unknown"
}
