import Migration
import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import pvmigrate

/// A simulated cluster with the class `slow` to migrate from and `fast` to migrate to, and a Deployment `shop/web` of
/// two pods that mount the claim `shop/data`.
struct Shop {
    var cluster = Cluster()
    /// The terminal that the commands' messages go to.
    var terminal: LiveTerminal?
    /// Asks the person at it.
    var ask: Ask?

    init() throws {
        for node in ["node-1", "node-2"] { cluster.addNode(node) }
        for name in ["slow", "fast"] {
            try cluster.create(
                .storageClasses,
                [
                    "metadata": ["name": .string(name)], "provisioner": "network.csi.example.com",
                    "reclaimPolicy": "Delete",
                ]
            )
        }
        try cluster.create(.namespaces, ["metadata": ["name": "shop"]])
        try cluster.create(
            .persistentVolumeClaims,
            namespace: "shop",
            [
                "metadata": ["name": "data"],
                "spec": [
                    "accessModes": ["ReadWriteMany"], "storageClassName": "slow",
                    "resources": ["requests": ["storage": "16Mi"]],
                ],
            ]
        )
        try cluster.create(
            .deployments,
            namespace: "shop",
            [
                "metadata": ["name": "web"],
                "spec": [
                    "replicas": 2, "selector": ["matchLabels": ["app": "web"]],
                    "template": [
                        "metadata": ["labels": ["app": "web"]],
                        "spec": [
                            "terminationGracePeriodSeconds": 1,
                            "containers": [
                                [
                                    "name": "main", "image": "busybox:latest", "command": ["sleep", "1000000"],
                                    "volumeMounts": [["name": "v", "mountPath": "/data"]],
                                ]
                            ],
                            "volumes": [["name": "v", "persistentVolumeClaim": ["claimName": "data"]]],
                        ],
                    ],
                ],
            ]
        )
        for _ in 1...30 { cluster.advance(to: cluster.now + .seconds(1)) }
        let volume = try #require(self.volume)
        cluster.write(["greeting": File("hello")], toVolumeNamed: volume, node: "node-1")
    }

    /// The name of the volume that the claim is bound to.
    var volume: String? { spec(.persistentVolumeClaims, "data", "volumeName")?.string }
    /// How many pods the Deployment is to have.
    var scale: Int64? { spec(.deployments, "web", "replicas")?.integer }
    var storageClass: String? { spec(.persistentVolumeClaims, "data", "storageClassName")?.string }

    private func spec(_ resource: Resource, _ name: String, _ key: String) -> JSON? {
        cluster.get(ObjectKey(resource, "shop", name))?[path: ["spec", key]]
    }

    /// Migrates in virtual time; the shop is then as the run has left it.
    ///
    /// - Parameter fault: sees each request before the cluster does.
    mutating func run(
        _ flags: String...,
        interruption: Interruption = Interruption(),
        fault: @escaping Interceptor = { _, _ in nil }
    ) throws -> Run {
        try run(["--source-sc", "slow", "--dest-sc", "fast"], flags, interruption: interruption, fault: fault)
    }

    /// Runs `pvmigrate stage` of that migration in virtual time.
    mutating func stage(_ flags: String...) throws -> Run {
        try run(["stage", "--source-sc", "slow", "--dest-sc", "fast"], flags)
    }

    /// Runs `pvmigrate rollback` of that migration in virtual time.
    mutating func rollback(_ flags: String..., fault: @escaping Interceptor = { _, _ in nil }) throws -> Run {
        try run(["rollback", "--source-sc", "slow", "--dest-sc", "fast"], flags, fault: fault)
    }

    /// Runs `pvmigrate abort` of that migration in virtual time.
    mutating func abort(_ flags: String..., fault: @escaping Interceptor = { _, _ in nil }) throws -> Run {
        try run(["abort", "--source-sc", "slow", "--dest-sc", "fast"], flags, fault: fault)
    }

    /// Runs `pvmigrate cleanup` in virtual time.
    mutating func cleanup(
        _ flags: String...,
        interruption: Interruption = Interruption(),
        fault: @escaping Interceptor = { _, _ in nil }
    ) throws -> Run {
        try run(["cleanup"], flags, interruption: interruption, fault: fault)
    }

