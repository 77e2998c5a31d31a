import FoundationEssentials
import Kubernetes

@testable import ClusterSimulator

extension Scenarios {
    /// Sets up what was there before the recording began.
    static func prepare(_ transcript: Transcript, _ cluster: inout Cluster) throws {
        if transcript.name == "rebind_lost_race" { cluster.behaviour.lostRaceProbability = 0.3 }
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
        if transcript.name == "copy_pod" { try fill(transcript, &cluster) }
    }

    /// The claims that there were, with their classes.
    private static func claims(of scenario: String) -> [(String, String)] {
        switch scenario {
        case "copy_pod", "mover_shapes": [("data", "src-sc"), ("data-pvcmigrate", "dst-sc")]
        case "owners": [("data", "src-sc")]
        case "rebind_lost_race": (0..<6).map { ("d\($0)", "dst-sc") }
        default: []
        }
    }

    /// Runs the pod that wrote the files to copy, as the recording shows it afterwards.
    private static func fill(_ transcript: Transcript, _ cluster: inout Cluster) throws {
        guard var fill = transcript.objects.first(where: { $0["kind"] == "Pod" && $0.name == "fill" }) else { return }
        fill["metadata"] = ["name": "fill", "labels": ["app": "fill"]]
        fill["status"] = nil
        func written(_ list: JSON?) -> JSON {
            .array((list?.array ?? []).filter { $0["name"]?.string?.hasPrefix("kube-api-access") == false })
        }
        fill[path: ["spec", "volumes"]] = written(fill["spec"]?["volumes"])
        fill[path: ["spec", "nodeName"]] = nil
        if var container = fill["spec"]?["containers"]?.array?.first {
            container["volumeMounts"] = written(container["volumeMounts"])
            fill[path: ["spec", "containers"]] = [container]
        }
        try cluster.create(.pods, namespace: "rec", fill)
        cluster.advance(to: cluster.now + .seconds(10))
    }
}
