import ClusterSimulator
import Foundation
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// True where containers can be real processes that log in to each other.
private let canServe =
    geteuid() == 0
    && ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/rsync"].allSatisfy(FileManager.default.isExecutableFile)

@Suite(
    "Copies between nodes",
    .enabled(if: canServe, "needs root, rsync, and openssh-server and openssh-client (scripts/setup)"),
    .serialized
)
struct NetworkCopyTests {
    @Test("what ssh-keygen reads of a key is what was made", .timeLimit(.minutes(5)))
    func keys() throws {
        for _ in 1...20 {
            let key = try SSHKey()
            let folder = FileManager.default.temporaryDirectory.appending(path: "key-\(UUID())").path
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try Data(key.privateFile.utf8).write(to: URL(filePath: "\(folder)/key"))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(folder)/key")
            #expect(try output(["ssh-keygen", "-y", "-f", "\(folder)/key"]) == key.publicLine + "\n")
            #expect(try output(["ssh-keygen", "-l", "-f", "\(folder)/key"]).hasSuffix("(ED25519)\n"))
        }
        #expect(try SSHKey().publicLine != SSHKey().publicLine)
    }

    @Test("local volumes of two nodes are copied over the network, byte for byte", .timeLimit(.minutes(5)))
    func copies() async throws {
        let scene = try TwoNodes()
        try await scene.run {
            try scene.fill()
            let run = await scene.migrate()
            #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
            #expect(run.messages.contains { $0.contains("copied over the network") && $0.contains("node-1") })
            #expect(try scene.differences() == "")
            let pods = await scene.simulator.snapshot.list(.pods, namespace: "shop")
            #expect(pods.map { $0[path: ["spec", "nodeName"]] } == ["node-2"])
            try await scene.expectNothingLeft()
            #expect(!run.messages.joined().contains("PRIVATE KEY"))
        }
    }

    @Test(
        "a run that is killed while it copies leaves nothing behind when it has been run again",
        .timeLimit(.minutes(5))
    )
    func killed() async throws {
        let scene = try TwoNodes()
        try await scene.run {
            try scene.fill(bytes: 4 << 20)
            let slow = Task { await scene.migrate(flags: ["--bwlimit=200"]) }
            while await !scene.simulator.snapshot.isCopyingOverNetwork { try await Task.sleep(for: .milliseconds(50)) }
            slow.cancel()
            _ = await slow.value
            let secrets = await scene.simulator.snapshot.list(.secrets, namespace: "shop")
            #expect(secrets.count == 1)
            let status = try await StatusReader(scene.client).status(MigrationStatus.Scope())
            #expect(status.leftovers.isEmpty, "\(status.leftovers)")
            let run = await scene.migrate()
            #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
            #expect(try scene.differences() == "")
            try await scene.expectNothingLeft()
        }
    }

    @Test("preflight copies nothing over the network, and leaves nothing behind", .timeLimit(.minutes(5)))
    func passes() async throws {
        let scene = try TwoNodes()
        try await scene.run {
            let (rows, messages) = try await scene.preflight()
            #expect(rows == [], "\(messages.joined(separator: "\n"))")
            #expect(messages.contains { $0.contains("a trial in shop from node node-1 to node-2 passed") })
            try await scene.expectNothingLeft()
        }
    }

    @Test("preflight names an image that can't serve, before anything stops", .timeLimit(.minutes(5)))
    func unfitImage() async throws {
        let scene = try TwoNodes()
        try await scene.run {
            await scene.simulator.change { $0.behaviour.missingPrograms = ["/usr/sbin/sshd"] }
            let (rows, _) = try await scene.preflight()
            #expect(rows.count == 1)
            #expect(rows.first?.contains("needs an image with /usr/sbin/sshd and ssh") == true, "\(rows)")
            try await scene.expectNothingLeft()
        }
    }

