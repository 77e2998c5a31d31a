import Kubernetes
import Testing

@testable import ClusterSimulator

@Suite("Snapshots and clones")
struct SnapshotterTests {
    private static let driver = "network.csi.example.com"

    private func cluster(snapshotter: Behaviour.Snapshotter = .init()) throws -> Cluster {
        var cluster = Cluster()
        cluster.addNode("node-1")
        try cluster.create(.namespaces, ["metadata": ["name": "shop"]])
        for (name, provisioner) in [("csi", Self.driver), ("host", Behaviour.hostPath)] {
            try cluster.create(
                .storageClasses,
                ["metadata": ["name": .string(name)], "provisioner": .string(provisioner)]
            )
        }
        try cluster.addSnapshotter(snapshotter)
        for policy in ["Delete", "Retain"] {
            try cluster.create(
                .volumeSnapshotClasses,
                [
                    "metadata": ["name": .string(policy.lowercased())], "driver": .string(Self.driver),
                    "deletionPolicy": .string(policy),
                ]
            )
        }
        try addClaim("data", to: &cluster)
        cluster.write(["file": File("before")], toVolumeNamed: volume("data", cluster))
        return cluster
    }

    private func addClaim(
        _ name: String,
        of source: (kind: String, name: String)? = nil,
        size: String = "16Mi",
        class storageClass: String = "csi",
        to cluster: inout Cluster
    ) throws {
        var spec: JSON = [
            "accessModes": ["ReadWriteOnce"], "storageClassName": .string(storageClass),
            "resources": ["requests": ["storage": .string(size)]],
        ]
        if let source {
            spec["dataSource"] = ["kind": .string(source.kind), "name": .string(source.name)]
            if source.kind == "VolumeSnapshot" {
                spec[path: ["dataSource", "apiGroup"]] = .string(Resource.volumeSnapshots.group)
            }
        }
        try cluster.create(
            .persistentVolumeClaims,
            namespace: "shop",
            ["metadata": ["name": .string(name)], "spec": spec]
        )
        pass(5, &cluster)
    }

    private func snapshot(_ name: String, class snapshotClass: String = "delete", _ cluster: inout Cluster) throws {
        try cluster.create(
            .volumeSnapshots,
            namespace: "shop",
            [
                "metadata": ["name": .string(name)],
                "spec": [
                    "volumeSnapshotClassName": .string(snapshotClass),
                    "source": ["persistentVolumeClaimName": "data"],
                ],
            ]
        )
    }

    private func pass(_ seconds: Int, _ cluster: inout Cluster) { cluster.advance(to: cluster.now + .seconds(seconds)) }
    private func claim(_ name: String, _ cluster: Cluster) -> JSON {
        cluster.get(ObjectKey(.persistentVolumeClaims, "shop", name)) ?? .null
    }
    private func volume(_ name: String, _ cluster: Cluster) -> String {
        claim(name, cluster).text("spec", "volumeName")
    }
    private func content(_ name: String, _ cluster: Cluster) -> String? {
        cluster.content(ofVolumeNamed: volume(name, cluster))?["file"]?.content
    }

    @Test("a snapshot holds what the volume held, protects its claim only until it is taken, and goes with its storage")
    func life() throws {
        var cluster = try cluster()
        let key = ObjectKey(.volumeSnapshots, "shop", "one")
        try snapshot("one", &cluster)
        cluster.advance(to: cluster.now + .milliseconds(300))
        let protection = "snapshot.storage.kubernetes.io/pvc-as-source-protection"
        #expect(claim("data", cluster).finalizers.contains(protection))
        #expect(cluster.get(key)?.at("status", "readyToUse") == false)
        pass(5, &cluster)
        #expect(!claim("data", cluster).finalizers.contains(protection))
        let status = cluster.get(key)?.at("status")
        #expect(status?["readyToUse"] == true && status?["restoreSize"] == "16Mi")
        #expect(cluster.list(.volumeSnapshotContents).map(\.name) == [status?.text("boundVolumeSnapshotContentName")])

        cluster.write(["file": File("after")], toVolumeNamed: volume("data", cluster))
        try addClaim("restored", of: ("VolumeSnapshot", "one"), to: &cluster)
        #expect(content("restored", cluster) == "before" && content("data", cluster) == "after")
        #expect(
            claim("restored", cluster).at("spec", "dataSourceRef")
                == claim("restored", cluster).at("spec", "dataSource")
        )
        try cluster.delete(key)
        pass(5, &cluster)
        #expect(cluster.get(key) == nil && cluster.list(.volumeSnapshotContents) == [])
        #expect(content("restored", cluster) == "before")
    }

    @Test("a class that retains keeps the storage of a snapshot that is deleted")
    func retain() throws {
        var cluster = try cluster()
        try snapshot("one", class: "retain", &cluster)
        pass(5, &cluster)
        try cluster.delete(ObjectKey(.volumeSnapshots, "shop", "one"))
        pass(5, &cluster)
        #expect(cluster.list(.volumeSnapshots) == [] && cluster.list(.volumeSnapshotContents).count == 1)
    }

    @Test("a snapshot that can't be taken says why, and holds nothing when it is deleted")
    func failure() throws {
        var cluster = try cluster(snapshotter: .init(failure: "no room"))
        try snapshot("one", &cluster)
        pass(30, &cluster)
        let key = ObjectKey(.volumeSnapshots, "shop", "one")
        #expect(cluster.get(key)?.at("status", "readyToUse") == false)
        #expect(cluster.get(key)?.text("status", "error", "message").contains("no room") == true)
        try cluster.delete(key)
        pass(5, &cluster)
        #expect(cluster.get(key) == nil && cluster.list(.volumeSnapshotContents) == [])
        #expect(!claim("data", cluster).finalizers.contains { $0.contains("snapshot") })
    }

    @Test("a clone holds what the claim held; none is smaller, and none of what no CSI driver made")
    func clone() throws {
        var cluster = try cluster()
        try addClaim("clone", of: ("PersistentVolumeClaim", "data"), to: &cluster)
        #expect(content("clone", cluster) == "before")
        try addClaim("small", of: ("PersistentVolumeClaim", "data"), size: "8Mi", to: &cluster)
        try addClaim("host", of: ("PersistentVolumeClaim", "data"), class: "host", to: &cluster)
        for (name, words) in [("small", "greater than or equal in size"), ("host", "is not a CSI plugin")] {
            #expect(claim(name, cluster).text("status", "phase") == "Pending")
            #expect(
                cluster.list(.events).contains {
                    $0.at("involvedObject", "name")?.string == name && $0.text("message").contains(words)
                }
            )
        }
    }
}
