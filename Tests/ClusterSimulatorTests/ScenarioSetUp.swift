import FoundationEssentials
import Kubernetes

@testable import ClusterSimulator

extension Scenarios {
    /// Sets up what was there before the recording began.
    static func prepare(_ transcript: Transcript, _ cluster: inout Cluster) throws {
        if transcript.name == "rebind_lost_race" { cluster.behaviour.lostRaceProbability = 0.3 }
        if transcript.name.hasPrefix("csi_") { try addDriver(&cluster) }
        for (name, storageClass) in claims(of: transcript.name) {
            try cluster.create(
                .persistentVolumeClaims,
                namespace: "rec",
                [
                    "metadata": ["name": .string(name), "labels": ["app": .string(name)]],
                    "spec": [
                        "accessModes": ["ReadWriteOnce"], "storageClassName": .string(storageClass),
                        "resources": ["requests": ["storage": "16Mi"]],
                    ],
                ]
            )
        }
        cluster.advance(to: cluster.now + .seconds(3))
        switch transcript.name {
        case "copy_pod": try fill(transcript, &cluster)
        case "custom_scale_unset": try defineMonitors(&cluster)
        case "hand_over_to_another_namespace":
            try cluster.create(.namespaces, ["metadata": ["name": "rec-there"]])
        case "owner_enforcement": try enforceOwners(&cluster)
        case "usurper_of_a_reserved_volume":
            for name in ["a", "b"] { try release(name, &cluster) }
        default: break
        }
    }

    /// The claims that there were, with their classes.
    private static func claims(of scenario: String) -> [(String, String)] {
        switch scenario {
        case "copy_pod", "mover_shapes": [("data", "src-sc"), ("data-pvcmigrate", "dst-sc")]
        case "owners": [("data", "src-sc")]
        case "rebind_lost_race": (0..<6).map { ("d\($0)", "dst-sc") }
        case "claim_of_another_class", "hand_over_to_another_namespace": [("a", "dst-sc")]
        case "usurper_of_a_reserved_volume": [("a", "dst-sc"), ("b", "dst-sc")]
        case "dry_run_of_a_successor": [("a", "src-sc")]
        default: []
        }
    }

    /// Runs the pod that wrote the files to copy.
    private static func fill(_ transcript: Transcript, _ cluster: inout Cluster) throws {
        try createPod("fill", of: transcript, &cluster)
        cluster.advance(to: cluster.now + .seconds(10))
    }

    /// Creates a pod that the recorder made beside the recording, as the recording shows it afterwards.
    static func createPod(_ name: String, of transcript: Transcript, _ cluster: inout Cluster) throws {
        guard var pod = transcript.objects.first(where: { $0["kind"] == "Pod" && $0.name == name }) else { return }
        pod["metadata"] = ["name": .string(name), "labels": ["app": .string(name)]]
        pod["status"] = nil
        func written(_ list: JSON?) -> JSON {
            .array((list?.array ?? []).filter { $0["name"]?.string?.hasPrefix("kube-api-access") == false })
        }
        pod[path: ["spec", "volumes"]] = written(pod["spec"]?["volumes"])
        pod[path: ["spec", "nodeName"]] = nil
        if var container = pod["spec"]?["containers"]?.array?.first {
            container["volumeMounts"] = written(container["volumeMounts"])
            pod[path: ["spec", "containers"]] = [container]
        }
        try cluster.create(.pods, namespace: "rec", pod)
    }

    /// The driver csi-driver-host-path, which makes a volume on the node of its pod.
    private static func addDriver(_ cluster: inout Cluster) throws {
        let (driver, key) = ("hostpath.csi.k8s.io", "topology.hostpath.csi/node")
        cluster.behaviour.provisioners[driver] = Behaviour.Provisioner(
            isLocal: true,
            topologyKey: key,
            delay: .milliseconds(300)
        )
        for node in ["node-1", "node-2"] {
            try cluster.update(ObjectKey(.nodes, nil, node)) { $0.put(.string(node), "metadata", "labels", key) }
        }
        for name in ["csi-a", "csi-b"] {
            try cluster.create(
                .storageClasses,
                [
                    "metadata": ["name": .string(name)], "provisioner": .string(driver), "reclaimPolicy": "Delete",
                    "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
                ]
            )
        }
    }

