import Kubernetes
import Testing

@testable import ClusterSimulator

@Suite("Workload controllers")
struct ControllerWorkloadTests {
    private static let claimTemplate: JSON = [
        "metadata": ["name": "data"],
        "spec": [
            "accessModes": ["ReadWriteOnce"], "storageClassName": "src-sc",
            "resources": ["requests": ["storage": "16Mi"]],
        ],
    ]

    private func names(_ world: World) -> [String] { world.pods().map(\.name) }

    @Test("a Deployment goes to zero and back through its ReplicaSet", arguments: 1...20 as ClosedRange<UInt64>)
    func deployment(seed: UInt64) throws {
        var world = try World(seed: seed)
        try world.workload(.deployments, "app")
        world.pass(.seconds(5))
        #expect(world.get(.deployments, "app")?.number("status", "readyReplicas") == 2)
        #expect(world.get(.deployments, "app")?.condition("Available")?["status"] == "True")
        try world.change(.deployments, "app") { $0.put(0, "spec", "replicas") }
        world.pass(.seconds(6))
        #expect(world.pods().isEmpty)
        #expect(world.get(.deployments, "app")?.number("status", "replicas") == 0)
        try world.change(.deployments, "app") { $0.put(2, "spec", "replicas") }
        world.pass(.seconds(5))
        #expect(world.get(.deployments, "app")?.number("status", "readyReplicas") == 2)
        #expect(world.cluster.list(.replicaSets).count == 1)
    }

    @Test("a Deployment's new template replaces the old pods", arguments: ["RollingUpdate", "Recreate"])
    func rollout(strategy: String) throws {
        var world = try World()
        try world.workload(.deployments, "app") {
            $0.put(["type": .string(strategy)], "spec", "strategy")
        }
        world.pass(.seconds(5))
        let old = Set(names(world))
        try world.change(.deployments, "app") { $0.put("2", "spec", "template", "metadata", "annotations", "v") }
        world.pass(.seconds(30))
        #expect(world.get(.deployments, "app")?.number("status", "readyReplicas") == 2)
        #expect(old.isDisjoint(with: names(world)))
        #expect(world.get(.deployments, "app")?.annotations?["deployment.kubernetes.io/revision"] == "2")
    }

    @Test("a ReplicaSet has its Deployment's annotations, but not kubectl's")
    func annotations() throws {
        var world = try World()
        let applied = "kubectl.kubernetes.io/last-applied-configuration"
        try world.workload(.deployments, "app") {
            $0.put("{}", "metadata", "annotations", applied)
            $0.put("1", "metadata", "annotations", "example.com/first")
        }
        world.pass(.seconds(5))
        try world.change(.deployments, "app") {
            $0.put(["example.com/first": "2", "example.com/second": "2"], "metadata", "annotations")
        }
        world.pass(.seconds(1))
        let set = try #require(world.cluster.list(.replicaSets).first)
        #expect(set.annotations?["example.com/first"] == "2")
        #expect(set.annotations?["example.com/second"] == "2")
        #expect(set.annotations?[applied] == nil)
    }

    @Test("a StatefulSet starts its pods in order and stops them backwards; its claims stay")
    func statefulSet() throws {
        var world = try World()
        try world.workload(.statefulSets, "web", replicas: 3) {
            $0.put([Self.claimTemplate], "spec", "volumeClaimTemplates")
        }
        world.pass(.seconds(10))
        #expect(world.get(.statefulSets, "web")?.number("status", "readyReplicas") == 3)
        func order(_ kind: Change.Kind) -> [String] {
            (world.cluster.history.changes(of: .pods, after: 6760) ?? []).filter { $0.kind == kind }
                .map(\.object.key.name)
        }
        #expect(order(.added) == ["web-0", "web-1", "web-2"])
        try world.change(.statefulSets, "web") { $0.put(0, "spec", "replicas") }
        world.pass(.seconds(30))
        #expect(order(.deleted) == ["web-2", "web-1", "web-0"])
        #expect(world.cluster.list(.persistentVolumeClaims).map(\.name) == ["data-web-0", "data-web-1", "data-web-2"])
    }

    @Test("with whenScaled: Delete the claims of pods that are scaled away go")
    func whenScaled() throws {
        var world = try World()
        try world.workload(.statefulSets, "web") {
            $0.put([Self.claimTemplate], "spec", "volumeClaimTemplates")
            $0.put("Delete", "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled")
            $0.put("Retain", "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted")
        }
        world.pass(.seconds(10))
        try world.change(.statefulSets, "web") { $0.put(1, "spec", "replicas") }
        world.pass(.seconds(20))
        #expect(world.cluster.list(.persistentVolumeClaims).map(\.name) == ["data-web-0"])
    }

