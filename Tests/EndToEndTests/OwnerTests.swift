import Kubernetes
import Testing

/// Workloads of every kind that is not a StatefulSet or a Deployment.
struct OwnerTests {
    static let kinds: [APIResource] = [.replicaSets, .replicationControllers, .daemonSets, .jobs, .cronJobs, .pods]

    @Test("of every kind, a workload comes back as it was, with its claim on the new class and every file")
    func kinds() async throws {
        try await Scene.with { scene in
            var before: [String: [String: Contents]] = [:]
            var specs: [String: JSON] = [:]
            var workloads: [TestWorkload] = []
            for kind in Self.kinds {
                let name = kind.kind.lowercased()
                try await scene.createClaim(name)
                workloads.append(try await scene.create(kind, name, claim: name))
            }
            for workload in workloads {
                before[workload.name] = try await scene.contents(of: workload)
                specs[workload.name] = try await scene.spec(of: workload)
            }
            let refused = try await scene.migrate()
            scene.expect(refused, exit: 2)
            #expect(refused.output.contains("--recreate-pods"), "it does not say what to do about the bare pod")
            let run = try await scene.migrate("--recreate-pods")
            scene.expect(run, exit: 0)
            for workload in workloads {
                try await scene.expectMigrated(workload.name)
                try await scene.waitUntilReady(workload)
                let after = try await scene.contents(of: workload)
                for (claim, found) in before[workload.name] ?? [:] {
                    scene.expectEqual(after[claim]?.lines ?? [], found.lines, in: claim)
                }
                // A pod is another one: what it is asked to be is the same, but for what the cluster fills in.
                guard workload.resource != .pods else { continue }
                let now = try await scene.spec(of: workload)
                #expect(now == specs[workload.name], "\(workload.resource.kind) is not as it was")
            }
            try await scene.expectNothingLeft()
        }
    }

    @Test("a Job that has ended does not hold the claim, and is left as it is")
    func endedJob() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            let job = try await scene.createEndedJob("once", claim: "data")
            let run = try await scene.migrate()
            scene.expect(run, exit: 0)
            try await scene.expectMigrated("data")
            let now = try await scene.client.get(.jobs, ObjectName("once", in: scene.namespace))
            #expect(now[path: ["status", "succeeded"]] == job[path: ["status", "succeeded"]])
            #expect(now["spec"] == job["spec"])
            try await scene.expectNothingLeft()
        }
    }

    @Test("--update-claim-templates has the next replica get a claim of the new class, and restarts no pod")
    func claimTemplates() async throws {
        try await Scene.with { scene in
            var set = try await scene.deploySet("database", replicas: 1, template: "data")
            let first = try await scene.migrate()
            scene.expect(first, exit: 0)
            #expect(
                first.errors.contains("--update-claim-templates"),
                "nobody says that the templates name the old class"
            )
            try await scene.waitUntilReady(set)
            let before = try await scene.pods(of: set).map(\.metadata.uid)
            scene.expect(try await scene.migrate("--update-claim-templates"), exit: 0)
            #expect(try await scene.pods(of: set).map(\.metadata.uid) == before)
            let name = ObjectName("database", in: scene.namespace)
            let object = try await scene.client.get(.statefulSets, name)
            let uid = try #require(object[path: ["metadata", "uid"]])
            try await scene.client.patch(
                .statefulSets,
                name,
                .merge(["metadata": ["uid": uid], "spec": ["replicas": 2]])
            )
            set.replicas = 2
            try await scene.waitUntilReady(set)
            try await scene.expectMigrated("data-database-0", "data-database-1")
            try await scene.expectNothingLeft()
        }
    }

    @Test("a custom resource with a scale is scaled, and its operator does the rest")
    func customScale() async throws {
        try await Scene.with { scene in
            let kind = scene.customKind("Roller")
            try await scene.withCustomResource(kind, hasScale: true) {
                let owner = try await scene.create(kind, "main", ["spec": ["replicas": 1]])
                try await scene.createClaim("data")
                let workload = try await scene.createOwned("main", by: owner, of: kind, claim: "data")
                let before = try await scene.contents(of: workload)
                // The operator: what the custom resource is scaled to, its Deployment is.
                let operation = Task { try await scene.operate(kind, on: workload) }
                let run = try await scene.migrate()
                operation.cancel()
                scene.expect(run, exit: 0)
                try await scene.expectMigrated("data")
                try await scene.expectRestarted(workload, on: before)
                let now = try await scene.client.get(kind, ObjectName("main", in: scene.namespace))
                #expect(now["spec"] == ["replicas": 1])
                try await scene.expectNothingLeft()
            }
        }
    }

    @Test("a pod of an operator is refused with its owner's name, and --pause says what to do about it")
    func operators() async throws {
        try await Scene.with { scene in
            let kind = scene.customKind("Keeper")
            try await scene.withCustomResource(kind) {
                let owner = try await scene.create(kind, "main", ["spec": ["size": 1]])
                try await scene.createClaim("data")
                let workload = try await scene.createOwned("main", by: owner, of: kind, claim: "data")
                let refused = try await scene.migrate()
                scene.expect(refused, exit: 2)
                #expect(refused.output.contains("\(kind.kind) main"))
                #expect(refused.output.contains("--pause"))
                let pause = #"\#(kind.kind)/main={"spec":{"paused":true},"metadata":{"labels":{"held":"yes"}}}"#
                let run = try await scene.migrate("--pause", pause)
                scene.expect(run, exit: 0)
                try await scene.expectMigrated("data")
                try await scene.waitUntilReady(workload)
                let now = try await scene.client.get(kind, ObjectName("main", in: scene.namespace))
                #expect(now["spec"] == ["size": 1], "what pauses it was not taken back")
                #expect(now[path: ["metadata", "labels"]] == nil)
                try await scene.expectNothingLeft()
            }
        }
    }
}

