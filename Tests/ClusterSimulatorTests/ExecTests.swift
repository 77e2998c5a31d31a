import Foundation
import Kubernetes
import Testing

@testable import ClusterSimulator

@Suite("Commands in containers", .timeLimit(.minutes(5)))
struct ExecTests {
    /// A running pod `p` with the claim `data`, in a cluster whose containers are real processes.
    private func withPod(
        _ body: (ClusterSimulator, _ volume: URL) async throws -> Void
    ) async throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "exec-\(UUID().uuidString)")
        let runtime = try ProcessRuntime(root: root)
        var world = try World()
        world.cluster.behaviour.modelsContainers = false
        try world.claim("data")
        world.pass(.seconds(1))
        try world.pod("p", ["sh", "-c", "sleep 3600"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        let simulator = ClusterSimulator(world.cluster, time: .continuous, runtime: runtime)
        let running = Task { try await simulator.run() }
        // The API is asked for the pod until it runs; the suite's time limit bounds it.
        while await simulator.snapshot.get(World.key(.pods, "p"))?.isReady != true {
            try await Task.sleep(for: .milliseconds(50))
        }
        let storage = try #require(world.cluster.storage(ofVolumeNamed: world.volume("data")))
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await body(simulator, runtime.directory(of: storage, node: "node-1")))
        } catch {
            outcome = .failure(error)
        }
        running.cancel()
        await runtime.shutDown()
        try FileManager.default.removeItem(at: root)
        try outcome.get()
    }

    /// The same with modelled containers, in virtual time.
    private func withModel(_ body: @escaping @Sendable (ClusterSimulator) async throws -> Void) throws {
        var world = try World()
        try world.claim("data")
        try world.pod("p", ["sh", "-c", "sleep 3600"], ["data"]) { $0.put("node-1", "spec", "nodeName") }
        world.pass(.seconds(5))
        let cluster = world.cluster
        let time = VirtualTime()
        try time.run {
            let simulator = ClusterSimulator(cluster, time: time.source)
            try await withThrowingTaskGroup { group in
                group.addTask { try await simulator.run() }
                try await body(simulator)
                group.cancelAll()
            }
        }
    }

    private static func target(_ command: [String], pod: String = "p", _ streams: String = "stdout=1&stderr=1")
        -> String
    {
        "/api/v1/namespaces/rec/pods/\(pod)/exec?\(streams)"
            + command.map { word in
                "&command="
                    + word.utf8.map { byte in
                        let digits = String(byte, radix: 16)
                        return "%" + (digits.count < 2 ? "0" : "") + digits
                    }.joined()
            }.joined()
    }

    /// Everything that a command says, each message with its channel.
    private static func run(
        _ command: [String],
        pod: String = "p",
        _ version: String = "v5",
        on transport: some Transport
    ) async throws -> [String] {
        let request = Request(.get, target(command, pod: pod))
        guard case .open(let socket) = try await transport.upgrade(request, subprotocols: [version + ".channel.k8s.io"])
        else { return [] }
        var said: [String] = []
        while let message = try await socket.receive() {
            said.append("\(message.first ?? 0) \(String(decoding: message.dropFirst(), as: UTF8.self))")
        }
        return said
    }

    /// The recorded conversation in which the pod is deleted meanwhile needs another one's moment.
    private static func isOfDeletion(_ conversation: Conversation) -> Bool {
        conversation.request.target.contains("late")
    }

    @Test("real processes say what was recorded: channels, half-close, exit codes, refusals")
    func recorded() async throws {
        let conversations = try Conversation.recorded("exec_websocket")
        #expect(conversations.count == 10)
        try await withPod { simulator, _ in
            for conversation in conversations where !Self.isOfDeletion(conversation) {
                try await conversation.play(on: simulator)
            }
        }
    }

    @Test("a command ends with its container, as recorded")
    func deletedMeanwhile() throws {
        let conversation = try #require(try Conversation.recorded("exec_websocket").last)
        #expect(Self.isOfDeletion(conversation))
        try withModel { simulator in
            async let played: Void = conversation.play(on: simulator)
            try await simulator.time.sleep(simulator.time.now() + .milliseconds(1))
            try await simulator.change { cluster in
                _ = try cluster.delete(World.key(.pods, "p"), gracePeriodSeconds: 0)
            }
            try await played
        }
    }

    @Test("a command goes on without its connection, and reads the end of its input")
    func closed() async throws {
        try await withPod { simulator, volume in
            let request = Request(
                .get,
                Self.target(["sh", "-c", "cat; sleep 0.2; echo more; touch /v0/after"], "stdin=1&stdout=1")
            )
            guard
                case .open(let socket) = try await simulator.upgrade(request, subprotocols: ["v4.channel.k8s.io"])
            else {
                Issue.record("refused")
                return
            }
            try await socket.send(Data([0]) + Data("x".utf8))
            await socket.close()
            // The suite's time limit bounds it.
            while !FileManager.default.fileExists(atPath: volume.appending(path: "after").path) {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    @Test("a command has its container's working directory, environment and user")
    func view() async throws {
        try await withPod { simulator, _ in
            let said = try await Self.run(["sh", "-c", "pwd; echo $HOSTNAME; id -u"], on: simulator)
            #expect(said.dropLast().map { $0.dropFirst(2) }.joined() == "/\np\n0\n")
        }
    }

    @Test("the model runs a command beside the container, and what it changes is there")
    func model() throws {
        try withModel { simulator in
            #expect(
                try await Self.run(["sh", "-c", "touch /v0/go; echo told; exit 3"], on: simulator) == [
                    "1 ", "1 told\n",
                    "3 {\"details\":{\"causes\":[{\"message\":\"3\",\"reason\":\"ExitCode\"}]},\"message\":\"command "
                        + "terminated with non-zero exit code: command terminated with exit code 3\",\"metadata\":{},"
                        + "\"reason\":\"NonZeroExitCode\",\"status\":\"Failure\"}",
                ]
            )
            let cluster = await simulator.snapshot
            let volume = cluster.list(.persistentVolumes).first?.name ?? ""
            #expect(cluster.content(ofVolumeNamed: volume)?.keys.sorted() == ["go"])
            let unknown = try await Self.run(["rsync-not-there"], on: simulator)
            #expect(unknown.last?.contains("executable file not found in $PATH: unknown") == true)
        }
    }

    @Test("who may not get pods/exec is refused, and a container that does not run is not found")
    func refusals() throws {
        try withModel { simulator in
            let viewer = User("viewer", groups: ["system:authenticated"])
            let request = Request(.get, Self.target(["true"]))
            guard
                case .refused(let response) = try await simulator.transport(as: viewer).upgrade(
                    request,
                    subprotocols: ["v5.channel.k8s.io"]
                )
            else {
                Issue.record("a command of somebody without rights runs")
                return
            }
            #expect(response.status == 403)
            #expect(
                String(decoding: response.body, as: UTF8.self).contains(
                    "pods \\\"p\\\" is forbidden: User \\\"viewer\\\" cannot get resource \\\"pods/exec\\\" in API group"
                )
            )
            try await simulator.change { cluster in
                var pod = World.podSpec(["true"])
                pod["restartPolicy"] = "Never"
                try cluster.create(.pods, namespace: "rec", ["metadata": ["name": "over"], "spec": pod])
            }
            try await simulator.time.sleep(simulator.time.now() + .seconds(10))
            let said = try await Self.run(["true"], pod: "over", on: simulator)
            #expect(said.last?.contains("unable to upgrade connection: container not found (\\\"main\\\")") == true)
            let v4 = try await Self.run(["true"], pod: "over", "v4", on: simulator)
            #expect(v4.isEmpty)
        }
    }

    @Test("a connection breaks where a fault says so")
    func faults() throws {
        var world = try World()
        try world.pod("p", ["sleep", "3600"])
        world.pass(.seconds(5))
        let cluster = world.cluster
        let time = VirtualTime()
        try time.run {
            let simulator = ClusterSimulator(cluster, time: time.source) { _, number in
                number == 1 ? .cutStream(afterPieces: 1) : .cutBefore
            }
            for _ in 0..<2 {
                await #expect(throws: TransportError.self) { _ = try await Self.run(["true"], on: simulator) }
            }
        }
    }
}