    @Test("a StatefulSet makes the claim again that is missing when it starts a pod")
    func missingClaim() throws {
        var world = try World()
        try world.workload(.statefulSets, "web", replicas: 1) {
            $0.put([Self.claimTemplate], "spec", "volumeClaimTemplates")
        }
        world.pass(.seconds(5))
        try world.change(.statefulSets, "web") { $0.put(0, "spec", "replicas") }
        world.pass(.seconds(10))
        let old = try #require(world.get(.persistentVolumeClaims, "data-web-0"))
        try world.delete(.persistentVolumeClaims, "data-web-0")
        world.pass(.seconds(1))
        try world.change(.statefulSets, "web") { $0.put(1, "spec", "replicas") }
        world.pass(.seconds(10))
        #expect(world.phase(.pods, "web-0") == "Running")
        #expect(world.get(.persistentVolumeClaims, "data-web-0")?.uid != old.uid)
    }

    @Test("pods survive the recreation of their StatefulSet and are adopted by the new one")
    func recreate() throws {
        var world = try World()
        try world.workload(.statefulSets, "web")
        world.pass(.seconds(10))
        let before = world.pods().map(\.uid)
        try world.delete(.statefulSets, "web", .orphan)
        world.pass(.seconds(3))
        #expect(world.get(.statefulSets, "web") == nil)
        #expect(world.pods().allSatisfy { $0.controllerReference == nil })
        try world.workload(.statefulSets, "web")
        world.pass(.seconds(3))
        let owner = world.get(.statefulSets, "web")?.uid
        #expect(world.pods().map(\.uid) == before)
        #expect(world.pods().allSatisfy { $0.controllerReference?.text("uid") == owner })
    }

    @Test("what belongs to a deleted workload goes with it", arguments: [Propagation.background, .foreground])
    func cascade(propagation: Propagation) throws {
        var world = try World()
        try world.workload(.deployments, "app")
        world.pass(.seconds(5))
        try world.delete(.deployments, "app", propagation)
        world.pass(.seconds(10))
        #expect(world.get(.deployments, "app") == nil)
        #expect(world.cluster.list(.replicaSets).isEmpty)
        #expect(world.pods().isEmpty)
    }

    @Test("a DaemonSet runs on every node, on none with a selector that no node meets, and on every one again")
    func daemonSet() throws {
        var world = try World()
        try world.workload(.daemonSets, "ds", replicas: nil)
        world.pass(.seconds(5))
        #expect(world.pods().map { $0.text("spec", "nodeName") }.sorted() == ["node-1", "node-2"])
        try world.change(.daemonSets, "ds") { $0.put(["paused": "true"], "spec", "template", "spec", "nodeSelector") }
        world.pass(.seconds(10))
        #expect(world.pods().isEmpty)
        #expect(world.get(.daemonSets, "ds")?.number("status", "desiredNumberScheduled") == 0)
        try world.change(.daemonSets, "ds") { $0.put(nil, "spec", "template", "spec", "nodeSelector") }
        world.pass(.seconds(10))
        #expect(world.get(.daemonSets, "ds")?.number("status", "numberReady") == 2)
    }

    private func job(_ world: inout World, _ command: [String], backoffLimit: Int = 6) throws {
        var spec = World.podSpec(command)
        spec["restartPolicy"] = "Never"
        try world.cluster.create(
            .jobs,
            namespace: "rec",
            [
                "metadata": ["name": "job"],
                "spec": ["backoffLimit": JSON(backoffLimit), "template": ["spec": spec]],
            ]
        )
    }

    @Test(
        "the pods of a running Job go with it, though it was to count them",
        arguments: [Propagation.background, .foreground]
    )
    func jobCascade(propagation: Propagation) throws {
        var world = try World()
        try job(&world, ["sleep", "1000"])
        world.pass(.seconds(5))
        #expect(world.pods().count == 1)
        try world.delete(.jobs, "job", propagation)
        world.pass(.seconds(60))
        #expect(world.get(.jobs, "job") == nil)
        #expect(world.pods().isEmpty)
    }

    @Test("a Job completes; its pod stays")
    func completes() throws {
        var world = try World()
        try job(&world, ["true"])
        world.pass(.seconds(10))
        #expect(world.get(.jobs, "job")?.condition("Complete")?["status"] == "True")
        #expect(world.get(.jobs, "job")?.number("status", "succeeded") == 1)
        #expect(world.pods().map { $0.text("status", "phase") } == ["Succeeded"])
        #expect(world.pods().allSatisfy { $0.finalizers.isEmpty })
    }