extension Scene {
    /// Creates a workload of a kind, and waits until its pod is ready.
    fileprivate func create(_ kind: APIResource, _ name: String, claim: String) async throws -> TestWorkload {
        let workload = TestWorkload(resource: kind, name: name, namespace: namespace, claims: ["/data": claim])
        let labels: JSON = ["app": .string(name)]
        var template: JSON = ["metadata": ["labels": labels], "spec": podSpec(workload)]
        let spec: JSON
        switch kind {
        case .pods:
            try await create(.pods, name, template)
            try await waitUntilReady(workload)
            return workload
        case .jobs, .cronJobs:
            template[path: ["spec", "restartPolicy"]] = "Never"
            let job: JSON = ["template": template]
            spec =
                kind == .jobs
                ? job : ["schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": ["spec": job]]
        case .replicationControllers: spec = ["replicas": 1, "selector": labels, "template": template]
        case .daemonSets: spec = ["selector": ["matchLabels": labels], "template": template]
        default: spec = ["replicas": 1, "selector": ["matchLabels": labels], "template": template]
        }
        try await create(kind, name, ["spec": spec])
        try await waitUntilReady(workload)
        return workload
    }

    /// Creates a Deployment that belongs to a custom resource, and waits until its pod is ready.
    fileprivate func createOwned(
        _ name: String,
        by owner: JSON,
        of kind: APIResource,
        claim: String
    ) async throws -> TestWorkload {
        let workload = TestWorkload(
            resource: .deployments,
            name: name,
            namespace: namespace,
            claims: ["/data": claim]
        )
        let labels: JSON = ["app": .string(name)]
        let reference: JSON = [
            "apiVersion": .string(kind.apiVersion), "kind": .string(kind.kind),
            "name": owner[path: ["metadata", "name"]] ?? .null, "uid": owner[path: ["metadata", "uid"]] ?? .null,
            "controller": true,
        ]
        try await create(
            .deployments,
            name,
            [
                "metadata": ["ownerReferences": [reference]],
                "spec": [
                    "replicas": 1, "selector": ["matchLabels": labels],
                    "template": ["metadata": ["labels": labels], "spec": podSpec(workload)],
                ],
            ]
        )
        try await waitUntilReady(workload)
        return workload
    }

