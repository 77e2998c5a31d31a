import Kubernetes
import Synchronization

/// When Deployments were asked to stop and to start again, and when they were ready, as anybody can see who watches them
/// and their pods.
final class OutageWatch: Sendable {
    /// What was seen of one Deployment.
    struct Moments: Sendable {
        fileprivate(set) var stopped: Duration?
        fileprivate(set) var started: Duration?
        fileprivate(set) var ready: Duration?

        var untilStarted: Duration? { Self.between(stopped, started) }
        var untilReady: Duration? { Self.between(stopped, ready) }

        private static func between(_ start: Duration?, _ end: Duration?) -> Duration? {
            guard let start, let end else { return nil }
            return end - start
        }
    }

    private let client: Client
    private let workloads: Set<String>
    private let moments = Mutex<[String: Moments]>([:])
    private let (ups, up) = AsyncStream<Void>.makeStream()
    private static let limit: Duration = .seconds(3 * 3600)

    init(client: Client, workloads: Set<String>) {
        self.client = client
        self.workloads = workloads
    }

    /// Returns when `observe` has begun to look.
    func begin() async throws {
        var count = 0
        for await _ in ups {
            count += 1
            if count == 2 { return }
        }
        throw BenchError("the watch ended before it began")
    }

    /// Looks on until each Deployment was stopped, started and ready again.
    ///
    /// - Throws: `APIError`, or `WaitTimeout` after three hours.
    func observe() async throws -> [Moments] {
        defer { up.finish() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.observePods() }
            group.addTask { try await self.observeDeployments() }
            // The Deployments end it: of them all is known when they are ready.
            try await group.next()
            group.cancelAll()
        }
        return moments.withLock { Array($0.values) }
    }

    /// The first of a Deployment's pods that is asked to stop begins its outage.
    private func observePods() async throws {
        try await watch(Pod.self) { pods, now in
            let stopping = pods.filter(\.metadata.isTerminating).compactMap { $0.metadata.labels?["app"] }
            moments.withLock { moments in
                for name in stopping where moments[name]?.stopped == nil {
                    moments[name, default: Moments()].stopped = now
                }
            }
            return false
        }
    }

    private func observeDeployments() async throws {
        var down: Set<String> = []
        try await watch(WorkloadObject.self, of: .deployments) { deployments, now in
            moments.withLock { moments in
                for deployment in deployments {
                    let name = deployment.metadata.name
                    if deployment.spec.replicas == 0 {
                        down.insert(name)
                    } else if down.contains(name) {
                        var seen = moments[name] ?? Moments()
                        seen.started = seen.started ?? now
                        if deployment.isReady { seen.ready = seen.ready ?? now }
                        moments[name] = seen
                    }
                }
                return moments.values.count { $0.ready != nil } == workloads.count
            }
        }
    }

    /// Looks at all objects of a kind whenever one of them changes, until enough is seen.
    private func watch<Object: KubernetesObject>(
        _ type: Object.Type,
        of resource: APIResource = Object.resource,
        isEnough: ([Object], Duration) -> Bool
    ) async throws {
        var isUp = false
        let _: Bool = try await client.wait(
            for: type,
            of: resource,
            in: World.namespace,
            limit: Self.limit,
            what: "every Deployment to stop, start and be ready again"
        ) { objects -> Bool? in
            let now = client.time.now()
            if !isUp { up.yield() }
            isUp = true
            return isEnough(Array(objects.objects.values), now) ? true : nil
        }
    }
}
