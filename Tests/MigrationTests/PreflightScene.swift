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
        /// The rows as the table shows them, without the random part of a trial's name.
        var table: [String] { rows.map { "\($0.namespace)|\($0.resource)|\($0.message)" } }
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

    /// Discovers and runs preflight; `meanwhile` runs beside it.
    func preflight(
        meanwhile: @escaping @Sendable (ClusterSimulator, Interruption) async throws -> Void = { _, _ in }
    ) async throws -> Result {
        let time = SkippingTime()
        let simulator = ClusterSimulator(cluster, time: time.source, interceptor: interceptor)
        let messages = Mutex<[String]>([])
        let box = MessageBox()
        let migrator = Migrator(
            client: Client(transport: simulator.transport(as: user), time: time.source),
            options: options,
            journal: Journal(time: time.source) { box.add("\($0.subject): \($0.text)") }
        )
        _ = messages
        let before = cluster
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await time.run(); return nil }
            group.addTask { try await simulator.run(); return nil }
            group.addTask {
                let interruption = Interruption()
                async let other: Void = meanwhile(simulator, interruption)
                let discovery = try await migrator.discover()
                let rows = await migrator.preflight(discovery, interruption: interruption)
                try await other
                return Result(rows: rows, messages: box.all, before: before, after: await simulator.snapshot)
            }
            defer { group.cancelAll() }
            while let next = try await group.next() { if let next { return next } }
            throw CancellationError()
        }
    }
}

private final class MessageBox: Sendable {
    private let messages = Mutex<[String]>([])
    var all: [String] { messages.withLock { $0 } }
    func add(_ message: String) { messages.withLock { $0.append(message) } }
}

/// Time that skips to the next moment that somebody sleeps for, as soon as nothing happens any more.
private final class SkippingTime: Sendable {
    private struct State {
        var now = Duration.zero
        var sleepers: [Int: (until: Duration, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var nextID = 0
        var activity = 0
    }

    private let state = Mutex(State())

    var source: TimeSource {
        TimeSource(
            now: { self.state.withLock { $0.activity += 1; return $0.now } },
            sleep: { try await self.sleep(until: $0) }
        )
    }

    private func sleep(until moment: Duration) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let now: Result<Void, any Error>? = state.withLock { state in
                    state.activity += 1
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if moment <= state.now { return .success(()) }
                    state.sleepers[id] = (moment, continuation)
                    return nil
                }
                if let now { continuation.resume(with: now) }
            }
        } onCancel: {
            state.withLock { $0.sleepers.removeValue(forKey: id) }?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Skips ahead until the task is cancelled.
    func run() async throws {
        var seen = -1
        while true {
            try await Task.sleep(for: .milliseconds(1))
            let activity = state.withLock { $0.activity }
            defer { seen = activity }
            guard activity == seen else { continue }
            let woken = state.withLock { state in
                guard let next = state.sleepers.values.map(\.until).min() else {
                    return [CheckedContinuation<Void, any Error>]()
                }
                state.now = max(state.now, next)
                state.activity += 1
                let due = state.sleepers.filter { $0.value.until <= state.now }
                for id in due.keys { state.sleepers[id] = nil }
                return due.values.map(\.continuation)
            }
            for continuation in woken { continuation.resume() }
        }
    }
}
