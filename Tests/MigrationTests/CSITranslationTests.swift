import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

private func volume(_ spec: JSON, zone: String? = nil, annotations: [String: JSON] = [:]) throws -> PersistentVolume {
    var metadata: JSON = ["name": "v", "uid": "u", "resourceVersion": "1", "annotations": .object(annotations)]
    if let zone { metadata["labels"] = ["topology.kubernetes.io/zone": .string(zone)] }
    return try JSONDecoder().decode(PersistentVolume.self, from: (["metadata": metadata, "spec": spec] as JSON).text)
}

private let disk = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d"

@Suite("A volume of an in-tree plug-in")
struct CSITranslationTests {
    @Test(
        "has the handle that its driver knows it by",
        arguments: [
            (["awsElasticBlockStore": ["volumeID": "aws://us-east-1a/vol-1"]], nil, "ebs.csi.aws.com vol-1"),
            (["awsElasticBlockStore": ["volumeID": "aws:///vol-1"]], nil, "ebs.csi.aws.com vol-1"),
            (["awsElasticBlockStore": ["volumeID": "vol-1"]], nil, "ebs.csi.aws.com vol-1"),
            (["awsElasticBlockStore": ["volumeID": "a/vol-1"]], nil, nil),
            (["awsElasticBlockStore": ["volumeID": "snap-1"]], nil, nil),
            (
                ["gcePersistentDisk": ["pdName": "d"]], "us-east1-b",
                "pd.csi.storage.gke.io projects/UNSPECIFIED/zones/us-east1-b/disks/d"
            ),
            (
                ["gcePersistentDisk": ["pdName": "d"]], "us-east1-b__us-east1-c",
                "pd.csi.storage.gke.io projects/UNSPECIFIED/regions/us-east1/disks/d"
            ),
            (["gcePersistentDisk": ["pdName": "d"]], "us-east1-b__us-west1-c", nil),
            (["gcePersistentDisk": ["pdName": "d"]], nil, nil),
            (["azureDisk": ["diskURI": .string(disk), "kind": "Managed"]], nil, "disk.csi.azure.com \(disk)"),
            (["azureDisk": ["diskURI": "https://x.blob.core.windows.net/vhds/d.vhd", "kind": "Dedicated"]], nil, nil),
        ] as [(JSON, String?, String?)]
    )
    func handles(spec: JSON, zone: String?, expected: String?) throws {
        let volume = try volume(spec, zone: zone)
        guard let expected else {
            #expect(throws: Refusal.self) { _ = try CSITranslation(of: volume) }
            return
        }
        let found = try #require(try CSITranslation(of: volume))
        #expect("\(found.driver) \(found.handle)" == expected)
    }

    @Test("keeps its file system, partition and caching")
    func attributes() throws {
        let ebs = try CSITranslation(
            of: volume([
                "awsElasticBlockStore": ["volumeID": "vol-1", "fsType": "xfs", "partition": 2, "readOnly": true]
            ])
        )
        #expect(
            ebs?.source == [
                "driver": "ebs.csi.aws.com", "volumeHandle": "vol-1", "fsType": "xfs", "readOnly": true,
                "volumeAttributes": ["partition": "2"],
            ]
        )
        let azure = try CSITranslation(
            of: volume(["azureDisk": ["diskURI": .string(disk), "fsType": "ext4", "cachingMode": "ReadOnly"]])
        )
        #expect(azure?.attributes == ["kind": "Managed", "cachingMode": "ReadOnly", "fsType": "ext4"])
    }

    @Test("becomes one of its driver, which frees it later; of no other kind is anything known")
    func manifest() throws {
        let annotations: [String: JSON] = [
            PersistentVolume.provisionedBy: "kubernetes.io/aws-ebs", "pv.kubernetes.io/migrated-to": "ebs.csi.aws.com",
        ]
        let spec: JSON = ["awsElasticBlockStore": ["volumeID": "vol-1"], "capacity": ["storage": "1Gi"]]
        let old = try volume(spec, annotations: annotations)
        let new = try RetypedVolume.manifest(
            of: ["metadata": ["annotations": .object(annotations)], "spec": spec],
            old,
            for: ObjectName("data", in: "shop"),
            class: "gp3",
            provisioner: "ebs.csi.aws.com",
            marks: [:]
        )
        #expect(new[path: ["spec", "awsElasticBlockStore"]] == nil)
        #expect(new[path: ["spec", "csi", "volumeHandle"]] == "vol-1")
        #expect(
            new[path: ["metadata", "annotations"]]
                == .object([PersistentVolume.provisionedBy: "ebs.csi.aws.com", Marks.retypedFrom: "u"])
        )
        #expect(try CSITranslation(of: volume(["cinder": ["volumeID": "1"]])) == nil)
    }
}
