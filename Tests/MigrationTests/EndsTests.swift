import ClusterSimulator
import Foundation
import Kubernetes
import Synchronization
import Testing

@testable import Migration

/// The door of one end. It fails loudly for what the end must not do.
private struct EndDoor: Transport {
    enum End: Sendable { case source, destination }

    let transport: any Transport
    let end: End
    let complain: @Sendable (String) -> Void

    func send(_ request: Request) async throws -> Response {
        if let wrong = try await whatIsWrong(with: request) {
            complain("\(end): \(request.method.rawValue) \(request.target): \(wrong)")
            throw TransportError(.configuration, wrong)
        }
        return try await transport.send(request)
    }

    func open(_ request: Request) async throws -> StreamingResponse { try await transport.open(request) }

    private func whatIsWrong(with request: Request) async throws -> String? {
        let path = request.target.split(separator: "?").first.map(String.init) ?? ""
        let isOfWorkloads = path.hasPrefix("/apis/apps/") || path.hasPrefix("/apis/batch/")
        if isOfWorkloads, end == .destination { return "workloads are the source's" }
        guard request.method != .get else { return nil }
        let parts = path.split(separator: "/").map(String.init)
        guard let kind = parts.first(where: { ["persistentvolumes", "persistentvolumeclaims", "pods"].contains($0) })
        else {
            return nil
        }
        // What is created has its class, or says what it is; all else is asked for.
        let isNew = request.method == .post
        let object =
            isNew
            ? try request.body.map { try JSONDecoder().decode(JSON.self, from: $0) }
            : try JSONDecoder().decode(JSON.self, from: try await transport.send(Request(.get, path)).body)
        if kind == "pods" {
            // Those without a kind are of workloads.
            guard isNew, let kind = object?[path: ["metadata", "annotations", Marks.kind]]?.string else { return nil }
            let isServer = kind == Marks.Kind.server
            if isServer == (end == .destination) { return "movers are the destination's, servers the source's" }
            return nil
        }
        let isDestination = object?[path: ["spec", "storageClassName"]]?.string == World.destination
        return isDestination == (end == .destination) ? nil : "it is of the class of the other end"
    }
}

@Suite("Two ends")
struct EndsTests {
    @Test(
        "with a client each migrate all the same, and no step uses the wrong one",
        arguments: [
            Scenario.deployment, .statefulSet, .twoClaimsInOnePod, .retain, .waitForFirstConsumer, .keepSource, .live,
            .lostRaces, .pod, .customScale, .keda,
        ]
    )
    func separate(scenario: Scenario) throws {
        let complaints = Mutex<[String]>([])
        let door = Mutex<(any Transport)?>(nil)
        let world = scenario.world()
        let invariants = Invariants(of: world)
        let run = world.migrate(
            scenario.options,
            observer: invariants.observer,
            through: { transport in
                door.withLock { $0 = transport }
                return transport
            },
            work: { migrator, interruption in
                let transport = try #require(door.withLock { $0 })
                func end(_ end: EndDoor.End) -> ClusterEnd {
                    let door = EndDoor(transport: transport, end: end) { text in complaints.withLock { $0.append(text) }
                    }
                    return ClusterEnd(id: "one", client: Client(transport: door, time: migrator.context.time))
                }
                let both = Migrator(
                    ends: Ends(source: end(.source), destination: end(.destination)),
                    options: migrator.options,
                    journal: migrator.context.journal
                )
                let discovery = try await both.discover()
                let obstacles = await both.preflight(discovery, interruption: interruption)
                #expect(obstacles.isEmpty, "\(obstacles)")
                return await both.migrate(discovery, interruption: interruption)
            }
        )
        #expect(complaints.withLock { $0 }.isEmpty)
        #expect(run.report?.succeeded == true, "\(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))")
        #expect(run.world.shortcomings(keepsLines: invariants).isEmpty)
    }

    @Test("are two clusters where they say so: each has its own lock")
    func locks() throws {
        let leases = Mutex<[String]>([])
        _ = Scenario.deployment.world(alone: true).migrate(
            as: "this run",
            work: { migrator, _ in
                let context = migrator.context
                let other = Scenario.deployment.world(alone: true)
                let simulator = ClusterSimulator(other.cluster, time: context.time)
                let client = Client(transport: simulator, time: context.time)
                let both = Migrator(
                    ends: Ends(
                        source: ClusterEnd(id: "one", client: context.source),
                        destination: ClusterEnd(id: "two", client: client)
                    ),
                    options: migrator.options,
                    journal: context.journal
                )
                try await both.exclusively(as: "this run", interruption: Interruption()) {
                    let found = try await client.list(Lease.self, in: Migrator.lockNamespace)
                    leases.withLock { $0 = found.map(\.metadata.name).sorted() }
                }
                let left = try await client.list(Lease.self, in: Migrator.lockNamespace)
                #expect(left.isEmpty)
                return Report()
            }
        )
        #expect(leases.withLock { $0 } == ["pvmigrate-fast", "pvmigrate-slow"])
    }
}

@Suite("One class at both ends")
struct EqualClassesTests {
    private let world: World
    private let claim = ObjectName("data", in: "shop")
    private let options = Options(sourceClass: World.source, destinationClass: World.source)

    init() {
        var world = World()
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"])
        world.settle()
        self.world = world
    }

    /// Expects that the claim has a new volume with all its data.
    private func expectNewVolume(_ run: World.Run, _ comment: Comment = "") throws {
        #expect(
            run.report?.succeeded == true,
            "\(comment) \(run.failure ?? "")\n\(run.messages.joined(separator: "\n"))"
        )
        let (before, after) = (try #require(world.volume(of: claim)), try #require(run.world.volume(of: claim)))
        #expect(after != before, comment)
        let content = try #require(run.world.cluster.content(ofVolumeNamed: after), comment)
        #expect(World.lines(in: content, of: claim) != nil, comment)
        #expect(run.world.object(.persistentVolumes, ObjectName(before, in: nil)) == nil, comment)
        #expect(run.world.object(.persistentVolumeClaims, ObjectName("data-pvcmigrate", in: "shop")) == nil, comment)
    }

    @Test("a claim gets a new volume of its own class, since nothing is told by its class")
    func migrates() throws { try expectNewVolume(world.migrate(options)) }

    @Test("a run that died at any request is finished by the next one")
    func dies() throws {
        let whole = WatchedRun(from: CrashPoint(world: world, crashes: []), seed: 1, options: options)
        for number in stride(from: 0, to: whole.recording.count, by: 5) {
            // A staging claim that was not written down yet is left, and the next run fails for telling so.
            guard !whole.recording.name(number).hasPrefix("after POST /api/v1/namespaces/shop/persistentvolumeclaims")
            else { continue }
            let next = whole.recording[number].world.migrate(options, as: "second")
            try expectNewVolume(next, "\(whole.recording.name(number))")
        }
    }
}
