import ClusterSimulator
import FoundationEssentials
import Kubernetes
import Synchronization
import Testing

@testable import Migration

private func volume(_ name: String, _ spec: JSON, node: String? = nil) throws -> PersistentVolume {
    var metadata: JSON = ["name": .string(name), "uid": .string(name), "resourceVersion": "1"]
    if let node { metadata["annotations"] = .object([Marks.sourceNode: .string(node)]) }
    return try JSONDecoder().decode(PersistentVolume.self, from: (["metadata": metadata, "spec": spec] as JSON).text)
}

private func csi(_ driver: String, _ handle: String, _ attributes: JSON = [:]) -> JSON {
    ["csi": ["driver": .string(driver), "volumeHandle": .string(handle), "volumeAttributes": attributes]]
}

private func nfs(_ server: String, _ path: String) -> JSON {
    ["nfs": ["server": .string(server), "path": .string(path)]]
}

private func on(_ node: String, _ source: JSON) -> JSON {
    let expression: JSON = ["key": "kubernetes.io/hostname", "operator": "In", "values": [.string(node)]]
    var spec = source
    spec[path: ["nodeAffinity", "required", "nodeSelectorTerms"]] = [["matchExpressions": [expression]]]
    return spec
}

@Suite("Volumes that are the same storage")
struct StorageIdentityTests {
    private static let nfsDriver = "nfs.csi.k8s.io"
    private static let path: JSON = ["hostPath": ["path": "/data"]]

    @Test(
        "are told by what their sources name",
        arguments: [
            (csi("a", "1"), csi("a", "1"), true), (csi("a", "1"), csi("b", "1"), false),
            (csi("a", "1"), csi("a", "2"), false),
            (nfs("s", "/x"), nfs("S", "/x/"), true), (nfs("s", "/"), nfs("s", "/"), true),
            (nfs("s", "/x"), nfs("s", "/y"), false), (nfs("s", "/x"), nfs("t", "/x"), false),
            // Static volumes of csi-driver-nfs, whose handles anybody may choose.
            (
                csi(nfsDriver, "1", ["server": "s", "share": "/x"]),
                csi(nfsDriver, "2", ["server": "s", "share": "/x/"]),
                true
            ),
            (
                csi(nfsDriver, "1", ["server": "s", "share": "/x", "subDir": "a"]),
                csi(nfsDriver, "2", ["server": "s", "share": "/x", "subdir": "b"]), false
            ),
            (
                csi(nfsDriver, "1", ["server": "s", "share": "/", "subdir": "x"]),
                csi(nfsDriver, "2", ["server": "s", "share": "/x"]), true
            ),
            (csi(nfsDriver, "1", ["server": "s", "share": "/x"]), nfs("s", "/x"), true),
            (
                csi("smb.csi.k8s.io", "1", ["source": "//s/x"]), csi("smb.csi.k8s.io", "2", ["source": "//s/x"]), true
            ),
            (
                csi("smb.csi.k8s.io", "1", ["source": "//s/x", "subDir": "a"]),
                csi("smb.csi.k8s.io", "2", ["source": "//s/x", "subDir": "b"]), false
            ),
            (
                csi("cephfs.csi.ceph.com", "1", ["clusterID": "c", "fsName": "f", "rootPath": "/x"]),
                csi("cephfs.csi.ceph.com", "2", ["clusterID": "d", "fsName": "f", "rootPath": "/x"]), false
            ),
            // Attributes that every volume of a driver has.
            (csi("a", "1", ["storage": "fast"]), csi("a", "2", ["storage": "fast"]), false),
            (
                ["awsElasticBlockStore": ["volumeID": "aws://us-east-1a/vol-1"]], csi("ebs.csi.aws.com", "vol-1"), true
            ),
            (["azureDisk": ["diskURI": "/Disks/A"]], csi("disk.csi.azure.com", "/disks/a"), true),
            (["cinder": ["volumeID": "1"]], ["cinder": ["volumeID": "2"]], false),
            (
                ["rbd": ["image": "i", "pool": "p", "monitors": ["b", "a"]]],
                ["rbd": ["image": "i", "pool": "p", "monitors": ["a", "b"]]], true
            ),
            (
                ["iscsi": ["iqn": "q", "lun": 0, "targetPortal": "t"]],
                ["iscsi": ["iqn": "q", "lun": 1, "targetPortal": "t"]], false
            ),
            (["fc": ["wwids": ["w"]]], ["fc": ["wwids": ["w"]]], true),
            (path, path, true), (path, ["local": ["path": "/data/"]], true),
            (path, ["hostPath": ["path": "/other"]], false), (on("node-1", path), on("node-1", path), true),
            (on("node-1", path), path, true), (on("node-1", path), on("node-2", path), false),
            (on("zone-1", nfs("s", "/x")), on("zone-2", nfs("s", "/x")), true),
            ([:], [:], false),
        ] as [(JSON, JSON, Bool)]
    )
    func sources(left: JSON, right: JSON, isSame: Bool) throws {
        let (left, right) = (try volume("left", left), try volume("right", right))
        #expect(left.sharedWith([left, right]).map(\.metadata.name) == (isSame ? ["right"] : []))
        #expect(right.sharedWith([left, right]).map(\.metadata.name) == (isSame ? ["left"] : []))
    }

