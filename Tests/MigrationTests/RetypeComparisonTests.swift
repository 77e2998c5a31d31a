import FoundationEssentials
import Kubernetes
import Testing

@testable import Migration

private func storageClass(_ name: String, _ provisioner: String, _ members: JSON = [:]) throws -> StorageClass {
    var json = members
    json["metadata"] = ["name": .string(name), "uid": "u", "resourceVersion": "1"]
    json["provisioner"] = .string(provisioner)
    return try JSONDecoder().decode(StorageClass.self, from: json.text)
}

private func volume(_ spec: JSON, provisionedBy maker: String? = nil) throws -> PersistentVolume {
    var json: JSON = ["metadata": ["name": "v", "uid": "u", "resourceVersion": "1"], "spec": spec]
    if let maker { json[path: ["metadata", "annotations"]] = ["pv.kubernetes.io/provisioned-by": .string(maker)] }
    return try JSONDecoder().decode(PersistentVolume.self, from: json.text)
}

private let csi: JSON = ["csi": ["driver": "d", "volumeHandle": "1", "fsType": "ext4"]]
private let ebs: JSON = ["awsElasticBlockStore": ["volumeID": "vol-1"]]
private let ebsCSI: JSON = ["csi": ["driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"]]

@Suite("Whether a class may have a volume")
struct RetypeComparisonTests {
    @Test("is refused where another has made the volume object, who would make it again")
    func maker() throws {
        for spec in [["local": ["path": "/x"]], csi] as [JSON] {
            let none = StorageClass.noProvisioner
            let comparison = RetypeComparison(
                volume: try volume(spec, provisionedBy: "local-volume-provisioner-node-1"),
                source: try storageClass("a", none),
                destination: try storageClass("b", none)
            )
            #expect(comparison.refusal != nil)
        }
    }

    @Test(
        "is decided by the driver",
        arguments: [
            (csi, "d", "d", true), (csi, "d", "e", false), (csi, nil, "d", true), (csi, nil, "e", false),
            (ebs, "kubernetes.io/aws-ebs", "ebs.csi.aws.com", true), (ebs, nil, "ebs.csi.aws.com", true),
            (ebs, "kubernetes.io/aws-ebs", "pd.csi.storage.gke.io", false),
            (ebsCSI, "ebs.csi.aws.com", "kubernetes.io/aws-ebs", true),
            (["cinder": ["volumeID": "1"]], "kubernetes.io/cinder", "cinder.csi.openstack.org", false),
            (["hostPath": ["path": "/x"]], "p", "p", true), (["hostPath": ["path": "/x"]], "p", "q", false),
            (["hostPath": ["path": "/x"]], nil, "p", false),
            (csi, "kubernetes.io/no-provisioner", "kubernetes.io/no-provisioner", true),
        ] as [(JSON, String?, String, Bool)]
    )
    func drivers(spec: JSON, source: String?, destination: String, isAllowed: Bool) throws {
        let comparison = RetypeComparison(
            volume: try volume(spec),
            source: try source.map { try storageClass("slow", $0) },
            destination: try storageClass("fast", destination)
        )
        #expect((comparison.refusal == nil) == isAllowed, "\(comparison.refusal ?? "")")
    }

    private static let zone: JSON = ["matchLabelExpressions": [["key": "zone", "values": ["a", "b"]]]]

    @Test(
        "names each difference that would make it a lie",
        arguments: [
            ([:], [:], [:], []),
            (["parameters": ["type": "gp2"]], ["parameters": ["type": "gp3"]], [:], ["type"]),
            (["parameters": ["type": "gp2"]], [:], [:], ["type"]),
            ([:], ["parameters": ["csi.storage.k8s.io/fstype": "xfs"]], [:], ["fsType"]),
            ([:], ["parameters": ["csi.storage.k8s.io/fstype": "ext4"]], [:], []),
            (
                ["parameters": ["csi.storage.k8s.io/node-stage-secret-name": "a"]],
                ["parameters": ["csi.storage.k8s.io/node-stage-secret-name": "b"]], [:], ["secrets"]
            ),
            ([:], ["mountOptions": ["noatime"]], [:], ["mountOptions"]),
            (["mountOptions": ["x"]], ["mountOptions": ["noatime"]], ["mountOptions": ["noatime"]], []),
            ([:], ["allowedTopologies": [zone]], [:], ["allowedTopologies"]),
            ([:], ["allowedTopologies": [zone]], affinity("a"), []),
            ([:], ["allowedTopologies": [zone]], affinity("c"), ["allowedTopologies"]),
            (["allowVolumeExpansion": true], ["volumeBindingMode": "WaitForFirstConsumer"], [:], []),
        ] as [(JSON, JSON, JSON, [String])]
    )
    func differences(old: JSON, new: JSON, further: JSON, keys: [String]) throws {
        var spec = csi
        for (key, value) in further.object ?? [:] { spec[key] = value }
        let comparison = RetypeComparison(
            volume: try volume(spec),
            source: try storageClass("slow", "d", old),
            destination: try storageClass("fast", "d", new)
        )
        #expect(comparison.differences.map(\.key) == keys)
    }

    private static func affinity(_ zone: String) -> JSON {
        let expression: JSON = ["key": "zone", "operator": "In", "values": [.string(zone)]]
        return ["nodeAffinity": ["required": ["nodeSelectorTerms": [["matchExpressions": [expression]]]]]]
    }
}