    @Test("preflight names a policy that cuts the copy, with the one that lets it pass", .timeLimit(.minutes(5)))
    func policy() async throws {
        let scene = try TwoNodes()
        try await scene.run {
            try await scene.simulator.change { cluster in
                _ = try cluster.create(
                    .networkPolicies,
                    namespace: "shop",
                    ["metadata": ["name": "deny"], "spec": ["podSelector": [:], "policyTypes": ["Ingress"]]]
                )
            }
            let (rows, _) = try await scene.preflight()
            #expect(rows.count == 1)
            #expect(rows.first?.hasPrefix("NetworkPolicy shop/deny: lets nothing come into") == true, "\(rows)")
            let text = rows.first?.split(separator: "<<< '").last?.dropLast() ?? ""
            let admission = try JSONDecoder().decode(JSON.self, from: Data(text.utf8))
            try await scene.simulator.change { _ = try $0.create(.networkPolicies, namespace: "shop", admission) }
            let (left, messages) = try await scene.preflight()
            #expect(left == [], "\(messages.joined(separator: "\n"))")
            try await scene.expectNothingLeft()
        }
    }

    @Test("an image without sshd is named, and the workload is given back", .timeLimit(.minutes(5)))
    func withoutServer() async throws {
        let scene = try TwoNodes()
        try await scene.run {
            try scene.fill()
            await scene.simulator.change { cluster in
                cluster.behaviour.missingPrograms = ["/usr/sbin/sshd"]
            }
            let run = await scene.migrate()
            #expect(run.report?.succeeded == false)
            #expect(
                run.messages.contains { $0.contains("needs an image with /usr/sbin/sshd and ssh") },
                "\(run.messages.joined(separator: "\n"))"
            )
            try await scene.expectNothingLeft()
        }
    }
}

/// A Deployment with a volume on node-1, and a volume for it on node-2, as directories of this machine.
private struct TwoNodes: Sendable {
    let root: URL
    let runtime: ProcessRuntime
    let simulator: ClusterSimulator
    let client: Client