    @Test("are a disk of Google's plug-in and one of the driver that has its name and zone")
    func googleDisks() throws {
        func disk(zone: String?) throws -> PersistentVolume {
            var metadata: JSON = ["name": "left", "uid": "left", "resourceVersion": "1"]
            if let zone { metadata["labels"] = ["topology.kubernetes.io/zone": .string(zone)] }
            let json: JSON = ["metadata": metadata, "spec": ["gcePersistentDisk": ["pdName": "d"]]]
            return try JSONDecoder().decode(PersistentVolume.self, from: json.text)
        }
        func shares(_ handle: String, zone: String? = "us-east1-b") throws -> Bool {
            try !disk(zone: zone).sharedWith([volume("right", csi("pd.csi.storage.gke.io", handle))]).isEmpty
        }
        #expect(try shares("projects/p/zones/us-east1-b/disks/d"))
        #expect(try !shares("projects/p/zones/us-east1-c/disks/d") && !shares("projects/p/zones/us-east1-b/disks/e"))
        #expect(try !shares("projects/p/zones/us-east1-b/disks/d", zone: nil))
        #expect(try shares("projects/p/regions/us-east1/disks/d", zone: "us-east1-b__us-east1-c"))
    }

    @Test("are not those directories of one path that are known to be of different nodes")
    func places() throws {
        func shares(_ left: String?, _ right: String?, nodes: [String: Set<String>] = [:]) throws -> Bool {
            try !volume("left", Self.path, node: left).sharedWith(
                [volume("right", Self.path, node: right)],
                nodes: nodes
            )
            .isEmpty
        }
        #expect(try shares("node-1", "node-1") && !shares("node-1", "node-2") && shares("node-1", nil))
        #expect(try !shares("node-1", nil, nodes: ["right": ["node-2"]]))
        #expect(try !shares(nil, nil, nodes: ["left": ["node-1"], "right": ["node-2", "node-3"]]))
        #expect(try shares(nil, nil, nodes: ["left": ["node-1"], "right": ["node-1", "node-2"]]))
    }
}

