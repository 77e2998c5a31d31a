import FoundationEssentials
public import Kubernetes

/// A simulated cluster behind the client's transport.
///
/// Time passes in it as the time source says, as long as `run` runs: with the machine's clock for the sandbox, with
/// virtual time for tests.
public actor ClusterSimulator: Transport {
    private var cluster: Cluster
    nonisolated let time: TimeSource
    /// What the time source said at the cluster's start.
    private let origin: Duration
    private let runtime: (any ContainerRuntime)?
    private let interceptor: Interceptor?
    private let observer: Observer?
    private let meddler: Meddler?
    /// The longest time that a request takes on its way, and again its answer; what it takes is the seed's choice.
    private let latency: Duration
    private var delays: SeededGenerator
    private var requests = 0
    /// The cluster before each of the latest requests, for stale answers.
    private var past: [Cluster] = []
    /// Rings at every change, for streams, and when something has become due earlier, for `run`.
    nonisolated let bell = Bell()

    /// - Parameters:
    ///   - cluster: where it begins; a snapshot of another simulator, for example.
    ///   - runtime: runs containers outside the cluster; without one the cluster's own model does.
    ///   - latency: the most that a request takes on its way there, and its answer on its way back.
    public init(
        _ cluster: Cluster,
        time: TimeSource,
        runtime: (any ContainerRuntime)? = nil,
        latency: Duration = .zero,
        interceptor: Interceptor? = nil,
        observer: Observer? = nil,
        meddler: Meddler? = nil
    ) {
        self.cluster = cluster
        self.time = time
        self.runtime = runtime
        self.latency = latency
        self.interceptor = interceptor
        self.observer = observer
        self.meddler = meddler
        origin = time.now() - cluster.now
        var random = cluster.random
        delays = SeededGenerator(seed: random.next())
    }

    /// The cluster as it is now; a new simulator can go on from it.
    public var snapshot: Cluster {
        advance()
        return cluster
    }

    /// Looks at the cluster or changes it from outside, as a person with other means would.
    public func change<Result: Sendable>(
        _ body: @Sendable (inout Cluster) throws -> Result
    ) rethrows -> Result {
        advance()
        defer { bell.ring() }
        return try body(&cluster)
    }

    /// Lets time pass and controllers work, and containers run, until the task is cancelled.
    public func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.pump() }
            if let runtime {
                group.addTask {
                    for await report in runtime.reports { await self.take(report) }
                }
            }
            defer { group.cancelAll() }
            try await group.waitForAll()
        }
    }

    /// A connection of somebody else.
    public nonisolated func transport(as user: User) -> some Transport { Connection(simulator: self, user: user) }

    // MARK: Time

    private func pump() async throws {
        while true {
            try Task.checkCancellation()
            let rings = bell.rings
            if advance() { bell.ring() }
            for command in cluster.takeRuntimeCommands() { await runtime?.perform(command) }
            // Whatever changed meanwhile has rung the bell; our own ring is not a reason to go on at once.
            let seen = max(rings, bell.rings)
            if let due = cluster.nextDue, due <= time.now() - origin { continue }
            try await bell.wait(past: seen, until: cluster.nextDue.map { $0 + origin }, time)
        }
    }

    /// Does what has become due; says whether anything changed.
    @discardableResult
    private func advance() -> Bool {
        let version = cluster.resourceVersion
        let wrote = cluster.logPieces
        cluster.advance(to: time.now() - origin)
        if cluster.resourceVersion != version { meddler?(nil, &cluster) }
        return cluster.resourceVersion != version || cluster.logPieces != wrote
    }

    private func take(_ report: RuntimeReport) {
        advance()
        cluster.report(report)
        bell.ring()
    }

    // MARK: Requests

    public func send(_ request: Request) async throws -> Response { try await send(request, as: .admin) }

    public func open(_ request: Request) async throws -> StreamingResponse { try await open(request, as: .admin) }

    func send(_ request: Request, as user: User) async throws -> Response {
        requests += 1
        let fault = await interceptor?(request, requests)
        try await travel()
        try await failBefore(request, fault)
        if case .answer(let response)? = fault { return response }
        if case .stale(let age)? = fault, request.method == .get, var old = past.dropLast(max(1, age) - 1).last {
            return old.handle(request, as: user)
        }
        var response = perform(request, as: user)
        try await failAfter(request, fault)
        if case .answerAfter(let other)? = fault { return other }
        if case .truncate? = fault { response.body = response.body.prefix(response.body.count / 2) }
        try await travel()
        return response
    }

    /// Lets the request take effect.
    private func perform(_ request: Request, as user: User) -> Response {
        advance()
        meddler?(request, &cluster)
        remember()
        let response = cluster.handle(request, as: user)
        observer?(request, response, cluster)
        bell.ring()
        return response
    }

    private func remember() {
        guard interceptor != nil else { return }
        past.append(cluster)
        if past.count > 16 { past.removeFirst() }
    }

    /// The time that a request or its answer is under way.
    private func travel() async throws {
        guard latency > .zero else { return }
        let share = Double.random(in: 0.1...1, using: &delays)
        try await time.sleep(time.now() + latency * share)
    }

    private func failBefore(_ request: Request, _ fault: Fault?) async throws {
        switch fault {
        case .refuse: throw TransportError(.notSent, "connection refused")
        case .cutBefore: throw TransportError(.interrupted, "connection reset by peer")
        case .silence(takesEffect: false): throw try await silence(request.silence)
        case .hang(takesEffect: false): try await hang()
        default: break
        }
    }

    private func failAfter(_ request: Request, _ fault: Fault?) async throws {
        switch fault {
        case .cutAfter: throw TransportError(.interrupted, "connection reset by peer")
        case .silence(takesEffect: true): throw try await silence(request.silence)
        case .hang(takesEffect: true): try await hang()
        default: break
        }
    }

    private nonisolated func silence(_ patience: Duration) async throws -> TransportError {
        try await time.sleep(time.now() + patience)
        return ClusterStream.silent(patience)
    }

    private func hang() async throws {
        while true { try await bell.wait(past: .max) }
    }

    func open(_ request: Request, as user: User) async throws -> StreamingResponse {
        guard Cluster.isStreaming(request) else {
            let response = try await send(request, as: user)
            return StreamingResponse(
                status: response.status,
                headers: response.headers,
                body: WholeBody(response.body)
            )
        }
        requests += 1
        let fault = await interceptor?(request, requests)
        try await travel()
        try await failBefore(request, fault)
        if case .answer(let response)? = fault {
            return StreamingResponse(
                status: response.status,
                headers: response.headers,
                body: WholeBody(response.body)
            )
        }
        advance()
        meddler?(request, &cluster)
        remember()
        let opened = cluster.open(request, as: user)
        let stream: StreamingResponse
        switch opened {
        case .answer(let response):
            stream = StreamingResponse(
                status: response.status,
                headers: response.headers,
                body: WholeBody(response.body)
            )
        case .watch(let watch):
            let body = ClusterStream(self, .watch(watch), silence: request.silence, fault)
            stream = StreamingResponse(status: 200, headers: [("Content-Type", "application/json")], body: body)
        case .log(let query):
            let body = ClusterStream(self, .log(query, .init()), silence: request.silence, fault)
            stream = StreamingResponse(status: 200, headers: [("Content-Type", "text/plain")], body: body)
        }
        observer?(request, Response(status: stream.status, headers: stream.headers), cluster)
        bell.ring()
        try await failAfter(request, fault)
        if case .answerAfter(let response)? = fault {
            return StreamingResponse(
                status: response.status,
                headers: response.headers,
                body: WholeBody(response.body)
            )
        }
        return stream
    }

    /// The next step of a stream, and how often the bell had rung by then.
    func step(_ source: ClusterStream.Source) -> (ClusterStream.Source, Cluster.StreamStep, rings: Int) {
        if advance() { bell.ring() }
        var source = source
        let step = source.next(in: cluster)
        return (source, step, bell.rings)
    }

    // MARK: Commands in containers

    public func upgrade(_ request: Request, subprotocols: [String]) async throws -> UpgradeAnswer {
        try await upgrade(request, subprotocols, as: .admin)
    }

    func upgrade(_ request: Request, _ subprotocols: [String], as user: User) async throws -> UpgradeAnswer {
        requests += 1
        let fault = await interceptor?(request, requests)
        try await travel()
        try await failBefore(request, fault)
        if case .answer(let response)? = fault { return .refused(response) }
        advance()
        meddler?(request, &cluster)
        remember()
        let opened = cluster.openExec(request, subprotocols, as: user)
        if case .refused(let response) = opened {
            observer?(request, response, cluster)
        } else {
            observer?(request, Response(status: 101), cluster)
        }
        let answer = await answer(opened, silence: request.silence, fault)
        bell.ring()
        do {
            try await failAfter(request, fault)
            try await travel()
        } catch {
            if case .open(let socket) = answer { await socket.close() }
            throw error
        }
        if case .answerAfter(let response)? = fault { return .refused(response) }
        return answer
    }

    private func answer(_ opened: OpenedExec, silence: Duration, _ fault: Fault?) async -> UpgradeAnswer {
        func socket(_ query: ExecQuery, _ version: ExecProtocol, _ source: ExecSocket.Source) -> ExecSocket {
            ExecSocket(self, query, version, source, silence: silence, fault)
        }
        switch opened {
        case .refused(let response): return .refused(response)
        case .failed(let query, let version, let status):
            let socket = socket(query, version, .nothing)
            await socket.fail(status)
            return .open(socket)
        case .model(let query, let version, let number):
            return .open(socket(query, version, .model(number: number)))
        case .runtime(let query, let version, let id):
            let queue = ExecQueue()
            let input = await runtime?.exec(id, query.command, hasInput: query.hasInput, hears: queue.put)
            return .open(socket(query, version, .runtime(queue, input ?? nil)))
        }
    }

    /// What a command of the model has told, nil where it has not come so far.
    func event(_ index: Int, ofExec number: Int) -> ExecEvent? {
        if advance() { bell.ring() }
        return cluster.controllers.model.event(index, ofExec: number)
    }

    func forgetExec(_ number: Int) { cluster.controllers.model.forgetExec(number) }

    /// A moment of the cluster as the time source counts.
    nonisolated func moment(_ inCluster: Duration) -> Duration { inCluster + origin }
}

/// The cluster for another user.
private struct Connection: Transport {
    let simulator: ClusterSimulator
    let user: User

    func send(_ request: Request) async throws -> Response { try await simulator.send(request, as: user) }

    func open(_ request: Request) async throws -> StreamingResponse { try await simulator.open(request, as: user) }

    func upgrade(_ request: Request, subprotocols: [String]) async throws -> UpgradeAnswer {
        try await simulator.upgrade(request, subprotocols, as: user)
    }
}