    // MARK: Volumes that are kept

    /// Deletes a claim and keeps its volume.
    private static func release(_ claim: String, _ cluster: inout Cluster) throws {
        let key = ObjectKey(.persistentVolumeClaims, "rec", claim)
        let volume = cluster.get(key)?.text("spec", "volumeName") ?? ""
        try cluster.update(ObjectKey(.persistentVolumes, nil, volume)) {
            $0.put("Retain", "spec", "persistentVolumeReclaimPolicy")
        }
        try cluster.delete(key)
        cluster.advance(to: cluster.now + .seconds(1))
    }

    /// The recording's volumes are named after claims that it never shows.
    static func teachVolumes(_ names: inout NameMap, _ cluster: Cluster) {
        let recorded = [
            "a": "pvc-b404d6b0-a8f0-44c1-9bfd-d334bea8f0f8", "b": "pvc-89d1d821-2f9a-4841-86fd-ab9131c67855",
        ]
        for volume in cluster.list(.persistentVolumes) {
            guard let name = recorded[volume.text("spec", "claimRef", "name")] else { continue }
            names.learn(recorded: name, actual: volume.name)
        }
    }

    // MARK: Definitions and permissions

    /// A resource whose scale is at another place than usual.
    private static func defineMonitors(_ cluster: inout Cluster) throws {
        let scale: JSON = ["specReplicasPath": ".spec.shards", "statusReplicasPath": ".status.shards"]
        let schema: JSON = ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
        try cluster.create(
            .customResourceDefinitions,
            [
                "metadata": ["name": "monitors.rec.example"],
                "spec": [
                    "group": "rec.example", "scope": "Namespaced",
                    "names": ["kind": "Monitor", "plural": "monitors", "singular": "monitor"],
                    "versions": [
                        [
                            "name": "v1", "served": true, "storage": true, "schema": ["openAPIV3Schema": schema],
                            "subresources": ["scale": scale],
                        ]
                    ],
                ],
            ]
        )
    }

    /// A service account that may do everything with claims, and the StatefulSet that is to own some.
    private static func enforceOwners(_ cluster: inout Cluster) throws {
        cluster.behaviour.enforcesOwnerReferences = true
        try allow("claims", ["*"], "", "persistentvolumeclaims", &cluster)
        let container: JSON = ["name": "main", "image": "busybox:latest", "command": ["sleep", "3600"]]
        try cluster.create(
            .statefulSets,
            namespace: "rec",
            [
                "metadata": ["name": "x"],
                "spec": [
                    "replicas": 0, "serviceName": "x", "selector": ["matchLabels": ["app": "x"]],
                    "template": ["metadata": ["labels": ["app": "x"]], "spec": ["containers": [container]]],
                ],
            ]
        )
    }

    /// Allows something to the service account with which the recorder asked.
    static func allow(
        _ name: String,
        _ verbs: JSON,
        _ group: JSON,
        _ resource: JSON,
        _ cluster: inout Cluster
    ) throws {
        let account: JSON = ["kind": "ServiceAccount", "namespace": "rec", "name": "default"]
        try cluster.create(
            .roles,
            namespace: "rec",
            [
                "metadata": ["name": .string(name)],
                "rules": [["apiGroups": [group], "resources": [resource], "verbs": verbs]],
            ]
        )
        try cluster.create(
            .roleBindings,
            namespace: "rec",
            [
                "metadata": ["name": .string(name)], "subjects": [account],
                "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": .string(name)],
            ]
        )
    }
}
