import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

@Suite("Where movers run")
struct PlacementTests {
    private static let options = Options(sourceClass: World.source, destinationClass: "near")
    private static let data = ObjectName("data", in: "shop")

    /// A Deployment that only node-3 can run, and a class that makes volumes on the node of their first pod.
    private static func world(replicas: Int) -> World {
        var world = World()
        world.cluster.addNode("node-3", labels: ["disk": "quick"])
        world.make(
            .storageClasses,
            nil,
            [
                "metadata": ["name": "near"], "provisioner": "local.csi.example.com", "reclaimPolicy": "Delete",
                "volumeBindingMode": "WaitForFirstConsumer",
            ]
        )
        world.addClaim("data")
        let affinity: JSON = [
            "nodeAffinity": [
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    "nodeSelectorTerms": [["matchExpressions": [["key": "kubernetes.io/os", "operator": "Exists"]]]]
                ]
            ]
        ]
        world.make(
            .deployments,
            "shop",
            [
                "metadata": ["name": "web"],
                "spec": [
                    "replicas": .integer(Int64(replicas)), "selector": ["matchLabels": ["app": "web"]],
                    "template": [
                        "metadata": ["labels": ["app": "web"]],
                        "spec": [
                            "nodeSelector": ["disk": "quick"], "affinity": affinity,
                            "tolerations": [["key": "dedicated", "operator": "Exists"]],
                            "containers": [
                                [
                                    "name": "c", "image": "busybox:latest", "command": ["sleep", "infinity"],
                                    "volumeMounts": [["name": "data", "mountPath": "/data"]],
                                ]
                            ],
                            "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]],
                        ],
                    ],
                ],
            ]
        )
        do {
            try world.cluster.update(ObjectKey(.nodes, nil, "node-3")) {
                $0[path: ["spec", "taints"]] = [["key": "dedicated", "value": "x", "effect": "NoSchedule"]]
            }
        } catch {
            Issue.record("\(error)")
        }
        world.settle()
        return world
    }

    @Test("a new volume comes to be where its workload can run", arguments: [0, 1])
    func followsWorkload(replicas: Int) throws {
        let run = Self.world(replicas: replicas).migrate(Self.options)
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        let name = try #require(run.world.volume(of: Self.data))
        let volume = try #require(run.world.object(.persistentVolumes, ObjectName(name, in: nil)))
        #expect(volume[path: ["spec", "storageClassName"]] == "near")
        #expect("\(volume[path: ["spec", "nodeAffinity"]] ?? .null)".contains("node-3"))
        #expect(run.world.cluster.content(ofVolumeNamed: name, node: "node-3")?["empty"] != nil)
    }

    @Test(
        "the node that a claim's annotation names is a wish: the mover bears no more taints for it",
        arguments: [true, false]
    )
    func selectedNode(isMarked: Bool) throws {
        var world = Scenario.hostPath.world(alone: true)
        try world.cluster.scale(ObjectKey(.deployments, "shop", "web"), to: 0)
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        world.change(ObjectKey(.persistentVolumeClaims, "shop", "data")) {
            $0[path: ["metadata", "annotations", "volume.kubernetes.io/selected-node"]] = "node-2"
        }
        if isMarked {
            world.change(ObjectKey(.persistentVolumes, nil, world.volume(of: Self.data) ?? "")) {
                $0[path: ["metadata", "annotations", Marks.sourceNode]] = "node-2"
            }
        }
        let state = try #require(try world.discovery().units.first?.claims.first)
        let placement = Placement(of: state)
        #expect(placement.node == "node-2" && placement.onlyThere == isMarked)
        #expect(placement.tolerations.isEmpty == !isMarked)
        #expect(Placement.isGuess(state) == !isMarked)
    }

    @Test("a claim on a node's own disk is migrated though the node takes no new pods")
    func cordoned() throws {
        var world = Self.world(replicas: 0)
        let first = world.migrate(Self.options)
        #expect(first.report?.succeeded == true)
        world = first.world
        world.make(
            .storageClasses,
            nil,
            ["metadata": ["name": "net"], "provisioner": "network.csi.example.com", "reclaimPolicy": "Delete"]
        )
        try world.cluster.update(ObjectKey(.nodes, nil, "node-3")) { $0[path: ["spec", "unschedulable"]] = true }
        let run = world.migrate(Options(sourceClass: "near", destinationClass: "net"))
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        let name = try #require(run.world.volume(of: Self.data))
        #expect(run.world.cluster.content(ofVolumeNamed: name)?["empty"] != nil)
    }

    @Test("node selectors mean the nodes that Kubernetes means")
    func selectors() throws {
        func node(_ name: String, _ labels: JSON) throws -> Node {
            let metadata: JSON = ["name": .string(name), "uid": "u", "resourceVersion": "1", "labels": labels]
            return try JSONDecoder().decode(Node.self, from: (["metadata": metadata] as JSON).text)
        }
        let sites = Sites(nodes: [
            try node("a", ["zone": "1", "cpus": "4"]), try node("b", ["zone": "2", "cpus": "16"]), try node("c", [:]),
        ])
        func meant(_ terms: JSON) throws -> String {
            let pod: JSON = [
                "affinity": [
                    "nodeAffinity": [
                        "requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": terms]
                    ]
                ]
            ]
            return sites.of(try JSONDecoder().decode(PodSpec.self, from: pod.text)).sorted().joined()
        }
        func expressions(_ expressions: JSON) -> JSON { [["matchExpressions": expressions]] }
        #expect(try meant(expressions([["key": "zone", "operator": "In", "values": ["1", "3"]]])) == "a")
        #expect(try meant(expressions([["key": "zone", "operator": "NotIn", "values": ["1"]]])) == "bc")
        #expect(try meant(expressions([["key": "zone", "operator": "Exists"]])) == "ab")
        #expect(try meant(expressions([["key": "zone", "operator": "DoesNotExist"]])) == "c")
        #expect(try meant(expressions([["key": "cpus", "operator": "Gt", "values": ["4"]]])) == "b")
        #expect(try meant(expressions([["key": "cpus", "operator": "Lt", "values": ["16"]]])) == "a")
        #expect(
            try meant([["matchFields": [["key": "metadata.name", "operator": "In", "values": ["c"]]]], [:]]) == "c"
        )
    }
}