    /// Gives a Deployment the scale of its custom resource, whenever that changes, until it is cancelled.
    fileprivate func operate(_ kind: APIResource, on workload: TestWorkload) async throws {
        let name = ObjectName(workload.name, in: workload.namespace)
        try await client.wait(
            for: MetadataObject.self,
            of: kind,
            in: name.namespace,
            named: name.name,
            limit: Self.limit,
            what: "nothing"
        ) { _ -> Void? in
            let wanted = try await client.get(kind, name)[path: ["spec", "replicas"]] ?? 0
            let deployment = try await client.get(.deployments, name)
            guard deployment[path: ["spec", "replicas"]] != wanted else { return nil }
            let uid = deployment[path: ["metadata", "uid"]] ?? .null
            try await client.patch(
                .deployments,
                name,
                .merge(["metadata": ["uid": uid], "spec": ["replicas": wanted]])
            )
            return nil
        }
    }

    fileprivate func createEndedJob(_ name: String, claim: String) async throws -> JSON {
        let workload = TestWorkload(resource: .jobs, name: name, namespace: namespace, claims: ["/data": claim])
        var pod = podSpec(workload, stays: false)
        pod["restartPolicy"] = "Never"
        try await create(
            .jobs,
            name,
            ["spec": ["template": ["metadata": ["labels": ["app": .string(name)]], "spec": pod]]]
        )
        try await client.wait(
            for: WorkloadObject.self,
            of: .jobs,
            in: namespace,
            named: name,
            limit: Self.limit,
            what: "Job \(name) to complete"
        ) { jobs in
            let conditions = jobs.object(named: name)?.status?.conditions ?? []
            return conditions.contains { $0.type == "Complete" && $0.status == "True" } ? () : nil
        }
        return try await client.get(.jobs, ObjectName(name, in: namespace))
    }

    fileprivate func spec(of workload: TestWorkload) async throws -> JSON {
        let object = try await client.get(workload.resource, ObjectName(workload.name, in: workload.namespace))
        return object["spec"] ?? .null
    }

    /// A kind that no other test has.
    fileprivate func customKind(_ name: String) -> APIResource {
        APIResource(
            group: "pvmigrate.example.com",
            kind: name + prefix.suffix(5),
            plural: prefix.replacing("-", with: "") + "s"
        )
    }

    /// Defines a kind for a test.
    fileprivate func withCustomResource(
        _ kind: APIResource,
        hasScale: Bool = false,
        _ body: () async throws -> Void
    ) async throws {
        let scale: JSON = ["scale": ["specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"]]
        let made = try await create(
            Definition.resource,
            "\(kind.plural).\(kind.group)",
            [
                "spec": [
                    "group": .string(kind.group), "scope": "Namespaced",
                    "names": ["plural": .string(kind.plural), "kind": .string(kind.kind)],
                    "versions": [
                        [
                            "name": "v1", "served": true, "storage": true,
                            "schema": [
                                "openAPIV3Schema": ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
                            ],
                            "subresources": hasScale ? scale : [:],
                        ]
                    ],
                ]
            ]
        )
        let uid = made[path: ["metadata", "uid"]]?.string ?? ""
        let name = ObjectName("\(kind.plural).\(kind.group)", in: nil)
        do {
            try await client.wait(
                for: Definition.self,
                in: nil,
                named: name.name,
                limit: Self.limit,
                what: "the definition of \(kind.kind) to be established"
            ) { definitions in
                let conditions = definitions.objects.values.first?.status?.conditions ?? []
                return conditions.contains { $0.type == "Established" && $0.status == "True" } ? () : nil
            }
            try await body()
        } catch {
            try await client.delete(Definition.resource, name, uid: uid)
            throw error
        }
        try await client.delete(Definition.resource, name, uid: uid)
    }
}

private struct Definition: KubernetesObject {
    static let resource = APIResource(
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        namespaced: false
    )
    struct Status: Decodable, Sendable { var conditions: [Pod.Condition]? }
    var metadata: ObjectMeta
    var status: Status?
}
