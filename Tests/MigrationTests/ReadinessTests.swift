import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("Made ready before the stop")
struct ReadinessTests {
    private static let staging = ObjectKey(.persistentVolumeClaims, "shop", Marks.stagingName(of: "data"))
    private static let deployment = ObjectKey(.deployments, "shop", "web")

    private func world(waitForFirstConsumer: Bool = true, modes: JSON = ["ReadWriteOnce"]) -> World {
        var world = World(waitForFirstConsumer: waitForFirstConsumer)
        world.addClaim("data", modes: modes)
        world.addDeployment("web", claims: ["data"])
        world.settle()
        return world
    }

    /// What was true when the workload was stopped.
    private final class Stop: Sendable {
        private let seen = Mutex<String?>(nil)

        var phase: String? { seen.withLock { $0 } }

        var observer: Observer {
            { [self] _, _, cluster in
                guard cluster.get(ReadinessTests.deployment)?[path: ["spec", "replicas"]] == 0 else { return }
                let phase = cluster.get(ReadinessTests.staging)?[path: ["status", "phase"]]?.string
                seen.withLock { $0 = $0 ?? phase ?? "none" }
            }
        }
    }

    @Test("a staging claim is bound before the workload stops, though its class waits for the first consumer")
    func bound() {
        let stop = Stop()
        let run = world().migrate(observer: stop.observer)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(stop.phase == "Bound")
    }

    /// The number of pods that were made ready.
    private func made(_ run: World.Run) -> Int { run.messages.count { $0.contains("made ready to be copied on node") } }

    @Test("a node that has the image is not made to pull it, one of which that isn't known is, once")
    func image() throws {
        #expect(made(world(waitForFirstConsumer: false, modes: ["ReadWriteOncePod"]).migrate()) == 0)
        var world = World()
        for number in 1...3 {
            world.addClaim("data-\(number)")
            world.addDeployment("web-\(number)", claims: ["data-\(number)"])
        }
        world.settle()
        for node in ["node-1", "node-2"] {
            _ = try world.cluster.update(ObjectKey(.nodes, nil, node), subresource: "status") {
                $0[path: ["status", "images"]] = []
            }
        }
        var options = Scenario.deployment.options
        options.parallel = 1
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        // Two begin at once, the third finds it.
        #expect(made(run) == 2)
    }

    @Test("nothing mounts a claim that is in use where SELinux labels files")
    func beside() {
        var world = world()
        world.labelFiles()
        let mounted = Mutex(false)
        let run = world.migrate(observer: { _, _, cluster in
            guard cluster.get(Self.deployment)?[path: ["spec", "replicas"]] == 1 else { return }
            let sources = cluster.list(.pods, namespace: "shop").filter {
                $0[path: ["metadata", "annotations", Marks.kind]]?.string == Marks.Kind.mover
            }.flatMap { $0[path: ["spec", "volumes"]]?.array ?? [] }
                .filter { $0[path: ["persistentVolumeClaim", "claimName"]] == "data" }
            if cluster.get(Self.staging) != nil, !sources.isEmpty { mounted.withLock { $0 = true } }
        })
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(!mounted.withLock { $0 })
    }

    /// The answer to the first pod that is created.
    private static func refusingFirstPod(_ message: String) -> Interceptor {
        let isFirst = Mutex(true)
        let body = Data(
            #"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"\#(message)"}"#.utf8
        )
        return { request, _ in
            guard request.method == .post, request.target.contains("/pods") else { return nil }
            return isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst ? .answer(Response(status: 403, body: body)) : nil
            }
        }
    }

    @Test("where it can't be made ready nothing is stopped, and a later run migrates it")
    func failure() {
        let outage = Mutex(false)
        let run = world().migrate(
            interceptor: Self.refusingFirstPod("not here"),
            observer: { _, _, cluster in
                if cluster.get(Self.deployment)?[path: ["spec", "replicas"]] == 0 { outage.withLock { $0 = true } }
            }
        )
        #expect(run.report?.claims.map(\.result) == [.failed], "\(run.messages)")
        #expect(!outage.withLock { $0 })
        #expect(run.world.migrate(as: "second").report?.succeeded == true)
    }

    @Test("where there is no room beside its own pods the migration goes on", arguments: ["exceeded quota: pods"])
    func room(message: String) {
        let run = world().migrate(interceptor: Self.refusingFirstPod(message))
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("not made ready before its pods stop") })
    }

    @Test("a class whose provisioning fails at the workload's node stops nothing")
    func provisioning() {
        let outage = Mutex(false)
        var world = world()
        world.cluster.behaviour.provisioners = [:]
        let run = world.migrate(
            observer: { _, _, cluster in
                if cluster.get(Self.deployment)?[path: ["spec", "replicas"]] == 0 { outage.withLock { $0 = true } }
            }
        )
        #expect(run.report?.claims.map(\.result) == [.failed], "\(run.messages)")
        #expect(!outage.withLock { $0 })
    }
}
