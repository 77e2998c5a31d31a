import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("A transfer to another namespace")
struct TransferTests {
    static let source = ObjectName("data", in: "shop")
    static let target = ObjectName("data", in: World.otherNamespace)

    /// Expects that all is as it is to be, and nothing was wrong on the way.
    static func expectDone(_ run: World.Run, _ invariants: Invariants, _ comment: Comment = "") {
        let story = run.messages.joined(separator: "\n")
        #expect(run.report?.succeeded == true, "\(comment) \(run.failure ?? "")\n\(story)")
        let shortcomings = run.world.shortcomings(keepsLines: invariants)
        #expect(shortcomings.isEmpty, "\(comment) \(story)")
    }

    @Test("gives the volume itself to the other namespace, and makes no pod and no volume")
    func moves() throws {
        let world = Scenario.move.world()
        let made = Mutex<[String]>([])
        let invariants = Invariants(of: world)
        let volume = try #require(world.volume(of: Self.source))
        let before = try #require(world.cluster.content(ofVolumeNamed: volume))
        let run = world.migrate(
            Scenario.move.options,
            observer: { request, response, cluster in
                invariants.observer(request, response, cluster)
                guard request.method == .post, !request.target.contains("dryRun") else { return }
                let target = String(request.target.prefix { $0 != "?" })
                if !target.contains("/leases") { made.withLock { $0.append(target) } }
            }
        )
        Self.expectDone(run, invariants)
        #expect(run.world.volume(of: Self.target) == volume)
        #expect(run.world.object(.persistentVolumeClaims, Self.source) == nil)
        let after = try #require(run.world.cluster.content(ofVolumeNamed: volume))
        for (path, file) in before where path != "log" { #expect(after[path] == file) }
        #expect(made.withLock { $0 } == ["/api/v1/namespaces/shop-eu/persistentvolumeclaims"])
        #expect(run.report?.claims.map(\.result) == [.moved])
        #expect(run.report?.claims.map(\.destination) == [Self.target])
        #expect(run.report?.left == ["Deployment shop/web"])
    }

    @Test("copies, starts the workload again before the copy changes hands, and leaves the source as it was")
    func copies() throws {
        let world = Scenario.copy.world()
        let invariants = Invariants(of: world)
        let order = Mutex<[String]>([])
        let volume = try #require(world.volume(of: Self.source))
        let before = try #require(world.object(.persistentVolumes, ObjectName(volume, in: nil)))
        let run = world.migrate(
            Scenario.copy.options,
            observer: { request, response, cluster in
                invariants.observer(request, response, cluster)
                let body = request.body.map { String(decoding: $0, as: UTF8.self) } ?? ""
                if request.method == .patch, request.target.hasSuffix("deployments/web"),
                    body.contains(#""replicas":1"#)
                {
                    order.withLock { $0.append("start") }
                }
                if request.method == .post, !request.target.contains("dryRun"),
                    request.target.contains("shop-eu/persistentvolumeclaims")
                {
                    order.withLock { $0.append("create") }
                }
            }
        )
        Self.expectDone(run, invariants)
        #expect(order.withLock { $0 } == ["start", "create"])
        let after = try #require(run.world.object(.persistentVolumes, ObjectName(volume, in: nil)))
        #expect(after["spec"] == before["spec"])
        #expect(after[path: ["metadata", "annotations"]] == before[path: ["metadata", "annotations"]])
        #expect(run.report?.claims.map(\.result) == [.copied])
    }

    @Test("leaves the workload stopped where that is asked for, without a mark that a later run would start it by")
    func leavesStopped() throws {
        var options = Scenario.copy.options
        options.handover?.leavesStopped = true
        var world = Scenario.copy.world()
        world.handover = options.handover
        let invariants = Invariants(of: world)
        let run = world.migrate(options, observer: invariants.observer)
        Self.expectDone(run, invariants)
        #expect(run.report?.left == ["Deployment shop/web"])
        let later = run.world.migrate(options)
        let deployment = later.world.cluster.get(ObjectKey(.deployments, "shop", "web"))
        #expect(deployment?[path: ["spec", "replicas"]] == 0)
    }

    @Test(
        "has a status at each moment, with the command that finishes it",
        arguments: [Scenario.move, .copy]
    )
    func status(scenario: Scenario) throws {
        let flags = "--namespace shop --to-namespace shop-eu --pvc shop/data --ending \(scenario.rawValue)"
        for point in scenario.world(alone: true).crashPoints(scenario.options, seed: 1) {
            let status = try point.world.status()
            #expect(status.isOpen == !point.world.marksLeft().isEmpty, "\(point.name): \(point.world.marksLeft())")
            #expect(status.claims.allSatisfy { !$0.isBlocked }, "\(point.name): \(status.claims)")
            #expect(
                status.commands == (status.isOpen ? ["pvmigrate transfer \(flags)"] : []),
                "\(point.name): \(status.claims)"
            )
            #expect(status.leftovers.isEmpty || scenario == .copy, "\(point.name): \(status.leftovers)")
        }
    }

    @Test("has a status after its stage, with the command that goes on with it", arguments: [false, true])
    func statusOfStage(ofOtherClass: Bool) throws {
        var options = Scenario.copy.options
        options.goal = .stage
        if ofOtherClass { options.handover?.classes = [World.source: World.destination] }
        let run = Scenario.copy.world(alone: true).migrate(options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        let flags = "--namespace shop --to-namespace shop-eu --pvc shop/data --ending copy"
        let commands = try run.world.status().commands
        #expect(commands == ["pvmigrate transfer \(flags)" + (ofOtherClass ? " --dest-sc fast" : "")])
        // Whoever migrates it in place meanwhile is told what is under way.
        let other = run.world.migrate(Options(sourceClass: World.source, destinationClass: "third"), as: "other")
        let story = "\(other.report?.claims ?? [])"
        #expect(story.contains("pvmigrate transfer \(flags)"), "\(story)")
    }

    @Test("is made once: a second run leaves the copy alone and ends well")
    func repeats() throws {
        let first = Scenario.copy.world().migrate(Scenario.copy.options)
        let second = first.world.migrate(Scenario.copy.options)
        #expect(second.report?.succeeded == true)
        #expect(second.report?.claims.isEmpty == true)
        #expect(second.world.volume(of: Self.target) == first.world.volume(of: Self.target))
    }

    @Test("gives other names and classes where they are asked for")
    func renames() throws {
        var options = Scenario.copy.options
        options.handover?.names = [Self.source: "data-2"]
        options.handover?.classes = [World.source: World.destination]
        let run = Scenario.copy.world().migrate(options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        let name = ObjectName("data-2", in: World.otherNamespace)
        let made = try #require(run.world.object(.persistentVolumeClaims, name))
        #expect(made[path: ["spec", "storageClassName"]]?.string == World.destination)
        #expect(made[path: ["metadata", "annotations", "team"]] == "blue")
        #expect(made[path: ["metadata", "labels", "app"]] == "x")
    }

    @Test("renames within one namespace, both ways", arguments: [Transfer.Ending.copy, .move])
    func renamesHere(ending: Transfer.Ending) throws {
        var handover = Handover(to: "shop", ending: ending)
        handover.names = [Self.source: "data-2"]
        var options = Scenario.copy.options
        options.handover = handover
        let world = Scenario.copy.world(alone: true)
        let volume = world.volume(of: Self.source)
        let run = world.migrate(options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        let now = run.world.volume(of: ObjectName("data-2", in: "shop"))
        #expect(now != nil && (now == volume) == (ending == .move))
        #expect((run.world.volume(of: Self.source) == nil) == (ending == .move))
    }
}
