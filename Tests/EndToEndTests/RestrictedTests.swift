import Kubernetes
import Testing

/// Namespaces that refuse a mover which is root.
struct RestrictedTests {
    private static let container: JSON = [
        "allowPrivilegeEscalation": false, "capabilities": ["drop": ["ALL"]],
        "seccompProfile": ["type": "RuntimeDefault"],
    ]

    @Test("under Pod Security restricted a claim moves as the user of its pods, who are found again")
    func moves() async throws {
        try await Scene.with { scene in
            try await scene.enforce("restricted")
            try await scene.createClaim("data")
            let workload = TestWorkload(
                resource: .deployments,
                name: "app",
                namespace: scene.namespace,
                claims: ["/data": "data"]
            )
            var pod = scene.podSpec(workload)
            pod["securityContext"] = ["runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000]
            pod["containers"] = .array(
                (pod["containers"]?.array ?? []).map { container in
                    var container = container
                    container["securityContext"] = Self.container
                    return container
                }
            )
            try await scene.create(
                .deployments,
                "app",
                [
                    "spec": [
                        "replicas": 1, "selector": ["matchLabels": ["app": "app"]], "strategy": ["type": "Recreate"],
                        "template": ["metadata": ["labels": ["app": "app"]], "spec": pod],
                    ]
                ]
            )
            try await scene.waitUntilReady(workload)
            let before = try await scene.contents(of: workload)
            let run = try await scene.migrate()
            scene.expect(run, exit: 0)
            #expect(run.errors.contains("its mover will run as user 1000, group 1000"))
            try await scene.expectMigrated("data")
            try await scene.expectRestarted(workload, on: before)
            try await scene.expectNothingLeft()
        }
    }

    @Test("without such a user the namespace is named before anything stops")
    func refused() async throws {
        try await Scene.with { scene in
            try await scene.createClaim("data")
            try await scene.deploy("app", claims: ["/data": "data"])
            try await scene.enforce("restricted")
            let before = try await scene.traces()
            let run = try await scene.migrate("--preflight-validation-only")
            scene.expect(run, exit: 2)
            #expect(run.output.contains("violates PodSecurity"))
            #expect(run.output.contains("kubectl label namespace \(scene.namespace)"))
            #expect(try await scene.traces() == before)
        }
    }
}

extension Scene {
    /// Has the test's first namespace enforce a level of Pod Security.
    fileprivate func enforce(_ level: String) async throws {
        let labels: JSON = ["pod-security.kubernetes.io/enforce": .string(level)]
        try await client.patch(
            Namespace.self,
            ObjectName(namespace, in: nil),
            .merge(["metadata": ["labels": labels]])
        )
    }
}