@Suite("Policies of the network")
struct NetworkPolicyTests {
    private static let labels = ["kurl.sh/pvcmigrate": "mover"]
    private static let movers: JSON = ["podSelector": ["matchLabels": ["kurl.sh/pvcmigrate": "mover"]]]

    private static func policy(_ spec: JSON) throws -> NetworkPolicy {
        let metadata: JSON = ["name": "p", "namespace": "shop", "uid": "u", "resourceVersion": "1"]
        let policy: JSON = ["metadata": metadata, "spec": spec]
        return try JSONDecoder().decode(NetworkPolicy.self, from: policy.text)
    }

    @Test("a policy limits the pods that it selects, in the directions that it is for")
    func limits() throws {
        let all = try Self.policy(["podSelector": [:]])
        #expect(all.limits(.ingress, of: Self.labels) && !all.limits(.egress, of: Self.labels))
        let out = try Self.policy(["podSelector": [:], "policyTypes": ["Egress"]])
        #expect(!out.limits(.ingress, of: Self.labels) && out.limits(.egress, of: Self.labels))
        let others = try Self.policy(["podSelector": ["matchLabels": ["app": "web"]]])
        #expect(!others.limits(.ingress, of: Self.labels))
        let unless: JSON = [
            "matchExpressions": [["key": "kurl.sh/pvcmigrate", "operator": "NotIn", "values": ["mover"]]]
        ]
        #expect(try !Self.policy(["podSelector": unless]).limits(.ingress, of: Self.labels))
    }

    @Test(
        "a rule admits a copy where pods, namespace and port fit",
        arguments: [
            ([:], true), (["from": [movers]], true),
            (["from": [["podSelector": ["matchLabels": ["app": "x"]]]]], false),
            (["ports": [["port": 2222]]], true), (["ports": [["port": 80]]], false),
            (["ports": [["port": 2000, "endPort": 3000]]], true), (["ports": [["port": "ssh"]]], true),
            (["ports": [["protocol": "UDP"]]], false), (["from": [["ipBlock": ["cidr": "10.0.0.0/8"]]]], true),
            (["from": [["namespaceSelector": ["matchLabels": ["kubernetes.io/metadata.name": "bank"]]]]], false),
            (["from": [["namespaceSelector": [:]]]], true),
        ] as [(JSON, Bool)]
    )
    func admits(rule: JSON, expected: Bool) throws {
        let policy = try Self.policy(["podSelector": [:], "ingress": [rule]])
        #expect(policy.mayAdmit(.ingress, among: Self.labels) == expected)
    }
}

@Suite("Volumes that are attached to a node")
struct AttachmentTests {
    /// A Deployment whose disk stays attached for some time after its pod has gone; it can run on any node.
    private static func world(detaching: Duration = .seconds(20)) throws -> (World, node: String) {
        var world = World(provisioner: "disk.csi.example.com")
        world.cluster.behaviour.provisioners["disk.csi.example.com"]?.detachDelay = detaching
        world.addClaim("data")
        world.addDeployment("web", claims: ["data"], nodeSelector: [:])
        world.settle()
        let pod = try #require(world.cluster.list(.pods).first { $0[path: ["metadata", "namespace"]] == "shop" })
        return (world, try #require(pod[path: ["spec", "nodeName"]]?.string))
    }

    private static func failedToAttach(_ world: World) -> Bool {
        world.cluster.list(.events).contains {
            $0["reason"] == "FailedAttachVolume"
                && $0[path: ["involvedObject", "name"]]?.string?.hasPrefix("migrate-") == true
        }
    }

    @Test("the mover goes to the node that the volume is attached to")
    func follows() throws {
        let (world, node) = try Self.world()
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.messages.contains { $0.contains("copying on node \(node)") })
        let failed = Self.failedToAttach(run.world)
        #expect(!failed)
    }

    @Test("where it can't go there, the mover is started only when the volume is detached")
    func waits() throws {
        var (world, node) = try Self.world()
        world.labelFiles()
        try world.cluster.update(ObjectKey(.nodes, nil, node)) { $0[path: ["spec", "unschedulable"]] = true }
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.messages.contains { $0.contains("is detached from \(node)") })
        #expect(!run.messages.contains { $0.contains("copying on node \(node)") })
        let failed = Self.failedToAttach(run.world)
        #expect(!failed)
    }

    @Test("a volume that is never detached is named with its node, and the workload is given back")
    func never() throws {
        var (world, node) = try Self.world(detaching: .seconds(1_000_000))
        world.labelFiles()
        try world.cluster.update(ObjectKey(.nodes, nil, node)) { $0[path: ["spec", "unschedulable"]] = true }
        let run = world.migrate()
        #expect(run.report?.succeeded == false)
        #expect(run.report?.stopped == [])
        #expect(
            run.messages.contains { $0.contains("VolumeAttachment csi-") && $0.contains("to the node \(node)") },
            "\(run.messages.joined(separator: "\n"))"
        )
    }
}
