import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// A cluster with claims of the class `slow` that are to go to `fast`, and what preflight says of it.
struct PreflightScene {
    var cluster = Cluster()
    var options = Options(sourceClass: "slow", destinationClass: "fast")
    /// Who runs preflight.
    var user = User.admin
    /// Called with every request.
    var interceptor: Interceptor?

    /// Two nodes, two classes, and the namespace `shop`.
    init(destination: JSON = PreflightScene.storageClass("fast", provisioner: "network.csi.example.com")) throws {
        cluster.addNode("node-1")
        cluster.addNode("node-2")
        try cluster.create(.namespaces, ["metadata": ["name": "shop"]])
        try cluster.create(.storageClasses, Self.storageClass("slow"))
        try cluster.create(.storageClasses, destination)
        pass(.seconds(5))
    }

    static func storageClass(
        _ name: String,
        provisioner: String = "disk.csi.example.com",
        policy: String = "Delete",
        isDefault: Bool = false
    ) -> JSON {
        [
            "metadata": [
                "name": .string(name),
                "annotations": .object(isDefault ? [StorageClass.defaultAnnotation: "true"] : [:]),
            ],
            "provisioner": .string(provisioner), "reclaimPolicy": .string(policy),
        ]
    }

    /// Lets the controllers work.
    mutating func pass(_ duration: Duration) { cluster.advance(to: cluster.now + duration) }

    /// Creates a claim and waits until it is bound, where its class makes volumes.
    mutating func addClaim(
        _ name: String,
        modes: [JSON] = ["ReadWriteOnce"],
        in namespace: String = "shop",
        class storageClass: String = "slow",
        annotations: [String: JSON] = [:]
    ) throws {
        try cluster.create(
            .persistentVolumeClaims,
            namespace: namespace,
            [
                "metadata": ["name": .string(name), "annotations": .object(annotations)],
                "spec": [
                    "accessModes": .array(modes), "storageClassName": .string(storageClass),
                    "resources": ["requests": ["storage": "1Gi"]],
                ],
            ]
        )
        pass(.seconds(10))
    }

    struct Result {
        var rows: [Obstacle]
        /// The rows as the table shows them.
        var table: [String] { rows.map { "\($0.namespace) | \($0.resource) | \($0.message)" } }
        var messages: [String]
        var before: Cluster
        var after: Cluster

        /// All objects of a kind that were created, changed or removed.
        func difference(_ resource: Resource) -> [String] {
            let (old, new) = (before.list(resource), after.list(resource))
            let changed = old.filter { !new.contains($0) } + new.filter { !old.contains($0) }
            return changed.map { String(decoding: $0.text, as: UTF8.self) }
        }

        /// Records an issue where anything is there that was not before, or is not as it was.
        func expectNoTrace(sourceLocation: SourceLocation = #_sourceLocation) {
            for resource in [
                Resource.pods, .persistentVolumeClaims, .persistentVolumes, .storageClasses, .deployments,
                .statefulSets, .namespaces,
            ] {
                #expect(difference(resource) == [], sourceLocation: sourceLocation)
            }
        }
    }

    /// Creates a workload, or something else that makes pods, and lets it make them.
    mutating func add(_ resource: Resource, _ object: JSON, in namespace: String = "shop") throws {
        try cluster.create(resource, namespace: resource.namespaced ? namespace : nil, object)
        pass(.seconds(10))
    }

    /// A pod that mounts a claim and runs for long.
    static func pod(_ name: String, claim: String) -> JSON {
        [
            "metadata": ["name": .string(name), "labels": ["app": .string(name)]],
            "spec": [
                "containers": [
                    [
                        "name": "main", "image": "busybox", "command": ["sleep", "100000"],
                        "volumeMounts": [["name": "data", "mountPath": "/data"]],
                    ]
                ],
                "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": .string(claim)]]],
            ],
        ]
    }

    /// Discovers and runs preflight in virtual time; `meanwhile` runs beside it.
    func preflight(
        meanwhile: @escaping @Sendable (ClusterSimulator, Client, Interruption) async throws -> Void = { _, _, _ in }
    ) throws -> Result {
        let time = VirtualTime()
        let messages = Mutex<[String]>([])
        let simulator = ClusterSimulator(
            cluster,
            time: time.source,
            latency: .milliseconds(5),
            interceptor: interceptor
        )
        let migrator = Migrator(
            client: Client(transport: simulator.transport(as: user), time: time.source),
            options: options,
            journal: Journal(time: time.source) { message in
                messages.withLock { $0.append("\(message.subject): \(message.text)") }
            }
        )
        let (rows, after) = try time.run {
            try await withThrowingTaskGroup(of: ([Obstacle], Cluster)?.self) { group in
                group.addTask {
                    try await simulator.run()
                    return nil
                }
                group.addTask {
                    let interruption = Interruption()
                    async let other: Void = meanwhile(
                        simulator,
                        Client(transport: simulator, time: time.source),
                        interruption
                    )
                    let discovery = try await migrator.discover()
                    let rows = await migrator.preflight(discovery, interruption: interruption)
                    try await other
                    // Whatever is still on its way, for better or worse, arrives.
                    try await time.source.sleep(time.source.now() + .seconds(30))
                    return (rows, await simulator.snapshot)
                }
                defer { group.cancelAll() }
                while let next = try await group.next() { if let next { return next } }
                throw CancellationError()
            }
        }
        return Result(rows: rows, messages: messages.withLock { $0 }, before: cluster, after: after)
    }
}
