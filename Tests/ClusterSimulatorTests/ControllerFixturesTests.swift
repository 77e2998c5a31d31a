import Kubernetes
import Testing

@testable import ClusterSimulator

/// A cluster with two nodes, the recordings' StorageClasses and the namespace `rec`, and short words for what tests do.
struct World {
    var cluster: Cluster

    init(seed: UInt64 = 1) throws {
        cluster = Cluster(seed: seed)
        cluster.addNode("node-1")
        cluster.addNode("node-2")
        try addClass("src-sc")
        try addClass("dst-sc")
        try addClass("dst-wffc", mode: "WaitForFirstConsumer")
        try cluster.create(.namespaces, ["metadata": ["name": "rec"]])
        pass(.seconds(1))
    }

    mutating func addClass(_ name: String, provisioner: String = Behaviour.hostPath, mode: String = "Immediate") throws
    {
        try cluster.create(
            .storageClasses,
            [
                "metadata": ["name": .string(name)], "provisioner": .string(provisioner), "reclaimPolicy": "Delete",
                "volumeBindingMode": .string(mode),
            ]
        )
    }

    mutating func pass(_ time: Duration) { cluster.advance(to: cluster.now + time) }

    static func key(_ resource: Resource, _ name: String) -> ObjectKey {
        ObjectKey(resource, resource.namespaced ? "rec" : nil, name)
    }

    func get(_ resource: Resource, _ name: String) -> JSON? { cluster.get(Self.key(resource, name)) }

    func phase(_ resource: Resource, _ name: String) -> String? { get(resource, name)?.text("status", "phase") }

    mutating func delete(_ resource: Resource, _ name: String, _ propagation: Propagation? = nil) throws {
        try cluster.delete(Self.key(resource, name), propagation: propagation)
    }

    mutating func change(_ resource: Resource, _ name: String, _ change: (inout JSON) -> Void) throws {
        try cluster.update(Self.key(resource, name)) { change(&$0) }
    }

    /// The name of the volume behind a claim.
    func volume(_ claim: String) -> String { get(.persistentVolumeClaims, claim)?.text("spec", "volumeName") ?? "" }

    mutating func claim(
        _ name: String,
        class storageClass: String = "src-sc",
        volume: String? = nil,
        mode: String = "ReadWriteOnce"
    ) throws {
        var spec: JSON = [
            "accessModes": [.string(mode)], "resources": ["requests": ["storage": "16Mi"]],
            "storageClassName": .string(storageClass),
        ]
        if let volume { spec["volumeName"] = .string(volume) }
        try cluster.create(
            .persistentVolumeClaims,
            namespace: "rec",
            ["metadata": ["name": .string(name)], "spec": spec]
        )
    }

    /// The spec of a pod that mounts claims at `/v0`, `/v1` and so on.
    static func podSpec(_ command: [String], _ claims: [String] = [], image: String = "busybox:latest") -> JSON {
        let volumes = claims.enumerated()
        return [
            "terminationGracePeriodSeconds": 1,
            "containers": [
                [
                    "name": "main", "image": .string(image), "imagePullPolicy": "IfNotPresent",
                    "command": JSON(command),
                    "volumeMounts": .array(
                        volumes.map { ["name": .string("v\($0.offset)"), "mountPath": .string("/v\($0.offset)")] }
                    ),
                ]
            ],
            "volumes": .array(
                volumes.map {
                    ["name": .string("v\($0.offset)"), "persistentVolumeClaim": ["claimName": .string($0.element)]]
                }
            ),
        ]
    }

    mutating func pod(
        _ name: String,
        _ command: [String],
        _ claims: [String] = [],
        _ change: (inout JSON) -> Void = { _ in }
    ) throws {
        var spec = Self.podSpec(command, claims)
        spec["restartPolicy"] = "Never"
        var pod: JSON = ["metadata": ["name": .string(name), "labels": ["app": .string(name)]], "spec": spec]
        change(&pod)
        try cluster.create(.pods, namespace: "rec", pod)
    }

    /// A workload whose pods sleep.
    mutating func workload(
        _ resource: Resource,
        _ name: String,
        replicas: Int? = 2,
        _ change: (inout JSON) -> Void = { _ in }
    ) throws {
        var object: JSON = [
            "metadata": ["name": .string(name)],
            "spec": [
                "selector": ["matchLabels": ["app": .string(name)]],
                "template": [
                    "metadata": ["labels": ["app": .string(name)]], "spec": Self.podSpec(["sleep", "3600"]),
                ],
            ],
        ]
        object.put(replicas.map { JSON($0) }, "spec", "replicas")
        change(&object)
        try cluster.create(resource, namespace: "rec", object)
    }

    func pods() -> [JSON] { cluster.list(.pods, namespace: "rec") }

    /// The reasons and messages of the Events about an object.
    func events(_ name: String) -> [String] {
        cluster.list(.events, namespace: "rec").filter { $0.text("involvedObject", "name") == name }
            .sorted { Int($0.resourceVersion) ?? 0 < Int($1.resourceVersion) ?? 0 }
            .map { $0.text("reason") + ": " + $0.text("message") }
    }

    func log(_ pod: String) -> String {
        let pieces = cluster.logs[get(.pods, pod)?.uid ?? ""]?["main"]?.current.pieces ?? []
        return pieces.map { String(decoding: $0.text, as: UTF8.self) }.joined()
    }

    /// What happened to objects of a resource since the start: kind of change and version.
    func changes(_ resource: Resource, _ name: String) -> [Change] {
        (cluster.history.changes(of: resource, after: 6760) ?? []).filter { $0.object.key.name == name }
    }

    /// A bound claim's volume kept, the claim gone, the volume reserved for a claim of this name.
    mutating func reserve(_ claim: String, for name: String) throws -> String {
        let volume = volume(claim)
        try change(.persistentVolumes, volume) { $0.put("Retain", "spec", "persistentVolumeReclaimPolicy") }
        try delete(.persistentVolumeClaims, claim)
        pass(.seconds(1))
        try change(.persistentVolumes, volume) { volume in
            volume.put(.string(name), "spec", "claimRef", "name")
            volume.put(nil, "spec", "claimRef", "uid")
            volume.put(nil, "spec", "claimRef", "resourceVersion")
        }
        pass(.seconds(1))
        return volume
    }
}