@Suite("A claim whose storage another volume gives to somebody else")
struct SharedStorageTests {
    /// The world with a second volume of the storage of `data`, in use in another namespace or in none.
    private static func share(_ world: inout World, inUse: Bool = true) throws {
        let name = try #require(world.sources[Others.data]?.volume)
        let source = try #require(world.object(.persistentVolumes, ObjectName(name, in: nil)))
        world.make(.namespaces, nil, ["metadata": ["name": "bank"]])
        var spec: JSON = [
            "capacity": ["storage": "16Mi"], "accessModes": ["ReadWriteOnce"], "storageClassName": "static",
            "persistentVolumeReclaimPolicy": "Retain",
        ]
        spec["csi"] = source[path: ["spec", "csi"]]
        world.make(.persistentVolumes, nil, ["metadata": ["name": "twin"], "spec": spec])
        guard inUse else { return }
        world.make(
            .persistentVolumeClaims,
            "bank",
            [
                "metadata": ["name": "shared"],
                "spec": [
                    "accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "16Mi"]],
                    "storageClassName": "static", "volumeName": "twin",
                ],
            ]
        )
        world.cluster.advance(to: world.cluster.now + .seconds(10))
    }

    @Test("is refused before anything stops, and a person is told who uses it", arguments: [true, false])
    func refused(inUse: Bool) throws {
        var world = Scenario.deployment.world(alone: true)
        try Self.share(&world, inUse: inUse)
        let invariants = Invariants(of: world)
        let changes = Mutex<[String]>([])
        let run = world.migrate(
            observer: { request, response, cluster in
                invariants.observer(request, response, cluster)
                guard request.method != .get, !request.target.contains("/leases") else { return }
                changes.withLock { $0.append("\(request.method) \(request.target)") }
            }
        )
        #expect(run.report?.claims.map(\.result) == [.skipped])
        #expect(run.report?.succeeded == false && run.report?.stopped == [])
        #expect(changes.withLock { $0 } == [])
        // That somebody else has the storage is what it is about.
        #expect(invariants.violations.filter { !$0.hasSuffix("shared has taken the volume twin of shop/data") } == [])
        let reason = try #require(run.report?.claims.first?.reason)
        let name = try #require(world.sources[Others.data]?.volume)
        #expect(
            reason.hasPrefix(
                "PersistentVolumeClaim shop/data: its volume \(name) and the volume twin are the same storage "
                    + "(network.csi.example.com "
            ),
            "\(reason)"
        )
        let rest =
            inUse
            ? "The claim bank/shared uses it by twin: its pods could write to it during the copy, and its data would be "
                + "freed with \(name)."
            : "No claim uses twin (Available), but with one of the two the storage of both would be freed."
        #expect(reason.contains(rest) && reason.contains(#""persistentVolumeReclaimPolicy":"Retain""#), "\(reason)")
    }

    @Test("fails preflight")
    func preflight() throws {
        var scene = try PreflightScene()
        try scene.addClaim("data")
        for name in ["left", "right"] {
            try scene.cluster.create(
                .persistentVolumes,
                [
                    "metadata": ["name": .string("pv-\(name)")],
                    "spec": [
                        "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteMany"], "storageClassName": "slow",
                        "nfs": ["server": "files", "path": "/export"],
                        "claimRef": ["namespace": "shop", "name": .string(name)],
                    ],
                ]
            )
            try scene.addClaim(name, modes: ["ReadWriteMany"])
        }
        let table = try scene.preflight().table
        #expect(table.count == 2, "\(table)")
        for (row, names) in zip(table, [("left", "right"), ("right", "left")]) {
            let beginning =
                "shop | PersistentVolumeClaim shop/\(names.0) | its volume pv-\(names.0) and the volume pv-\(names.1) are "
                + "the same storage (nfs files:/export). The claim shop/\(names.1) uses it by pv-\(names.1): "
            #expect(row.hasPrefix(beginning), "\(row)")
        }
    }

    @Test("is finished where it is past the point of no return")
    func pastReturn() throws {
        let points = Scenario.deployment.world(alone: true).crashPoints(Scenario.deployment.options, seed: 1)
        var world = try #require(points.first { $0.world.cluster.get(Others.claim) == nil }).world
        try Self.share(&world)
        let run = world.migrate(as: "second")
        #expect(run.report?.succeeded == true, "\(run.messages.joined(separator: "\n"))")
        #expect(run.report?.claims.map(\.result) == [.migrated])
    }
}

extension Others {
    fileprivate static let data = ObjectName("data", in: "shop")
}