    init() throws {
        root = FileManager.default.temporaryDirectory.appending(path: "two-nodes-\(UUID().uuidString)")
        runtime = try ProcessRuntime(root: root)
        var world = World()
        for (name, node) in [("here", "node-1"), ("there", "node-2")] {
            world.make(
                .storageClasses,
                nil,
                [
                    "metadata": ["name": .string(name)], "provisioner": "kubernetes.io/no-provisioner",
                    "volumeBindingMode": "WaitForFirstConsumer",
                ]
            )
            world.make(.persistentVolumes, nil, Self.volume("disk-\(name)", class: name, node: node))
        }
        world.make(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": ["name": "data"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "here",
                    "resources": ["requests": ["storage": "16Mi"]],
                ],
            ]
        )
        world.make(
            .deployments,
            "shop",
            [
                "metadata": ["name": "web"],
                "spec": [
                    "replicas": 1, "selector": ["matchLabels": ["app": "web"]],
                    "template": [
                        "metadata": ["labels": ["app": "web"]],
                        "spec": [
                            "terminationGracePeriodSeconds": 1,
                            "containers": [
                                [
                                    "name": "c", "image": "busybox:latest", "command": ["sleep", "1000"],
                                    "volumeMounts": [["name": "data", "mountPath": "/data"]],
                                ]
                            ],
                            "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]],
                        ],
                    ],
                ],
            ]
        )
        world.cluster.behaviour.modelsContainers = false
        simulator = ClusterSimulator(world.cluster, time: .continuous, runtime: runtime)
        client = Client(transport: simulator)
    }

    private static func volume(_ name: String, class storageClass: String, node: String) -> JSON {
        [
            "metadata": ["name": .string(name)],
            "spec": [
                "capacity": ["storage": "16Mi"], "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": .string(storageClass),
                "local": ["path": .string("/mnt/\(name)")],
                "nodeAffinity": [
                    "required": [
                        "nodeSelectorTerms": [
                            [
                                "matchExpressions": [
                                    ["key": "kubernetes.io/hostname", "operator": "In", "values": [.string(node)]]
                                ]
                            ]
                        ]
                    ]
                ],
            ],
        ]
    }

    /// Runs the cluster, until its Deployment is ready first, and then while something is done with it.
    func run(_ work: () async throws -> Void) async throws {
        let running = Task { try await simulator.run() }
        var failure: (any Error)?
        do {
            while await simulator.snapshot.list(.pods, namespace: "shop").first?[path: ["status", "phase"]] != "Running"
            {
                try await Task.sleep(for: .milliseconds(50))
            }
            try await work()
        } catch { failure = error }
        running.cancel()
        await runtime.shutDown()
        try FileManager.default.removeItem(at: root)
        if let failure { throw failure }
    }

    private var source: String { runtime.directory(of: .node(handle: "/mnt/disk-here"), node: "node-1").path }
    private var destination: String { runtime.directory(of: .node(handle: "/mnt/disk-there"), node: "node-2").path }

    /// Puts files of many kinds into the source volume.
    func fill(bytes: Int = 100_000) throws {
        let script = """
            set -e; cd "$1"
            mkdir -p a/b "with space"; head -c "$2" /dev/urandom > a/large; echo secret > a/b/file
            chmod 600 a/b/file; chown 999:998 a/b/file; chmod 000 a/large; chown 1234:4321 "with space"
            ln -s /etc/passwd absolute; ln -s ../../outside upwards; ln -s nowhere dangling; ln a/b/file hard
            truncate -s 1M sparse; touch -d 2001-02-03 old; touch "name
            with a line end"
            setfattr -n user.origin -v here a/b/file 2>/dev/null || true
            setfacl -m u:1000:r a/b/file 2>/dev/null || true
            mkfifo pipe
            """
        _ = try output(["sh", "-c", script, "sh", source, String(bytes)])
    }

    /// What rsync finds to be different between the two volumes, content included.
    func differences() throws -> String {
        try output(
            [
                "rsync", "-naHAXi", "--numeric-ids", "--delete", "--checksum", "--omit-dir-times", source + "/",
                destination,
            ]
        )
    }

    func migrate(flags: [String] = []) async -> World.Run {
        let messages = Mutex<[String]>([])
        let journal = Journal(time: .continuous) { message in
            messages.withLock { $0.append("\(message.subject): \(message.text)") }
        }
        var options = Options(sourceClass: "here", destinationClass: "there")
        options.rsyncFlags = flags
        let migrator = Migrator(client: client, options: options, journal: journal)
        var run = World.Run(messages: [], world: World(), requests: 0)
        do {
            run.report = await migrator.migrate(try await migrator.discover(), interruption: Interruption())
        } catch {
            run.failure = "\(error)"
        }
        run.messages = messages.withLock { $0 }
        return run
    }

    /// The rows of preflight's table, and what it says on the way.
    func preflight() async throws -> (rows: [String], messages: [String]) {
        let messages = Mutex<[String]>([])
        let journal = Journal(time: .continuous) { message in messages.withLock { $0.append(message.text) } }
        let options = Options(sourceClass: "here", destinationClass: "there")
        let migrator = Migrator(client: client, options: options, journal: journal)
        let obstacles = await migrator.preflight(try await migrator.discover(), interruption: Interruption())
        return (obstacles.map { "\($0.resource): \($0.message)" }, messages.withLock { $0 })
    }

    /// No pod, Secret or staging claim of the migration is there.
    func expectNothingLeft() async throws {
        // The garbage collector takes a moment.
        while await !simulator.snapshot.list(.secrets, namespace: "shop").isEmpty {
            try await Task.sleep(for: .milliseconds(50))
        }
        let cluster = await simulator.snapshot
        // Their content is not to be shown.
        let secrets = cluster.list(.secrets, namespace: "shop").map { $0[path: ["metadata", "name"]] }
        #expect(secrets == [])
        let pods = cluster.list(.pods, namespace: "shop").compactMap {
            $0[path: ["metadata", "annotations", Marks.kind]]
        }
        #expect(pods.isEmpty)
    }
}

extension Cluster {
    /// True once a mover runs that is served by another pod.
    fileprivate var isCopyingOverNetwork: Bool {
        list(.pods, namespace: "shop").contains { pod in
            let copy = pod[path: ["status", "initContainerStatuses"]]?.array?.first
            return pod[path: ["metadata", "annotations", Marks.kind]] == "migrate"
                && copy?[path: ["state", "running"]] != nil
        }
    }
}

private func output(_ command: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = command
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(command)")
    return String(decoding: data, as: UTF8.self)
}