    /// Runs `pvmigrate status` in virtual time.
    func status(
        _ flags: String...,
        interruption: Interruption = Interruption(),
        fault: @escaping Interceptor = { _, _ in nil }
    ) throws -> Run {
        var shop = self
        return try shop.run(["status"], flags, interruption: interruption) { request, number in
            #expect(request.method == .get)
            return await fault(request, number)
        }
    }

    /// What shells call, with the words before and at the cursor.
    func complete(_ words: [String], fault: @escaping Interceptor = { _, _ in nil }) throws -> Run {
        var shop = self
        return try shop.run([Completion.hiddenCommand], words) { request, number in
            #expect(request.method == .get)
            return await fault(request, number)
        }
    }

    /// Runs a command line as `pvmigrate status` proposes it.
    mutating func run(proposed line: String) throws -> Run {
        try run(line.split(separator: " ").dropFirst().map(String.init), [])
    }

    /// The shop as a command leaves it that dies when the API server has seen a request.
    func died(
        of command: [String] = ["--source-sc", "slow", "--dest-sc", "fast"],
        after isLast: @escaping @Sendable (Request) -> Bool
    ) throws -> Shop {
        let cluster = Mutex<Cluster?>(nil)
        var shop = self
        let observer: Observer = { request, _, now in
            cluster.withLock { if $0 == nil, isLast(request) { $0 = now } }
        }
        _ = try shop.run(command, ["--skip-preflight-validation"], observer: observer)
        shop.cluster = try #require(cluster.withLock { $0 })
        return shop
    }

    /// Runs a command in virtual time, and from the moment on at which it takes a lock another one that watches.
    mutating func run(_ command: [String], watchedBy other: [String]) throws -> (run: Run, watching: Run) {
        let folder = try TemporaryFolder()
        let file = ["--kubeconfig", try folder.write("config", kubeconfig())]
        let time = VirtualTime()
        let (locked, lock) = AsyncStream<Void>.makeStream()
        let simulator = ClusterSimulator(cluster, time: time.source, latency: .milliseconds(5)) { request, _ in
            if request.method == .post, request.target.contains("/leases") { lock.yield() }
            return nil
        }
        let (console, watching) = (Console(), Console())
        let here = console.surroundings(time: time.source) { _ in simulator }
        let there = watching.surroundings(time: time.source) { _ in simulator }
        let codes = try time.run {
            await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await simulator.run() }
                async let code = pvmigrate.run(command + file, in: here, interruption: Interruption())
                for await _ in locked { break }
                let seen = await pvmigrate.run(other + file, in: there, interruption: Interruption())
                defer { group.cancelAll() }
                return (await code, seen)
            }
        }
        return (console.run(ending: codes.0), watching.run(ending: codes.1))
    }

    private mutating func run(
        _ command: [String],
        _ flags: [String],
        interruption: Interruption = Interruption(),
        fault: Interceptor? = nil,
        observer: Observer? = nil
    ) throws -> Run {
        let folder = try TemporaryFolder()
        let file = try folder.write("config", kubeconfig())
        let isCompletion = command.first == Completion.hiddenCommand
        let arguments = command + (isCompletion ? [] : ["--kubeconfig", file]) + flags
        let time = VirtualTime()
        let simulator = ClusterSimulator(
            cluster,
            time: time.source,
            latency: .milliseconds(5),
            interceptor: fault,
            observer: observer
        )
        let console = Console()
        let surroundings = console.surroundings(
            environment: ["KUBECONFIG": file, "HOME": folder.path],
            terminal: terminal,
            ask: ask,
            time: time.source
        ) { _ in simulator }
        let (code, cluster) = try time.run {
            try await withThrowingTaskGroup(of: ExitCode?.self) { group in
                group.addTask {
                    try await simulator.run()
                    return nil
                }
                group.addTask { await pvmigrate.run(arguments, in: surroundings, interruption: interruption) }
                defer { group.cancelAll() }
                while let next = try await group.next() {
                    if let next { return (next, await simulator.snapshot) }
                }
                throw CancellationError()
            }
        }
        self.cluster = cluster
        return console.run(ending: code)
    }
}

extension Request {
    /// True for what a migration changes: not for reads, trials, locks, questions and Events.
    var isChange: Bool {
        method != .get && !target.contains("dryRun") && !target.contains("/leases")
            && !target.contains("accessreviews") && !target.contains("/events")
    }
}
