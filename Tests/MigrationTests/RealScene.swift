import ClusterSimulator
import Foundation
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// A cluster whose containers are real processes, with a claim that a Deployment uses.
final class RealScene: Sendable {
    static let claim = ObjectName("data", in: "shop")

    let root: URL
    let runtime: ProcessRuntime
    let simulator: ClusterSimulator
    let state = State()

    final class State: Sendable {
        /// While it is set, nobody reaches the API server.
        let isDead = Mutex(false)
        let log = Mutex<[String]>([])
    }

    /// What the claim is, and who the pods are.
    struct Setting {
        var volumeMode = "Filesystem"
        /// The level of Pod Security that the namespace enforces.
        var podSecurity: String?
        var podContext: JSON = [:]
        var containerContext: JSON = [:]
    }

    private init(_ setting: Setting) throws {
        root = FileManager.default.temporaryDirectory.appending(path: "real-\(UUID())")
        runtime = try ProcessRuntime(root: root)
        var cluster = Cluster()
        cluster.behaviour.modelsContainers = false
        for name in cluster.behaviour.provisioners.keys {
            cluster.behaviour.provisioners[name]?.delay = .milliseconds(10)
        }
        for node in ["node-1", "node-2"] { cluster.addNode(node) }
        try cluster.create(.namespaces, ["metadata": ["name": "shop"]])
        if let level = setting.podSecurity {
            try cluster.update(ObjectKey(.namespaces, nil, "shop")) {
                $0[path: ["metadata", "labels", "pod-security.kubernetes.io/enforce"]] = .string(level)
            }
        }
        for name in ["slow", "fast"] {
            try cluster.create(
                .storageClasses,
                PreflightScene.storageClass(name, provisioner: "network.csi.example.com")
            )
        }
        try cluster.create(
            .persistentVolumeClaims,
            namespace: "shop",
            [
                "metadata": ["name": "data"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
                    "volumeMode": .string(setting.volumeMode),
                    "resources": ["requests": ["storage": "40Mi"]],
                ],
            ]
        )
        try cluster.create(
            .deployments,
            namespace: "shop",
            [
                "metadata": ["name": "app"],
                "spec": [
                    "replicas": 1, "selector": ["matchLabels": ["app": "app"]],
                    "template": [
                        "metadata": ["labels": ["app": "app"]],
                        "spec": [
                            "terminationGracePeriodSeconds": 0, "securityContext": setting.podContext,
                            "containers": [
                                [
                                    "name": "app", "image": "busybox",
                                    "command": ["sh", "-c", "test -r /disk && sleep 100000"],
                                    "securityContext": setting.containerContext,
                                    "volumeDevices": setting.volumeMode == "Block"
                                        ? [["name": "disk", "devicePath": "/disk"]] : [],
                                    "volumeMounts": setting.volumeMode == "Block"
                                        ? [] : [["name": "disk", "mountPath": "/disk"]],
                                ]
                            ],
                            "volumes": [["name": "disk", "persistentVolumeClaim": ["claimName": "data"]]],
                        ],
                    ],
                ],
            ]
        )
        simulator = ClusterSimulator(
            cluster,
            time: .continuous,
            runtime: runtime,
            interceptor: { [state] _, _ in
                state.isDead.withLock { $0 } ? .refuse : nil
            }
        )
    }

    static func with(_ setting: Setting, _ body: (RealScene) async throws -> Void) async throws {
        let scene = try RealScene(setting)
        let running = Task { try await scene.simulator.run() }
        var failure: (any Error)?
        do {
            try await scene.awaitPod()
            try await body(scene)
        } catch {
            failure = error
        }
        running.cancel()
        await scene.runtime.shutDown()
        try FileManager.default.removeItem(at: scene.root)
        if let failure { throw failure }
    }

    private var client: Client {
        Client(transport: simulator, time: .continuous, patience: .milliseconds(100))
    }

    /// Waits until the workload's pod runs.
    func awaitPod() async throws {
        try await client.wait(for: Pod.self, in: "shop", limit: .seconds(300), what: "the pod to be ready") {
            $0.objects.values.contains { $0.isReady && $0.metadata.labels?["app"] == "app" } ? () : nil
        }
    }

    func options() -> Options { Options(sourceClass: "slow", destinationClass: "fast") }

    func migrate(_ options: Options) async throws -> Report {
        let migrator = Migrator(
            client: client,
            options: options,
            journal: Journal(time: .continuous) { [state] message in state.log.withLock { $0.append(message.text) } }
        )
        return await migrator.migrate(try await migrator.discover(), interruption: Interruption())
    }

    func preflight() async throws -> [Obstacle] {
        let migrator = Migrator(client: client, options: options(), journal: Journal(time: .continuous) { _ in })
        return await migrator.preflight(try await migrator.discover(), interruption: Interruption())
    }

    var messages: [String] { state.log.withLock { $0 } }

    /// The directory, or the file in place of the device, behind a claim.
    func path(_ claim: ObjectName = claim) async throws -> String? {
        guard let bound = try await client.find(PersistentVolumeClaim.self, claim), let name = bound.spec.volumeName
        else { return nil }
        return await simulator.snapshot.storage(ofVolumeNamed: name).map {
            runtime.directory(of: $0, node: "").path
        }
    }
}
