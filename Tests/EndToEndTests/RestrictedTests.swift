import Kubernetes
import Testing

/// Namespaces that refuse a mover which is root.
struct RestrictedTests {
    @Test("under Pod Security restricted a claim moves as the user of its pods, who are found again")
    func moves() async throws {
        try await Scene.with { scene in
            try await scene.enforce("restricted")
            try await scene.createClaim("data")
            try await scene.createClaim("room", class: scene.destinationClass)
            try await scene.requireWritable("data", class: scene.cluster.sourceClass)
            try await scene.requireWritable("room", class: scene.cluster.destinationClass)
            let workload = TestWorkload(
                resource: .deployments,
                name: "app",
                namespace: scene.namespace,
                claims: ["/data": "data"]
            )
            try await scene.create(
                .deployments,
                "app",
                [
                    "spec": [
                        "replicas": 1, "selector": ["matchLabels": ["app": "app"]], "strategy": ["type": "Recreate"],
                        "template": [
                            "metadata": ["labels": ["app": "app"]], "spec": scene.restricted(scene.podSpec(workload)),
                        ],
                    ]
                ]
            )
            try await scene.waitUntilReady(workload)
            let before = try await scene.contents(of: workload)
            let run = try await scene.migrate()
            scene.expect(run, exit: 0)
            #expect(run.errors.contains("its mover will run as user 1000, group 1000, fsGroup 1000"))
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

    /// A pod that Pod Security restricted allows, and whose user may write its volumes where they are given to groups.
    fileprivate func restricted(_ pod: JSON) -> JSON {
        var pod = pod
        pod["securityContext"] = [
            "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
            // The tests compare the modes of files.
            "fsGroupChangePolicy": "OnRootMismatch",
        ]
        pod["containers"] = .array(
            (pod["containers"]?.array ?? []).map { container in
                var container = container
                container["securityContext"] = [
                    "allowPrivilegeEscalation": false, "capabilities": ["drop": ["ALL"]],
                    "seccompProfile": ["type": "RuntimeDefault"],
                ]
                return container
            }
        )
        return pod
    }

    /// Ends the test without a verdict where a claim's volume refuses what a user writes who is not root: directories of
    /// a node are not given to a pod's `fsGroup`. Whoever may not write to the sandbox's volumes is an error.
    fileprivate func requireWritable(_ claim: String, class original: String) async throws {
        let log = try await visit(claim, script: "export LC_ALL=C; : > /data/first && rm /data/first && echo written") {
            restricted($0)
        }
        if log.contains("written") { return }
        guard cluster.sandbox == nil, log.contains("ermission denied") else {
            throw Surprise("a pod cannot write to claim \(claim): \(log)")
        }
        try Test.cancel(
            """
            fsGroup has no effect on the volumes of StorageClass \(original), so that a pod which is not root cannot \
            write to them: \(log)
            """
        )
    }
}
