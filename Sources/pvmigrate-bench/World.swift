import Kubernetes

/// What a migration finds: Deployments with claims that they have filled.
struct World: Sendable {
    static let namespace = "bench"
    static let sourceClass = "bench-source"
    static let destinationClass = "bench-dest"
    private static let limit: Duration = .seconds(600)

    var client: Client
    var claims: Int
    var workloads: Int
    var files: Int
    var size: Int
    /// How many bytes each claim has, and a file in it that is one hole; 0 for a small claim without such a file.
    var apparent = 0
    /// Whether the Deployments write all the time.
    var writes = false

    var workloadNames: Set<String> { Set((0..<workloads).map(name)) }

    private func name(_ number: Int) -> String { "app-\(number)" }

    /// Makes everything and waits until it runs.
    ///
    /// - Throws: `APIError`, or `WaitTimeout` where a Deployment does not become ready.
    func create() async throws {
        for name in [Self.sourceClass, Self.destinationClass] { try await create(.storageClasses, name, storageClass) }
        try await create(.namespaces, Self.namespace, [:])
        for number in 0..<claims { try await create(.claims, "data-\(number)", claim) }
        for number in 0..<workloads {
            let own = stride(from: number, to: claims, by: workloads).map { "data-\($0)" }
            try await create(.deployments, name(number), deployment(name(number), own))
        }
        try await waitUntilReady()
    }

    /// Looks whether the migration did what it was to do; a Deployment is ready only when all of its files are as they
    /// were.
    ///
    /// - Throws: `BenchError` where it did not.
    func verify() async throws {
        try await waitUntilReady()
        let claims = try await client.list(PersistentVolumeClaim.self, in: Self.namespace)
        guard claims.count == self.claims,
            claims.allSatisfy({ $0.storageClassName == Self.destinationClass && $0.phase == .bound })
        else { throw BenchError("not every claim is bound on \(Self.destinationClass)") }
    }

    private func waitUntilReady() async throws {
        let names = workloadNames
        let all = names.count
        try await client.wait(
            for: WorkloadObject.self,
            of: .deployments,
            in: Self.namespace,
            limit: Self.limit,
            what: "\(all) Deployments to be ready"
        ) { deployments -> Void? in
            deployments.objects.values.count(where: \.isReady) == all ? () : nil
        }
    }

    private func create(_ resource: APIResource, _ name: String, _ manifest: JSON) async throws {
        let name = ObjectName(name, in: resource.namespaced ? Self.namespace : nil)
        try await client.create(resource, name, manifest)
    }

    /// Storage that is reached from every node: the Go tool's mover may run on another one than the workload.
    private var storageClass: JSON {
        ["provisioner": "network.csi.example.com", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"]
    }

    private var claim: JSON {
        [
            "spec": [
                "accessModes": ["ReadWriteOnce"], "storageClassName": .string(Self.sourceClass),
                "resources": ["requests": ["storage": apparent > 0 ? .string("\(apparent)") : "1Gi"]],
            ]
        ]
    }

    private func deployment(_ name: String, _ claims: [String]) -> JSON {
        let labels: JSON = ["app": .string(name)]
        let mounts = claims.map { claim -> JSON in
            ["name": .string(claim), "mountPath": .string("/data/\(claim)")]
        }
        var container: JSON = [
            "name": "main", "image": "busybox:latest", "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"], "volumeMounts": .array(mounts),
        ]
        var pod: JSON = [
            // The model's processes do not hear that they are to end.
            "terminationGracePeriodSeconds": files > 0 ? 5 : 1,
            "volumes": .array(
                claims.map { ["name": .string($0), "persistentVolumeClaim": ["claimName": .string($0)]] }
            ),
        ]
        if files > 0 {
            // What the pod starts with, so that it is ready only on the files that it wrote the first time.
            var filling = container
            filling["name"] = "files"
            filling["command"] = [
                "python3", "-c", .string(PodScripts.files), .string("\(files)"), .string("\(size)"),
                .string("\(apparent)"),
            ]
            pod["initContainers"] = [filling]
        } else {
            container["command"] = ["sleep", "infinity"]
        }
        if writes { container["command"] = ["python3", "-c", .string(PodScripts.writer)] }
        pod["containers"] = [container]
        return [
            "spec": [
                "replicas": 1, "selector": ["matchLabels": labels], "strategy": ["type": "Recreate"],
                "template": ["metadata": ["labels": labels], "spec": pod],
            ]
        ]
    }
}

extension Client {
    /// Creates an object from a manifest that says neither its kind nor its name.
    @discardableResult
    func create(_ resource: APIResource, _ name: ObjectName, _ manifest: JSON) async throws -> JSON {
        var manifest = manifest
        manifest["apiVersion"] = .string(resource.apiVersion)
        manifest["kind"] = .string(resource.kind)
        manifest[path: ["metadata", "name"]] = .string(name.name)
        return try await create(resource, in: name.namespace, manifest)
    }
}

extension WorkloadObject {
    /// True where all its pods run and are ready.
    var isReady: Bool {
        guard let wanted = spec.replicas, wanted > 0 else { return false }
        return status?.observedGeneration == metadata.generation && status?.readyReplicas == wanted
    }
}