    @Test("a Job gives up when its pods fail too often")
    func fails() throws {
        var world = try World()
        try job(&world, ["false"], backoffLimit: 1)
        world.pass(.seconds(30))
        #expect(world.get(.jobs, "job")?.condition("Failed")?.text("reason") == "BackoffLimitExceeded")
        #expect(world.pods().count == 2)
    }

    @Test("a suspended Job has no pod, and one again when it is resumed")
    func suspends() throws {
        var world = try World()
        try job(&world, ["sleep", "3600"])
        world.pass(.seconds(5))
        try world.change(.jobs, "job") { $0.put(true, "spec", "suspend") }
        world.pass(.seconds(10))
        #expect(world.pods().isEmpty)
        #expect(world.get(.jobs, "job")?.condition("Suspended")?["status"] == "True")
        try world.change(.jobs, "job") { $0.put(false, "spec", "suspend") }
        world.pass(.seconds(5))
        #expect(world.get(.jobs, "job")?.number("status", "active") == 1)
        #expect(world.get(.jobs, "job")?.condition("Suspended")?["status"] == "False")
    }

    @Test("a CronJob starts a Job each minute unless it is suspended")
    func cronJob() throws {
        var world = try World()
        var spec = World.podSpec(["true"])
        spec["restartPolicy"] = "Never"
        try world.cluster.create(
            .cronJobs,
            namespace: "rec",
            [
                "metadata": ["name": "cj"],
                "spec": ["schedule": "* * * * *", "jobTemplate": ["spec": ["template": ["spec": spec]]]],
            ]
        )
        world.pass(.seconds(150))
        #expect(world.cluster.list(.jobs).count == 2)
        try world.change(.cronJobs, "cj") { $0.put(true, "spec", "suspend") }
        world.pass(.seconds(150))
        #expect(world.cluster.list(.jobs).count == 2)
    }

    @Test("a namespace is emptied before it goes")
    func namespace() throws {
        var world = try World()
        try world.workload(.deployments, "app")
        try world.claim("data")
        world.pass(.seconds(5))
        try world.delete(.namespaces, "rec")
        world.pass(.seconds(20))
        #expect(world.get(.namespaces, "rec") == nil)
        #expect(world.cluster.list(.pods).isEmpty)
        #expect(world.cluster.list(.persistentVolumes).isEmpty)
    }

    @Test("a budget allows as many evictions as there are pods to spare")
    func budget() throws {
        var world = try World()
        try world.workload(.deployments, "app")
        try world.cluster.create(
            .podDisruptionBudgets,
            namespace: "rec",
            ["metadata": ["name": "b"], "spec": ["minAvailable": 1, "selector": ["matchLabels": ["app": "app"]]]]
        )
        world.pass(.seconds(5))
        #expect(world.get(.podDisruptionBudgets, "b")?.number("status", "disruptionsAllowed") == 1)
        try world.change(.deployments, "app") { $0.put(1, "spec", "replicas") }
        world.pass(.seconds(5))
        #expect(world.get(.podDisruptionBudgets, "b")?.number("status", "disruptionsAllowed") == 0)
    }

    @Test("an ephemeral volume's claim belongs to its pod and goes with it")
    func ephemeral() throws {
        var world = try World()
        try world.pod("eph", ["sleep", "3600"]) { pod in
            let template = Self.claimTemplate["spec"] ?? [:]
            pod.put([["name": "scratch", "ephemeral": ["volumeClaimTemplate": ["spec": template]]]], "spec", "volumes")
        }
        world.pass(.seconds(5))
        #expect(world.phase(.pods, "eph") == "Running")
        #expect(world.get(.persistentVolumeClaims, "eph-scratch")?.controllerReference?.text("name") == "eph")
        try world.delete(.pods, "eph")
        world.pass(.seconds(10))
        #expect(world.get(.persistentVolumeClaims, "eph-scratch") == nil)
    }

    @Test("the same seed gives the same history, another seed another order")
    func determinism() throws {
        func history(_ seed: UInt64) throws -> [String] {
            var world = try World(seed: seed)
            try world.workload(.deployments, "app")
            try world.workload(.statefulSets, "web") { $0.put([Self.claimTemplate], "spec", "volumeClaimTemplates") }
            world.pass(.seconds(20))
            return [Resource.pods, .persistentVolumes, .persistentVolumeClaims].flatMap {
                world.cluster.history.changes(of: $0, after: 6760) ?? []
            }.map { "\($0.kind) \($0.object.resourceVersion) \($0.object.key.name)" }
        }
        #expect(try history(7) == history(7))
        #expect(try history(7) != history(8))
    }
}
