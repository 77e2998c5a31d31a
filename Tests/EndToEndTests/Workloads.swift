import Kubernetes
import Testing

/// Something of a test whose pods fill and print volumes.
struct TestWorkload: Sendable {
    var resource: APIResource
    var name: String
    var namespace: String
    var replicas = 1
    /// The claims by mount path.
    var claims: [String: String] = [:]
    var script = Files.script
    /// False for pods that may run on any node that can mount their volumes.
    var isPinned = true
}

extension Scene {
    /// Creates a Deployment and waits until its pods are ready.
    @discardableResult
    func deploy(
        _ name: String,
        in namespace: String? = nil,
        claims: [String: String] = [:],
        script: String = Files.script,
        isPinned: Bool = true
    ) async throws -> TestWorkload {
        let workload = TestWorkload(
            resource: .deployments,
            name: name,
            namespace: namespace ?? self.namespace,
            claims: claims,
            script: script,
            isPinned: isPinned
        )
        // Two pods at once would both fill the claim.
        let strategy: JSON = ["type": "Recreate"]
        try await create(workload, ["strategy": strategy])
        return workload
    }

    /// Creates a StatefulSet with one claim for each replica, and waits until its pods are ready.
    func deploySet(
        _ name: String,
        in namespace: String? = nil,
        replicas: Int,
        template: String,
        class className: String? = nil,
        script: String = Files.script
    ) async throws -> TestWorkload {
        var workload = TestWorkload(
            resource: .statefulSets,
            name: name,
            namespace: namespace ?? self.namespace,
            replicas: replicas,
            script: script
        )
        workload.claims = ["/data": template]
        var claim = Self.claim(class: className ?? sourceClass)
        claim["metadata"] = ["name": .string(template)]
        try await create(workload, ["serviceName": .string(name), "volumeClaimTemplates": [claim]])
        return workload
    }

    private func create(_ workload: TestWorkload, _ further: [String: JSON]) async throws {
        let labels: JSON = ["app": .string(workload.name)]
        var pod = podSpec(workload)
        // A template's claim is mounted by its name alone.
        if workload.resource == .statefulSets { pod["volumes"] = [] }
        var spec: JSON = [
            "replicas": .integer(Int64(workload.replicas)), "selector": ["matchLabels": labels],
            "template": ["metadata": ["labels": labels], "spec": pod],
        ]
        for (key, value) in further { spec[key] = value }
        try await create(workload.resource, workload.name, in: workload.namespace, ["spec": spec])
        try await waitUntilReady(workload)
    }

    /// What a pod of a test is, whoever owns it.
    func podSpec(_ workload: TestWorkload, stays: Bool = true) -> JSON {
        let paths = workload.claims.keys.sorted()
        var environment: [JSON] = [
            ["name": "APP", "value": .string(workload.name)],
            ["name": "VOLUMES", "value": .string(paths.joined(separator: " "))],
        ]
        if stays { environment.append(["name": "STAYS", "value": "yes"]) }
        var container: JSON = [
            "name": "main", "image": .string(cluster.image), "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", .string(workload.script)], "env": .array(environment),
            "volumeMounts": .array(
                paths.map { ["name": .string(volumeName($0, workload)), "mountPath": .string($0)] }
            ),
        ]
        if stays {
            container["readinessProbe"] = ["exec": ["command": ["test", "-e", "/tmp/ready"]], "periodSeconds": 1]
        }
        return [
            "terminationGracePeriodSeconds": 5,
            "nodeSelector": workload.isPinned ? ["kubernetes.io/hostname": .string(cluster.hostname)] : [:],
            "containers": [container],
            "volumes": .array(
                paths.map { path in
                    let claim: JSON = ["claimName": .string(workload.claims[path] ?? "")]
                    return ["name": .string(volumeName(path, workload)), "persistentVolumeClaim": claim]
                }
            ),
        ]
    }

    private func volumeName(_ path: String, _ workload: TestWorkload) -> String {
        workload.resource == .statefulSets ? workload.claims[path] ?? "" : String(path.dropFirst())
    }

    // MARK: Pods

    /// The pods of a workload that somebody could use.
    func pods(of workload: TestWorkload) async throws -> [Pod] {
        try await client.list(Pod.self, in: workload.namespace).filter { Self.isPod($0, of: workload) }
    }

    private static func isPod(_ pod: Pod, of workload: TestWorkload) -> Bool {
        pod.metadata.labels?["app"] == workload.name && !pod.isFinished && !pod.metadata.isTerminating
    }

    func waitUntilReady(_ workload: TestWorkload) async throws {
        try await client.wait(
            for: Pod.self,
            in: workload.namespace,
            limit: Self.limit,
            what: "the pods of \(workload.resource.kind) \(workload.name) to be ready"
        ) { pods in
            let pods = pods.objects.values.filter { Self.isPod($0, of: workload) }
            return pods.count == workload.replicas && pods.allSatisfy(\.isReady) ? () : nil
        }
    }

    /// What the ready pods of a workload found in their volumes when they started, by claim.
    func contents(of workload: TestWorkload) async throws -> [String: Contents] {
        var contents: [String: Contents] = [:]
        for pod in try await pods(of: workload) {
            let log = try await client.log(of: pod.name, container: "main", tail: 100_000)
            for (path, found) in try Contents.read(log) {
                let volume = pod.spec.volumes?.first { $0.name == volumeName(path, workload) }
                contents[volume?.persistentVolumeClaim?.claimName ?? "?"] = found
            }
        }
        return contents
    }

    /// Runs a pod over a claim that no workload mounts, and removes it: fills the claim, or looks at what is there.
    func visit(_ claim: String, in namespace: String? = nil) async throws -> Contents {
        let log = try await visit(claim, in: namespace, script: Files.script) { $0 }
        return try #require(try Contents.read(log)["/data"])
    }

    /// Runs a script in a pod with a claim at `/data`, and removes the pod.
    ///
    /// - Parameter change: changes the pod's spec.
    /// - Returns: the pod's log.
    func visit(
        _ claim: String,
        in namespace: String? = nil,
        script: String,
        _ change: (JSON) -> JSON
    ) async throws -> String {
        let namespace = namespace ?? self.namespace
        let name = "visitor-" + String(UInt32.random(in: .min ... .max), radix: 36)
        var visitor = TestWorkload(resource: .pods, name: "visitor", namespace: namespace, claims: ["/data": claim])
        visitor.script = script
        var spec = change(podSpec(visitor, stays: false))
        spec["restartPolicy"] = "Never"
        try await create(.pods, name, in: namespace, ["spec": spec])
        let pod = try await client.wait(
            for: Pod.self,
            in: namespace,
            named: name,
            limit: Self.limit,
            what: "Pod \(name) to end"
        ) { pods in pods.object(named: name).flatMap { $0.isFinished ? $0 : nil } }
        let log = try await client.log(of: pod.name, container: "main", tail: 100_000)
        try await client.delete(.pods, pod.name, uid: pod.metadata.uid)
        try await waitUntilGone(pod)
        return log
    }
}
