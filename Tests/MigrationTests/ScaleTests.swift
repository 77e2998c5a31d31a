import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// Counts what a run asks of the API server.
private final class Counter: Transport {
    struct Counts {
        var requests = 0
        var watches = 0
        var mostWatches = 0
    }

    private let server: any Transport
    private let state = Mutex(Counts())

    init(_ server: any Transport) { self.server = server }

    var counts: Counts { state.withLock { $0 } }

    func send(_ request: Request) async throws -> Response {
        state.withLock { $0.requests += 1 }
        return try await server.send(request)
    }

    func open(_ request: Request) async throws -> StreamingResponse {
        state.withLock {
            $0.requests += 1
            $0.watches += 1
            $0.mostWatches = max($0.mostWatches, $0.watches)
        }
        var response = try await server.open(request)
        response.body = Counted(response.body) { [self] in state.withLock { $0.watches -= 1 } }
        return response
    }

    private final class Counted: ResponseBody {
        private let body: any ResponseBody
        private let onEnd: @Sendable () -> Void

        init(_ body: any ResponseBody, onEnd: @escaping @Sendable () -> Void) {
            (self.body, self.onEnd) = (body, onEnd)
        }

        deinit { onEnd() }

        func next() async throws -> Data? { try await body.next() }

        func close() async { await body.close() }
    }
}

@Suite("Many claims")
struct ScaleTests {
    /// Deployments with four claims each, in namespaces of forty claims.
    private func world(_ count: Int) -> World {
        var world = World()
        for number in 0..<count / 4 {
            let namespace = "shop-\(number / 10)"
            if number % 10 == 0 { world.make(.namespaces, nil, ["metadata": ["name": .string(namespace)]]) }
            let claims = (0..<4).map { "data-\(number)-\($0)" }
            for claim in claims { world.addClaim(claim, in: namespace) }
            world.addDeployment("web-\(number)", in: namespace, claims: claims)
        }
        world.settle()
        return world
    }

    private func run(_ count: Int) throws -> (Counter.Counts, World.Run) {
        let counter = Mutex<Counter?>(nil)
        let run = world(count).migrate(through: { server in
            let counted = Counter(server)
            counter.withLock { $0 = counted }
            return counted
        })
        return (try #require(counter.withLock { $0 }).counts, run)
    }

    @Test("take as many requests each as few do, and no more watches at a time")
    func requests() throws {
        let (few, _) = try run(20)
        let (many, last) = try run(200)
        #expect(last.report?.claims.count(where: \.isDone) == 200, "\(last.messages.suffix(20))")
        // Measured: 67 of each claim, and a few of the run.
        #expect(many.requests <= few.requests * 10, "\(few) \(many)")
        #expect(many.requests <= 200 * 68, "\(many)")
        #expect(many.mostWatches <= 7, "\(many)")
    }
}
