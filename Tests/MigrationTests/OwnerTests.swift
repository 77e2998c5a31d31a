import ClusterSimulator
import Kubernetes
import Testing

@testable import Migration

@Suite("What owns the pods")
struct OwnerTests {
    /// What preflight says of a world's units, by object.
    private func obstacles(_ world: World, _ options: Options = Scenario.deployment.options) throws -> [String] {
        try world.discovery(options).units.flatMap(\.obstacles).map { "\($0.resource) \($0.message)" }
    }

    @Test("a pod of nobody is a preflight failure, unless it may be deleted and created again")
    func pod() throws {
        let world = Scenario.pod.world(alone: true)
        #expect(
            try obstacles(world) == [
                "Pod shop/web mounts a claim to migrate and has no owner that would create it again; delete it first, or "
                    + "give --recreate-pods to have it deleted and created again"
            ]
        )
        #expect(try obstacles(world, Scenario.pod.options).isEmpty)
    }

    @Test("an operator's workload is a preflight failure that names the owner, unless it is said how to pause that")
    func operators() throws {
        let world = Scenario.pausedOperator.world(alone: true)
        let found = try obstacles(world)
        #expect(
            Set(found.map { $0.split(separator: " ").prefix(2).joined(separator: " ") }) == [
                "Pod shop/db-0", "Pod shop/db-1",
            ]
        )
        #expect(
            found.first?.contains(
                "is owned by the Roller db (example.com/v1) in shop, which has no scale and would start it again; stop "
                    + "that first, or give --pause 'Roller/db=PATCH'"
            ) == true
        )
        #expect(try obstacles(world, Scenario.pausedOperator.options).isEmpty)
    }

    @Test("a pod of a kubelet is named, with what to do")
    func staticPod() throws {
        var world = Scenario.pod.world(alone: true)
        world.change(ObjectKey(.pods, "shop", "web")) { pod in
            pod[path: ["metadata", "ownerReferences"]] = [
                ["apiVersion": "v1", "kind": "Node", "name": "node-2", "uid": "1", "controller": true]
            ]
        }
        #expect(
            try obstacles(world, Scenario.pod.options) == [
                "Pod shop/web is owned by the Node node-2 (v1), which cannot be stopped; stop it first"
            ]
        )
    }

    @Test("an owner that does not exist any more is named")
    func orphan() throws {
        var world = Scenario.pod.world(alone: true)
        world.change(ObjectKey(.pods, "shop", "web")) { pod in
            pod[path: ["metadata", "ownerReferences"]] = [
                ["apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "w", "uid": "1", "controller": true]
            ]
        }
        #expect(try obstacles(world).first?.contains("the Rollout w (argoproj.io/v1alpha1), which") == true)
    }

    /// A pod of `shop` whose owner reference names the Deployment of `bank` by its UID.
    private static func impostor(_ change: (inout JSON) -> Void) -> World {
        var world = Scenario.pod.world(alone: true)
        world.make(.namespaces, nil, ["metadata": ["name": "bank"]])
        world.addClaim("data", in: "bank")
        world.addDeployment("victim", in: "bank", claims: ["data"])
        world.addClaim("side")
        world.addDeployment("own", claims: ["side"])
        world.settle()
        let victim = world.cluster.get(ObjectKey(.deployments, "bank", "victim"))
        var reference: JSON = [
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "victim", "controller": true,
            "uid": victim?[path: ["metadata", "uid"]] ?? "",
        ]
        change(&reference)
        world.change(ObjectKey(.pods, "shop", "web")) { $0[path: ["metadata", "ownerReferences"]] = [reference] }
        return world
    }

    /// What an owner reference may say beside the UID of somebody else's workload.
    static let lies: [String: @Sendable (inout JSON) -> Void] = [
        "in another namespace": { _ in },
        "of another kind": { $0["kind"] = "StatefulSet" },
        "of a custom kind": {
            $0["apiVersion"] = "example.com/v1"
            $0["kind"] = "Roller"
        },
        "of a kind that is a path": {
            $0["apiVersion"] = "example.com/v1%2Fnamespaces%2Fbank?x="
            $0["kind"] = "Roller"
        },
    ]

    @Test("a workload is no owner of a pod that only has its UID", arguments: lies.keys.sorted())
    func otherNamespace(lie: String) throws {
        let world = Self.impostor { Self.lies[lie]?(&$0) }
        let units = try world.discovery(Scenario.pod.options).units
        let own = try #require(units.first { $0.claims.contains { $0.name == ObjectName("data", in: "shop") } })
        #expect(own.workloads.isEmpty && own.obstacles.first?.resource == "Pod shop/web", "\(own.obstacles)")
        #expect(units.filter { $0.workloads.contains { $0.name.name == "victim" } }.count == 1)
    }

    @Test("nor in the same namespace, by another name or group", arguments: ["name", "apiVersion"])
    func otherName(field: String) throws {
        var world = Self.impostor { _ in }
        let own = world.cluster.get(ObjectKey(.deployments, "shop", "own"))
        world.change(ObjectKey(.pods, "shop", "web")) { pod in
            var reference: JSON = [
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "own", "controller": true,
                "uid": own?[path: ["metadata", "uid"]] ?? "",
            ]
            reference[field] = field == "name" ? "other" : "v1"
            pod[path: ["metadata", "ownerReferences"]] = [reference]
        }
        let unit = try #require(
            try world.discovery(Scenario.pod.options).units.first { unit in
                unit.claims.contains { $0.name == ObjectName("data", in: "shop") }
            }
        )
        #expect(unit.workloads.isEmpty && unit.obstacles.first?.resource == "Pod shop/web", "\(unit.obstacles)")
    }

    @Test("nor is a custom resource that was found for another pod")
    func otherCustomOwner() throws {
        var world = Scenario.customScale.world(alone: true)
        world.make(.namespaces, nil, ["metadata": ["name": "tail"]])
        world.addClaim("data", in: "tail")
        world.settle()
        let roller = world.cluster.get(ObjectKey(World.rollers, "shop", "db"))
        var pod = World.template(app: "x", mounts: ["data"]) {
            ["persistentVolumeClaim": ["claimName": .string($0)]]
        }
        pod["metadata"] = [
            "name": "x",
            "ownerReferences": [
                [
                    "apiVersion": "example.com/v1", "kind": "Roller", "name": "db", "controller": true,
                    "uid": roller?[path: ["metadata", "uid"]] ?? "",
                ]
            ],
        ]
        // It is listed after those of the owner, which is known by then.
        let name = ObjectName("data", in: "tail")
        world.make(.pods, "tail", pod)
        let inventory = try world.discovery()
        let unit = try #require(inventory.units.first { $0.claims.contains { $0.name == name } })
        #expect(unit.workloads.isEmpty, "\(unit.workloads.map(\.title))")
        #expect(unit.obstacles.first?.message.contains("the Roller db (example.com/v1), which does not exist") == true)
    }

    /// A pod that is being deleted and that a finalizer keeps.
    private static func leaving(isBound: Bool) throws -> World {
        var world = Scenario.deployment.world(alone: true)
        world.addClaim("side")
        world.addDeployment("own", claims: ["side"])
        world.settle()
        let own = world.cluster.list(.replicaSets, namespace: "shop").first {
            $0[path: ["metadata", "name"]]?.string?.hasPrefix("own-") == true
        }
        var pod = World.template(app: "x", mounts: ["data"]) {
            ["persistentVolumeClaim": ["claimName": .string($0)]]
        }
        if isBound { pod[path: ["spec", "nodeName"]] = "node-2" }
        pod["metadata"] = [
            "name": "leaving", "labels": ["app": "own"], "finalizers": ["example.com/keep"],
            "ownerReferences": [
                [
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                    "name": own?[path: ["metadata", "name"]] ?? "", "uid": own?[path: ["metadata", "uid"]] ?? "",
                ]
            ],
        ]
        world.make(.pods, "shop", pod)
        try world.cluster.delete(ObjectKey(.pods, "shop", "leaving"))
        return world
    }

    @Test("a pod that is being deleted and never got a node is no reason to stop its owner, and holds nothing up")
    func unbound() throws {
        let world = try Self.leaving(isBound: false)
        #expect(
            try world.discovery().units.map { $0.workloads.map(\.title) } == [
                ["Deployment shop/web"], ["Deployment shop/own"],
            ]
        )
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.isOn(World.destination))
        #expect(run.world.cluster.get(ObjectKey(.pods, "shop", "leaving")) != nil)
        #expect((run.report?.claims ?? []).allSatisfy { $0.outage ?? .zero < .seconds(60) })
    }

    @Test("one that has a node is, as long as it is there")
    func bound() throws {
        let world = try Self.leaving(isBound: true)
        let titles = try world.discovery().units.map { $0.workloads.map(\.title).sorted() }
        #expect(titles == [["Deployment shop/own", "Deployment shop/web"]])
    }

    @Test("a Job is stopped with a CronJob only where that is its owner by all that its reference says")
    func startedJob() throws {
        let run = Scenario.cronJob.world(alone: true).migrate(
            meddler: once(when: { $1.get(ObjectKey(.cronJobs, "shop", "web"))?[path: ["spec", "suspend"]] == true }) {
                cluster in
                let cronJob = cluster.get(ObjectKey(.cronJobs, "shop", "web"))
                for (name, owner) in [("own", "web"), ("other", "elsewhere")] {
                    var template = World.template(app: name, mounts: [], volume: nil)
                    template[path: ["spec", "restartPolicy"]] = "Never"
                    template[path: ["spec", "containers"]] = [
                        ["name": "c", "image": "busybox:latest", "command": ["sleep", "infinity"]]
                    ]
                    try cluster.create(
                        .jobs,
                        namespace: "shop",
                        [
                            "metadata": [
                                "name": .string(name),
                                "ownerReferences": [
                                    [
                                        "apiVersion": "batch/v1", "kind": "CronJob", "name": .string(owner),
                                        "uid": cronJob?[path: ["metadata", "uid"]] ?? "", "controller": true,
                                    ]
                                ],
                            ],
                            "spec": ["template": template],
                        ]
                    )
                }
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("Job shop/own: suspended") }, "\(run.messages)")
        #expect(!run.messages.contains { $0.contains("Job shop/other") })
    }

    @Test("a Job that has ended is no obstacle, and is left as it is")
    func endedJob() throws {
        var world = Scenario.deployment.world(alone: true)
        var template = World.template(app: "once", mounts: ["data"]) {
            ["persistentVolumeClaim": ["claimName": .string($0)]]
        }
        template[path: ["spec", "restartPolicy"]] = "Never"
        template[path: ["spec", "containers"]] = [
            [
                "name": "c", "image": "busybox:latest", "command": ["true"],
                "volumeMounts": [["name": "data", "mountPath": "/data"]],
            ]
        ]
        world.make(.jobs, "shop", ["metadata": ["name": "once"], "spec": ["template": template]])
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        let job = world.cluster.get(ObjectKey(.jobs, "shop", "once"))
        #expect(job?[path: ["status", "succeeded"]] == 1)
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.cluster.get(ObjectKey(.jobs, "shop", "once")) == job)
    }

    @Test("a pod of nobody that has ended is a preflight failure, unless it may be deleted")
    func endedPod() throws {
        var world = Scenario.deployment.world(alone: true)
        let spec: JSON = [
            "restartPolicy": "Never", "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]],
            "containers": [["name": "c", "image": "busybox:latest", "command": ["true"]]],
        ]
        world.make(.pods, "shop", ["metadata": ["name": "once"], "spec": spec])
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        #expect(
            try obstacles(world).first?.hasPrefix("Pod shop/once has ended (Succeeded), but holds its claim") == true
        )
        let run = world.migrate(Scenario.pod.options)
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.cluster.get(ObjectKey(.pods, "shop", "once")) == nil)
    }

    @Test("an evicted pod of a Deployment doesn't hold up the swap")
    func evicted() throws {
        var world = Scenario.deployment.world(alone: true)
        let pod = try #require(world.cluster.list(.pods, namespace: "shop").first)
        let name = pod[path: ["metadata", "name"]]?.string ?? ""
        try world.cluster.update(ObjectKey(.pods, "shop", name), subresource: "status") {
            $0[path: ["status", "phase"]] = "Failed"
            $0[path: ["status", "reason"]] = "Evicted"
        }
        world.cluster.advance(to: world.cluster.now + .seconds(10))
        #expect(world.cluster.list(.pods, namespace: "shop").count == 2)
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
    }

    /// Ways to mount a claim, as changes of a pod's spec that mounts it once.
    static let mounts: [String: @Sendable (inout JSON) -> Void] = [
        "read-only": { pod in
            pod[path: ["volumes"]] = [
                ["name": "data", "persistentVolumeClaim": ["claimName": "data", "readOnly": true]]
            ]
            pod[path: ["containers"]] = [container(mounting: [["name": "data", "mountPath": "/d", "readOnly": true]])]
        },
        "by subPath": { pod in
            pod[path: ["containers"]] = [container(mounting: [["name": "data", "mountPath": "/d", "subPath": "x"]])]
        },
        "twice": { pod in
            pod[path: ["volumes"]] = [
                ["name": "data", "persistentVolumeClaim": ["claimName": "data"]],
                ["name": "again", "persistentVolumeClaim": ["claimName": "data"]],
            ]
            pod[path: ["containers"]] = [
                container(mounting: [["name": "data", "mountPath": "/d"], ["name": "again", "mountPath": "/e"]])
            ]
        },
        "in an init container only": { pod in
            var first = container(mounting: [["name": "data", "mountPath": "/d"]])
            first["name"] = "first"
            first["command"] = ["true"]
            pod[path: ["initContainers"]] = [first]
            pod[path: ["containers"]] = [container(mounting: [])]
        },
        "not at all, though it names it": { $0[path: ["containers"]] = [container(mounting: [])] },
    ]

    private static func container(mounting mounts: JSON) -> JSON {
        ["name": "c", "image": "busybox:latest", "command": ["sleep", "infinity"], "volumeMounts": mounts]
    }

    @Test("a pod counts as mounting a claim however it does", arguments: mounts.keys.sorted())
    func mounting(way: String) throws {
        var world = Scenario.deployment.world(alone: true)
        var template = World.template(app: "side", mounts: ["data"]) {
            ["persistentVolumeClaim": ["claimName": .string($0)]]
        }
        var spec = template["spec"] ?? [:]
        Self.mounts[way]?(&spec)
        template["spec"] = spec
        world.make(
            .deployments,
            "shop",
            [
                "metadata": ["name": "side"],
                "spec": ["replicas": 1, "selector": ["matchLabels": ["app": "side"]], "template": template],
            ]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(30))
        let units = try world.discovery().units
        #expect(units.map { $0.workloads.map(\.title).sorted() } == [["Deployment shop/side", "Deployment shop/web"]])
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.messages.contains { $0.contains("Deployment shop/side: stopped") })
        #expect(run.messages.contains { $0.contains("Deployment shop/side: started again") })
    }

    @Test(
        "who makes a claim from a manifest is named, and its labels and annotations survive",
        arguments: [
            ("meta.helm.sh/release-name", "store", "Helm release store"),
            ("argocd.argoproj.io/tracking-id", "store:/PersistentVolumeClaim:shop/data", "Argo CD application store"),
        ]
    )
    func makers(key: String, value: String, maker: String) throws {
        var world = Scenario.deployment.world(alone: true)
        let claim = ObjectKey(.persistentVolumeClaims, "shop", "data")
        world.change(claim) { $0[path: ["metadata", "annotations", key]] = .string(value) }
        let notes = try world.discovery().notes.map(\.message)
        #expect(notes.count == 1)
        #expect(notes.first?.hasPrefix("is made by the \(maker), which keeps it; name the class fast there") == true)
        let run = world.migrate()
        let after = run.world.cluster.get(claim)
        #expect(after?[path: ["spec", "storageClassName"]] == "fast")
        #expect(after?[path: ["metadata", "annotations", key]]?.string == value)
        #expect(after?[path: ["metadata", "labels", "app"]] == "x")
    }

    @Test(
        "a VolumeAttributesClass, which is of the old driver, is dropped, and that is said before",
        arguments: [false, true]
    )
    func attributes(isMade: Bool) throws {
        var world = Scenario.deployment.world(alone: true)
        try world.cluster.delete(ObjectKey(.storageClasses, nil, World.destination))
        let manifest: JSON = ["metadata": ["name": .string(World.destination)], "provisioner": "disk.csi.example.com"]
        world.make(.storageClasses, nil, manifest)
        let claim = ObjectKey(.persistentVolumeClaims, "shop", "data")
        world.change(claim) {
            $0[path: ["spec", "volumeAttributesClassName"]] = "gold"
            if isMade { $0[path: ["metadata", "annotations", "meta.helm.sh/release-name"]] = "store" }
        }
        let notes = try world.discovery().notes
        #expect(notes.map(\.resource) == ["PersistentVolumeClaim shop/data"])
        let words = "its volumeAttributesClassName gold is dropped, since that is of the old volume's driver"
        #expect(notes.first?.message.contains(words) == true)
        #expect(notes.first?.message.hasPrefix("is made by the Helm release store") == isMade)
        let run = world.migrate()
        let after = run.world.cluster.get(claim)
        #expect(after?[path: ["spec", "storageClassName"]] == "fast")
        #expect(after?[path: ["spec", "volumeAttributesClassName"]] == nil)
    }

    @Test(
        "a VolumeAttributesClass stays where the driver is the same, in a copy and in a retype",
        arguments: [false, true]
    )
    func keepsAttributes(isRetype: Bool) throws {
        var world = Scenario.deployment.world(alone: true)
        let claim = ObjectKey(.persistentVolumeClaims, "shop", "data")
        world.change(claim) { $0[path: ["spec", "volumeAttributesClassName"]] = "gold" }
        let volume = try #require(world.volume(of: ObjectName("data", in: "shop")))
        world.change(ObjectKey(.persistentVolumes, nil, volume)) {
            $0[path: ["spec", "volumeAttributesClassName"]] = "gold"
        }
        #expect(try world.discovery().notes.isEmpty)
        let run = world.migrate(
            isRetype ? .retyping : Options(sourceClass: World.source, destinationClass: World.destination),
            // As its provisioner does.
            meddler: always(when: { _, _ in true }) { cluster in
                for volume in cluster.list(.persistentVolumes)
                where volume[path: ["spec", "storageClassName"]]?.string == World.destination
                    && volume[path: ["spec", "volumeAttributesClassName"]] == nil
                {
                    let name = volume[path: ["metadata", "name"]]?.string ?? ""
                    try cluster.update(ObjectKey(.persistentVolumes, nil, name)) {
                        $0[path: ["spec", "volumeAttributesClassName"]] = "gold"
                    }
                }
            }
        )
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.cluster.get(claim)?[path: ["spec", "volumeAttributesClassName"]] == "gold")
    }

    @Test("a CronJob that its owner has suspended stays so")
    func suspended() throws {
        var world = Scenario.cronJob.world(alone: true)
        let key = ObjectKey(.cronJobs, "shop", "web")
        world.change(key) { $0[path: ["spec", "suspend"]] = true }
        let run = world.migrate()
        #expect(run.report?.succeeded == true, "\(run.messages)")
        #expect(run.world.cluster.get(key)?[path: ["spec", "suspend"]] == true)
    }

    @Test("KEDA is paused for the time of the migration, and goes on afterwards")
    func keda() throws {
        let world = Scenario.keda.world(alone: true)
        let run = world.migrate()
        #expect(run.report?.succeeded == true)
        #expect(run.messages.contains { $0.contains("ScaledObject shop/web-by-queue: paused") })
        #expect(run.messages.contains { $0.contains("ScaledObject shop/web-by-queue: is no longer paused") })
    }

    @Test("the manifest of a pod keeps what its owner wrote, and loses what the cluster filled in")
    func manifest() {
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": ["name": "p", "uid": "u", "resourceVersion": "5", "labels": ["app": "x"]],
            "spec": [
                "nodeName": "node-1", "priority": 7, "priorityClassName": "high",
                "volumes": [["name": "data"], ["name": "kube-api-access-x"]],
                "containers": [["name": "c", "volumeMounts": [["name": "kube-api-access-x"]]]],
            ],
            "status": ["phase": "Running"],
        ]
        #expect(
            Workload.recreatable(pod) == [
                "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "labels": ["app": "x"]],
                "spec": [
                    "priorityClassName": "high", "volumes": [["name": "data"]], "containers": [["name": "c"]],
                ],
            ]
        )
    }

    @Test(
        "--pause takes KIND/NAME=PATCH",
        arguments: ["Kafka", "Kafka/x", "Kafka/x=", "Kafka/x=1", "Kafka/x={", "/x={\"a\":1}", "Kafka/x={}"]
    )
    func refused(text: String) {
        #expect(Pause(text) == nil)
        #expect(Pause(#"Kafka/x={"a":1}"#)?.patch == ["a": 1])
    }
}
