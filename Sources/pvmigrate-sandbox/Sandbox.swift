import ArgumentParser
import ClusterSimulator
import FoundationEssentials
import Glibc
import Kubernetes

/// The command: its options, and the order in which a sandbox comes up and goes down.
@main
struct Sandbox: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pvmigrate-sandbox",
        abstract: "A simulated Kubernetes cluster on this machine, for kubectl, tests and demonstrations.",
        discussion: """
            Serves the API over HTTPS on 127.0.0.1 and runs containers as real processes over real directories. \
            Prints "ready KUBECONFIG" when it can be used, and runs until it is interrupted; then it ends its \
            containers. Two more kubeconfigs lie beside the first: KUBECONFIG.token identifies the same administrator \
            with a bearer token, KUBECONFIG.limited a user who may only look.
            """
    )

    /// What is behind the volumes.
    enum Volumes: String, ExpressibleByArgument, CaseIterable {
        case process, model
    }

    @Option(help: "Where certificates, kubeconfigs and volumes are kept (default: a temporary directory).")
    var directory: String?

    @Option(help: "The port to listen on; 0 takes a free one.")
    var port = 0

    @Option(help: "The kubeconfig to write (default: in the directory).")
    var kubeconfig: String?

    @Flag(help: "Only nodes and StorageClasses, no workloads.")
    var empty = false

    @Option(help: "The number of nodes: node-1, node-2, and so on.")
    var nodes = 2

    @Option(name: .customLong("image"), help: "An image that can be pulled, besides the usual ones. May be repeated.")
    var images: [String] = []

    @Option(help: "Whether volumes are directories used by processes, or a model of both.")
    var volumes = Volumes.process

    @Option(help: "The probability with which the volume binder loses its race, as a real one does.")
    var slowBinder = 0.0

    @Option(help: "The probability with which a node may not read a claim at once whose last pod there has just gone.")
    var forbiddingNodes = 0.0

    @Option(help: "The seconds that CSI drivers need to attach a volume, and to detach it (default: none attaches).")
    var attachSeconds: Int?

    @Flag(help: "Stop when standard input ends.")
    var untilStdinCloses = false

    private var nodeNames: [String] { (1...nodes).map { "node-\($0)" } }

    func validate() throws {
        if !(0...65535).contains(port) { throw ValidationError("--port must be between 0 and 65535") }
        if !(1...100).contains(nodes) { throw ValidationError("--nodes must be between 1 and 100") }
        if !(0...1).contains(forbiddingNodes) { throw ValidationError("--forbidding-nodes must be between 0 and 1") }
        if let attachSeconds, !(1...600).contains(attachSeconds) {
            throw ValidationError("--attach-seconds must be between 1 and 600")
        }
        if !(0...1).contains(slowBinder) { throw ValidationError("--slow-binder must be between 0 and 1") }
    }

    func run() async throws {
        let root = try makeDirectory()
        let runtime = try ProcessRuntime(root: URL(filePath: root + "/volumes"))
        func cleanUp() async throws {
            await runtime.shutDown()
            if directory == nil { try FileManager.default.removeItem(atPath: root) }
        }
        do {
            try await serve(root, runtime)
        } catch {
            try await cleanUp()
            throw error
        }
        try await cleanUp()
    }

    /// Brings the cluster up, and returns when the sandbox is told to stop.
    private func serve(_ root: String, _ runtime: ProcessRuntime) async throws {
        let authority = try Authority()
        let tokens = (admin: Self.makeToken(), limited: Self.makeToken())
        var cluster = Cluster(seed: .random(in: 0 ... .max), epoch: Int(Date.now.timeIntervalSince1970))
        cluster.tokens = [tokens.admin: .admin, tokens.limited: User("viewer")]
        cluster.behaviour.modelsContainers = volumes == .model
        cluster.behaviour.scripts = Seed.modelScripts
        cluster.behaviour.images.formUnion(images)
        cluster.behaviour.lostRaceProbability = slowBinder
        cluster.behaviour.nodeForbidsProbability = forbiddingNodes
        if let attachSeconds {
            cluster.behaviour.attachCSIVolumes(seconds: attachSeconds)
        }
        for name in nodeNames { cluster.addNode(name) }
        let simulator = ClusterSimulator(cluster, time: .continuous, runtime: volumes == .process ? runtime : nil)
        let server = Server(cluster: simulator, authority: authority)
        try await withThrowingTaskGroup { group in
            let (ports, opened) = AsyncStream<Int>.makeStream()
            group.addTask { await waitForEnd(standardInput: untilStdinCloses) }
            group.addTask { try await simulator.run() }
            group.addTask { try await server.run(port: port) { opened.yield($0) } }
            group.addTask {
                for await port in ports {
                    let path = try writeCredentials(authority, tokens, port: port, root: root)
                    let server = Behaviour.ServerOfContainers(host: "127.0.0.1", port: port, authority: authority.pem)
                    await simulator.change { $0.behaviour.serverOfContainers = server }
                    try await furnish(simulator, runtime)
                    print("ready \(path)")
                    fflush(nil)
                }
            }
            // Whatever ends first ends the rest: the person, or a failure.
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Creates what a new sandbox holds.
    private func furnish(_ simulator: ClusterSimulator, _ runtime: ProcessRuntime) async throws {
        let seed = Seed(client: Client(transport: simulator), nodes: nodeNames)
        try await seed.createClasses()
        try await seed.createViewer("viewer")
        if empty { return }
        try await seed.createWorkloads()
        guard volumes == .process else { return }
        for (claim, storage, node) in try await seed.claims() {
            try SeedFiles(root: runtime.directory(of: storage, node: node).path).write(title: claim.description)
        }
    }

    /// The directory for everything, made where it is not there.
    private func makeDirectory() throws -> String {
        if let directory {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            return directory
        }
        var template = Array((FileManager.default.temporaryDirectory.path + "/pvmigrate-sandbox-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw SeedError("cannot make a temporary directory: \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Writes the kubeconfigs, and the certificates on their own for curl.
    ///
    /// - Returns: the administrator's kubeconfig.
    private func writeCredentials(
        _ authority: Authority,
        _ tokens: (admin: String, limited: String),
        port: Int,
        root: String
    ) throws -> String {
        let admin = try authority.client("kubernetes-admin", groups: ["system:masters"])
        let pem = authority.pem
        func kubeconfig(_ user: String, _ credential: Kubeconfig.Credential) -> String {
            Kubeconfig(port: port, authority: pem, user: user, credential: credential).text
        }
        let path = self.kubeconfig ?? root + "/kubeconfig"
        try writePrivate(pem, to: root + "/ca.crt")
        try writePrivate(admin.certificate, to: root + "/admin.crt")
        try writePrivate(admin.key, to: root + "/admin.key")
        try writePrivate(kubeconfig("kubernetes-admin", .certificate(admin)), to: path)
        try writePrivate(kubeconfig("kubernetes-admin", .token(tokens.admin)), to: path + ".token")
        try writePrivate(kubeconfig("viewer", .token(tokens.limited)), to: path + ".limited")
        return path
    }

    /// 128 random bits as text.
    private static func makeToken() -> String {
        String(UInt64.random(in: 0 ... .max), radix: 36) + String(UInt64.random(in: 0 ... .max), radix: 36)
    }
}
