import ClusterSimulator
import Kubernetes

/// The cluster that a person finds in a new sandbox: a shop's database, its orders, its front, and a blog.
struct Seed {
    var client: Client
    /// The nodes that workloads with data are kept on in turn: a volume's files are on the node where they were written.
    var nodes: [String]

    /// The StorageClasses, as several real clusters have them; `default` is the default class.
    func createClasses() async throws {
        try await create(.storageClasses, storageClass("default", isDefault: true))
        try await create(.storageClasses, storageClass("mynewsc"))
        try await create(.storageClasses, storageClass("dst-wffc", binding: "WaitForFirstConsumer"))
    }

    /// A namespace with workloads, and one more workload in `default`; waits until all of them are ready.
    ///
    /// - Throws: `APIError`, or `WaitTimeout` where a pod does not become ready within a minute.
    func createWorkloads() async throws {
        try await create(.namespaces, object(.namespaces, "shop"))
        try await create(
            .statefulSets,
            statefulSet("database", replicas: 2, claim: "data", on: nodes.first),
            in: "shop"
        )
        for name in ["orders", "orders-archive"] { try await create(.claims, claim(name), in: "shop") }
        let paths = ["orders": "/data", "orders-archive": "/archive"]
        try await create(.deployments, deployment("orders", claims: paths, on: nodes.last), in: "shop")
        try await create(.deployments, deployment("front", replicas: 2), in: "shop")
        try await create(.claims, claim("blog"), in: "default")
        try await create(.deployments, deployment("blog", claims: ["blog": "/data"], on: nodes.last), in: "default")
        let expected = 6
        try await client.wait(
            for: Pod.self,
            in: nil,
            limit: .seconds(60),
            what: "the workloads' pods to be ready"
        ) { pods in
            pods.objects.values.count { $0.isReady } == expected ? () : nil
        }
    }

    /// Every claim that a pod mounts, with the storage behind it and a node that has it.
    func claims() async throws -> [(claim: ObjectName, storage: Storage, node: String)] {
        var nodes: [ObjectName: String] = [:]
        for pod in try await client.list(Pod.self) {
            for claim in pod.claimNames { nodes[ObjectName(claim, in: pod.metadata.namespace)] = pod.spec.nodeName }
        }
        return try await client.list(PersistentVolume.self).compactMap { volume in
            guard let claim = volume.claim, let node = nodes[claim] else { return nil }
            return (claim, .node(handle: volume.handle), node)
        }
    }

    /// Lets a user look at everything and change nothing.
    func createViewer(_ user: String) async throws {
        let group = "rbac.authorization.k8s.io"
        let roles = APIResource(group: group, kind: "ClusterRole", plural: "clusterroles", namespaced: false)
        let bindings = APIResource(
            group: group,
            kind: "ClusterRoleBinding",
            plural: "clusterrolebindings",
            namespaced: false
        )
        var role = object(roles, "viewer")
        role["rules"] = [["apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]]]
        try await create(roles, role)
        var binding = object(bindings, "viewer")
        binding["roleRef"] = ["apiGroup": .string(group), "kind": "ClusterRole", "name": "viewer"]
        binding["subjects"] = [["apiGroup": .string(group), "kind": "User", "name": .string(user)]]
        try await create(bindings, binding)
    }

    // MARK: Manifests

    private func create(_ resource: APIResource, _ manifest: JSON, in namespace: String? = nil) async throws {
        try await client.create(resource, in: namespace, manifest)
    }

    private func object(_ resource: APIResource, _ name: String) -> JSON {
        [
            "apiVersion": .string(resource.apiVersion), "kind": .string(resource.kind),
            "metadata": ["name": .string(name)],
        ]
    }

    private func storageClass(_ name: String, isDefault: Bool = false, binding: String = "Immediate") -> JSON {
        var manifest = object(.storageClasses, name)
        if isDefault {
            manifest["metadata"]?["annotations"] = ["storageclass.kubernetes.io/is-default-class": "true"]
        }
        manifest["provisioner"] = "kubernetes.io/host-path"
        manifest["reclaimPolicy"] = "Delete"
        manifest["volumeBindingMode"] = .string(binding)
        return manifest
    }

    private func claim(_ name: String) -> JSON {
        var manifest = object(.claims, name)
        manifest["spec"] = [
            "accessModes": ["ReadWriteOnce"], "storageClassName": "default",
            "resources": ["requests": ["storage": "1Gi"]],
        ]
        return manifest
    }

    private func statefulSet(_ name: String, replicas: Int64, claim claimName: String, on node: String?) -> JSON {
        var manifest = workload(.statefulSets, name, replicas: replicas, mounts: [claimName: "/data"], on: node)
        manifest["spec"]?["serviceName"] = .string(name)
        manifest["spec"]?["volumeClaimTemplates"] = [claim(claimName)]
        return manifest
    }

    private func deployment(_ name: String, replicas: Int64 = 1, claims: [String: String] = [:], on node: String? = nil)
        -> JSON
    {
        var manifest = workload(.deployments, name, replicas: replicas, mounts: claims, on: node)
        // Two pods at once must not write to the same claim.
        if !claims.isEmpty { manifest["spec"]?["strategy"] = ["type": "Recreate"] }
        let volumes = claims.keys.sorted().map { claim -> JSON in
            ["name": .string(claim), "persistentVolumeClaim": ["claimName": .string(claim)]]
        }
        if !volumes.isEmpty { manifest[path: ["spec", "template", "spec", "volumes"]] = .array(volumes) }
        return manifest
    }

    /// What StatefulSets and Deployments have in common.
    ///
    /// - Parameter mounts: paths by volume name.
    private func workload(
        _ resource: APIResource,
        _ name: String,
        replicas: Int64,
        mounts: [String: String],
        on node: String?
    ) -> JSON {
        let labels: JSON = ["app": .string(name)]
        var container: JSON = [
            "name": "main", "image": "busybox:latest", "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", .string(Self.script)],
            "env": [["name": "VOLUMES", "value": .string(mounts.values.sorted().joined(separator: " "))]],
            "readinessProbe": ["exec": ["command": ["sh", "-c", .string(Self.probe)]], "periodSeconds": 1],
        ]
        if !mounts.isEmpty {
            container["volumeMounts"] = .array(
                mounts.sorted { $0.key < $1.key }.map { ["name": .string($0.key), "mountPath": .string($0.value)] }
            )
        }
        var manifest = object(resource, name)
        manifest["metadata"]?["labels"] = labels
        manifest["spec"] = [
            "replicas": .integer(replicas), "selector": ["matchLabels": labels],
            "template": [
                "metadata": ["labels": labels],
                "spec": ["terminationGracePeriodSeconds": 5, "containers": [container]],
            ],
        ]
        if let node {
            manifest[path: ["spec", "template", "spec", "nodeSelector"]] = ["kubernetes.io/hostname": .string(node)]
        }
        return manifest
    }

    /// Notes its start in each volume and waits to be stopped.
    private static let script = """
        trap 'echo stopping; exit 0' TERM
        echo "$HOSTNAME starts"
        for volume in $VOLUMES; do
          echo "$HOSTNAME started at $(date -u +%FT%TZ)" >> "$volume/starts.log" || exit 1
          echo "$volume holds $(ls "$volume" | wc -l) entries, its $(wc -l < "$volume/starts.log"). start"
        done
        touch /tmp/ready
        sleep 1000000 & wait
        """
    private static let probe = "test -e /tmp/ready"

    /// What stands for the scripts where containers are modelled, since the model's shell is a small one.
    static let modelScripts = [script: "echo starts; sleep infinity", probe: "true"]
}
