import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

@Suite("Pods and the nodes of their new volumes")
struct NodeCheckTests {
    private static let label = "topology.zone.example.com/zone"
    private static let options = Options(sourceClass: World.source, destinationClass: "zonal")

    /// A class whose driver puts volumes into zones, and has some at these nodes.
    private static func world(
        zones: [String: String],
        seed: UInt64 = 1,
        waits: Bool = false,
        topologies: JSON = []
    ) -> World {
        var world = World(seed: seed)
        world.cluster.behaviour.provisioners["zone.example.com"] = Behaviour.Provisioner(
            topologyKey: label,
            delay: .milliseconds(500)
        )
        for (node, zone) in zones {
            world.change(ObjectKey(.nodes, nil, node)) { $0[path: ["metadata", "labels", label]] = .string(zone) }
        }
        world.make(
            .storageClasses,
            nil,
            [
                "metadata": ["name": "zonal"], "provisioner": "zone.example.com", "reclaimPolicy": "Delete",
                "volumeBindingMode": waits ? "WaitForFirstConsumer" : "Immediate", "allowedTopologies": topologies,
            ]
        )
        return world
    }

    private static func topology(_ zone: String) -> JSON {
        [["matchLabelExpressions": [["key": .string(label), "values": [.string(zone)]]]]]
    }

