import ClusterSimulator
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("What a run asks for while a workload stands still")
struct OutageRequestTests {
    /// The lists of the whole cluster between the stop and the start of `web`.
    private static func lists(of world: World, _ options: Options) -> (lists: [String], run: World.Run) {
        let lists = Mutex<[String]>([])
        let run = world.migrate(
            options,
            observer: { request, _, cluster in
                guard request.method == .get, cluster.replicas(Others.deployment) == 0 else { return }
                let target = request.target
                let isNarrow =
                    ["/namespaces/", "fieldSelector=", "watch=1"].contains(where: target.contains)
                    || target.prefix { $0 != "?" }.split(separator: "/").count > (target.hasPrefix("/api/") ? 3 : 4)
                if !isNarrow { lists.withLock { $0.append(target) } }
            }
        )
        return (lists.withLock { $0 }, run)
    }

    private static func world(provisioner: String, detaching: Duration = .seconds(20), cordoned: Bool = false) throws
        -> World
    {
        var world = World(provisioner: provisioner)
        world.make(
            .storageClasses,
            nil,
            ["metadata": ["name": "net"], "provisioner": "network.csi.example.com", "reclaimPolicy": "Delete"]
        )
        world.cluster.behaviour.provisioners["disk.csi.example.com"]?.detachDelay = detaching
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"], nodeSelector: [:])
        world.settle()
        guard cordoned else { return world }
        let pod = try #require(world.cluster.list(.pods, namespace: "shop").first)
        let node = try #require(pod[path: ["spec", "nodeName"]]?.string)
        world.change(ObjectKey(.nodes, nil, node)) { $0[path: ["spec", "unschedulable"]] = true }
        return world
    }

    @Test(
        "is no list of the whole cluster",
        arguments: ["network.csi.example.com", "disk.csi.example.com", "local.csi.example.com", Behaviour.hostPath]
    )
    func narrow(provisioner: String) throws {
        let isLocal = provisioner == "local.csi.example.com"
        let options = Options(sourceClass: World.source, destinationClass: isLocal ? "net" : World.destination)
        let (lists, run) = Self.lists(of: try Self.world(provisioner: provisioner), options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.messages.contains { $0.contains("stopped: scale") })
        #expect(lists == [])
    }

    @Test("is not one either where a volume has to be detached from a node first")
    func detached() throws {
        let options = Options(sourceClass: World.source, destinationClass: World.destination)
        var world = try Self.world(provisioner: "disk.csi.example.com", cordoned: true)
        world.labelFiles()
        let (lists, run) = Self.lists(of: world, options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.messages.contains { $0.contains("waits until") && $0.contains("is detached from") })
        #expect(lists == [])
    }

    @Test("is not one either where it is copied in passes before")
    func live() throws {
        var options = Options(sourceClass: World.source, destinationClass: World.destination)
        options.isLive = true
        let (lists, run) = Self.lists(of: try Self.world(provisioner: "disk.csi.example.com"), options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(lists == [])
    }
}