    /// A run that has to leave everything as it was.
    private static func expectRefusal(
        of world: World,
        result: Report.Result = .failed,
        stops: Bool = false,
        saying words: [String],
        _ location: SourceLocation = #_sourceLocation
    ) -> World.Run {
        let invariants = Invariants(of: world)
        let lists = Mutex(0)
        let run = world.migrate(
            Self.options,
            observer: { request, response, cluster in
                invariants.observer(request, response, cluster)
                if request.target.hasPrefix("/api/v1/nodes"), cluster.hasStoppedWorkload { lists.withLock { $0 += 1 } }
            }
        )
        let story = run.messages.joined(separator: "\n")
        #expect(run.report?.claims.allSatisfy { $0.result == result } == true, "\(story)", sourceLocation: location)
        #expect(run.report?.stopped == [], "\(story)", sourceLocation: location)
        #expect(story.contains("stopped: scale") == stops, "\(story)", sourceLocation: location)
        #expect(lists.withLock { $0 } == 0, sourceLocation: location)
        #expect(invariants.violations == [], "\(story)", sourceLocation: location)
        for word in words {
            #expect(
                run.report?.claims.first?.reason?.contains(word) == true,
                "\(word): \(story)",
                sourceLocation: location
            )
        }
        for (claim, source) in world.sources {
            #expect(run.world.volume(of: claim) == source.volume, sourceLocation: location)
            let volume = run.world.object(.persistentVolumes, ObjectName(source.volume, in: nil))
            #expect(volume?[path: ["spec", "persistentVolumeReclaimPolicy"]] == "Delete", sourceLocation: location)
            let staging = ObjectName(Marks.stagingName(of: claim.name), in: claim.namespace)
            #expect(run.world.object(.persistentVolumeClaims, staging) == nil, "\(story)", sourceLocation: location)
        }
        for (key, scale) in world.scales {
            #expect(run.world.cluster.replicas(key) == Int64(scale), sourceLocation: location)
        }
        return run
    }

    @Test("a volume that is made at once, in another zone than its pinned workload, does not stop that")
    func immediate() throws {
        var world = Self.world(zones: ["node-1": "a"])
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"])
        world.settle()
        let pod = try #require(world.cluster.list(.pods, namespace: "shop").first?[path: ["metadata", "name"]]?.string)
        // What the first run has made at the wrong place does not keep the second from trying again.
        for run in ["first", "second"] {
            let end = Self.expectRefusal(
                of: world,
                saying: [
                    "Pod shop/\(pod): could not run with its new volumes: it is taken by node-2, but mounted can be the "
                        + "new volume pvc-",
                    " of shop/data only by node-1. zonal makes volumes at once (Immediate)", "WaitForFirstConsumer",
                ]
            )
            #expect(end.messages.contains { $0.contains("staging claim data-pvcmigrate of 16Mi created") }, "\(run)")
            world = end.world
        }
    }

    @Test("a class that only makes volumes where the pods can't be is refused without making one", arguments: [1, 0])
    func topologies(replicas: Int) throws {
        var world = Self.world(zones: ["node-1": "a", "node-2": "b"], topologies: Self.topology("a"))
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"], replicas: replicas)
        world.settle()
        let run = Self.expectRefusal(
            of: world,
            result: .skipped,
            saying: [
                "could not run with its new volumes: it is taken by node-2, but mounted can be a new volume of shop/data "
                    + "only by node-1. "
            ]
        )
        #expect(!run.messages.contains { $0.contains("created") })
        let title = replicas == 0 ? "Deployment shop/web: " : "Pod shop/web-"
        #expect(run.report?.claims.first?.reason?.hasPrefix(title) == true)
    }

    @Test("preflight names a class that only makes volumes where the pods can't be")
    func preflight() throws {
        var destination = PreflightScene.storageClass("fast", provisioner: "network.csi.example.com")
        destination["allowedTopologies"] = [
            ["matchLabelExpressions": [["key": "kubernetes.io/hostname", "values": ["node-1"]]]]
        ]
        var scene = try PreflightScene(destination: destination)
        try scene.addClaim("data")
        var pod = PreflightScene.pod("web", claim: "data")
        pod[path: ["spec", "nodeSelector"]] = ["kubernetes.io/hostname": "node-2"]
        pod[path: ["metadata", "ownerReferences"]] = nil
        scene.options.recreatesPods = true
        try scene.add(.pods, pod)
        let table = try scene.preflight().table
        #expect(
            table.contains { $0.hasPrefix("shop | Pod shop/web | could not run with its new volumes: ") },
            "\(table)"
        )
    }

    @Test("two volumes of one pod that are made in two zones do not stop it")
    func twoClaims() throws {
        // The driver takes any zone: with some seeds two.
        let worlds = (1...8 as ClosedRange<UInt64>).map { (seed) -> World in
            var world = Self.world(zones: ["node-1": "a", "node-2": "b"], seed: seed)
            world.addClaim("one")
            world.addClaim("two")
            world.addDeployment("web", claims: ["one", "two"], nodeSelector: [:])
            world.settle()
            return world
        }
        let runs = worlds.map { $0.migrate(Self.options) }
        #expect(runs.contains { $0.report?.succeeded == true })
        let failing = try #require(zip(worlds, runs).first { $0.1.report?.succeeded == false }?.0)
        _ = Self.expectRefusal(
            of: failing,
            saying: [
                "it is taken by node-1, node-2, but mounted can be the new volume pvc-", " of shop/one only by node-",
            ]
        )
    }

    @Test("a new volume that is not where a claim is that stays behind does not stop their pod")
    func otherClaim() throws {
        var world = Self.world(zones: ["node-1": "a"])
        world.make(
            .storageClasses,
            nil,
            [
                "metadata": ["name": "local"], "provisioner": "local.csi.example.com",
                "volumeBindingMode": "WaitForFirstConsumer",
            ]
        )
        world.make(
            .persistentVolumeClaims,
            "shop",
            [
                "metadata": ["name": "cache"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "16Mi"]],
                    "storageClassName": "local",
                ],
            ]
        )
        // So that its local volume is made on node-2; then it could go anywhere.
        world.addClaim("data")
        world.addDeployment("web", claims: ["data", "cache"])
        world.settle()
        let key = ObjectKey(.deployments, "shop", "web")
        world.change(key) { $0[path: ["spec", "template", "spec", "nodeSelector"]] = nil }
        world.settle()
        _ = Self.expectRefusal(
            of: world,
            saying: ["but mounted can be the volume pvc-", " of shop/cache only by node-2, the new volume pvc-"]
        )
    }

    @Test("new volumes that come to be on two nodes after the stop are given up before the seal")
    func afterStop() throws {
        var world = Self.world(zones: ["node-1": "a", "node-2": "b"], waits: true)
        for name in ["one", "two"] { world.addClaim(name) }
        world.addDeployment("web", claims: ["one", "two"], nodeSelector: [:])
        world.settle()
        // An earlier run has died when the pods were elsewhere: so these are not made ready, and the movers go there.
        for (name, node) in [("one", "node-1"), ("two", "node-2")] {
            let source = try #require(world.sources[ObjectName(name, in: "shop")])
            world.change(ObjectKey(.persistentVolumes, nil, source.volume)) {
                $0[path: ["spec", "persistentVolumeReclaimPolicy"]] = "Retain"
                $0[path: ["metadata", "annotations", Marks.reclaimPolicy]] = "Delete"
                $0[path: ["metadata", "annotations", Marks.sourceUID]] = .string(source.uid)
                $0[path: ["metadata", "annotations", Marks.sourceNode]] = .string(node)
            }
        }
        let run = Self.expectRefusal(
            of: world,
            stops: true,
            saying: [
                "could not run with its new volumes: it is taken by node-1, node-2, but mounted can be the new volume pvc-",
                "Give --dest-sc a class like zonal whose allowedTopologies",
            ]
        )
        #expect(run.messages.count { $0.contains("copied: ") } == 2, "\(run.messages.joined(separator: "\n"))")
    }

    @Test("where nodes may not be listed, that is said once, and the run goes on")
    func forbidden() throws {
        var world = Self.world(zones: ["node-2": "b"])
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"])
        world.settle()
        let run = world.migrate(
            Self.options,
            interceptor: { request, _ in
                guard request.target.hasPrefix("/api/v1/nodes") else { return nil }
                let refusal = #"{"kind":"Status","code":403,"reason":"Forbidden","message":"not you"}"#
                return .answer(Response(status: 403, body: Data(refusal.utf8)))
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.messages.count { $0.contains("nodes: may not be listed") && $0.hasSuffix(": not you") } == 1)
    }
}

extension Cluster {
    /// True while a Deployment bears the mark of being stopped.
    fileprivate var hasStoppedWorkload: Bool {
        list(.deployments).contains { $0[path: ["metadata", "annotations", Marks.scale]] != nil }
    }
}
