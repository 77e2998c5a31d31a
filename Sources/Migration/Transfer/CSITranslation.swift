import Kubernetes

/// The volume of a Kubernetes' own plug-in, as the CSI driver that has taken it over names it (`csi-translation-lib`).
///
/// Only the three plug-ins are known whose handles can be told from the volume alone.
struct CSITranslation: Equatable {
    /// The plug-ins' names as provisioners, each with its field in a volume and its driver.
    static let plugins: [(provisioner: String, field: String, driver: String)] = [
        ("kubernetes.io/aws-ebs", "awsElasticBlockStore", "ebs.csi.aws.com"),
        ("kubernetes.io/gce-pd", "gcePersistentDisk", "pd.csi.storage.gke.io"),
        ("kubernetes.io/azure-disk", "azureDisk", "disk.csi.azure.com"),
    ]

    /// The field of the plug-in in a volume's specification.
    var field: String
    var driver: String
    var handle: String
    var fileSystem: String?
    var isReadOnly = false
    var attributes: [String: String] = [:]

    /// The driver that serves a provisioner: its own name, or the driver that has taken over a plug-in.
    static func driver(of provisioner: String) -> String {
        plugins.first { $0.provisioner == provisioner }?.driver ?? provisioner
    }

    /// The source as a volume's specification has it.
    var source: JSON {
        var source: JSON = ["driver": .string(driver), "volumeHandle": .string(handle)]
        source["fsType"] = fileSystem.map(JSON.string)
        if isReadOnly { source["readOnly"] = true }
        if !attributes.isEmpty { source["volumeAttributes"] = .object(attributes.mapValues(JSON.string)) }
        return source
    }

    /// Translates the source of a volume; nil where it is not of one of the plug-ins.
    ///
    /// - Throws: `Refusal` where the volume does not tell the driver's handle.
    init?(of volume: PersistentVolume) throws(Refusal) {
        if let source = volume.spec.awsElasticBlockStore {
            self = try Self.aws(source)
        } else if let source = volume.spec.gcePersistentDisk {
            self = try Self.gce(source, labels: volume.metadata.labels ?? [:])
        } else if let source = volume.spec.azureDisk {
            self = try Self.azure(source)
        } else {
            return nil
        }
    }

    private init(_ plugin: Int, _ handle: String, _ source: JSON) {
        (field, driver) = (Self.plugins[plugin].field, Self.plugins[plugin].driver)
        self.handle = handle
        fileSystem = source["fsType"]?.string
        isReadOnly = source["readOnly"] == true
    }

    /// `aws://us-east-1a/vol-1` or `vol-1`.
    private static func aws(_ source: JSON) throws(Refusal) -> CSITranslation {
        let text = source["volumeID"]?.string ?? ""
        let parts = text.split(separator: "/", omittingEmptySubsequences: true)
        let isURL = text.hasPrefix("aws://")
        guard let id = parts.last, id.hasPrefix("vol-"), isURL ? (2...3).contains(parts.count) : String(id) == text
        else {
            throw Refusal("the volume ID \"\(text.shortened(to: 100))\" is none of AWS EBS")
        }
        var found = CSITranslation(0, String(id), source)
        found.attributes["partition"] = partition(source)
        return found
    }

    /// A disk of a zone, or of the region of several zones, which the volume's label names.
    private static func gce(_ source: JSON, labels: [String: String]) throws(Refusal) -> CSITranslation {
        let name = source["pdName"]?.string ?? ""
        let label = labels["topology.kubernetes.io/zone"] ?? labels["failure-domain.beta.kubernetes.io/zone"] ?? ""
        let zones = label.split(separator: "_", omittingEmptySubsequences: true).map(String.init)
        guard !name.isEmpty, !name.contains("/"), let first = zones.first else {
            throw Refusal("no label tells the zone of the disk \"\(name.shortened(to: 100))\"")
        }
        var place = "zones/\(first)"
        if zones.count > 1 {
            let regions = Set(zones.map { $0.split(separator: "-").dropLast().joined(separator: "-") })
            guard regions.count == 1, let region = regions.first, !region.isEmpty else {
                throw Refusal("the zones \(label.shortened(to: 100)) are not of one region")
            }
            place = "regions/\(region)"
        }
        // The driver completes the project itself.
        var found = CSITranslation(1, "projects/UNSPECIFIED/\(place)/disks/\(name)", source)
        found.attributes["partition"] = partition(source)
        return found
    }

    /// Only managed disks have a resource ID, which is the driver's handle.
    private static func azure(_ source: JSON) throws(Refusal) -> CSITranslation {
        let uri = source["diskURI"]?.string ?? ""
        let parts = uri.lowercased().split(separator: "/", omittingEmptySubsequences: false)
        let kind = source["kind"]?.string ?? "Managed"
        guard kind == "Managed", parts.count == 9, parts[0].isEmpty, parts[1] == "subscriptions",
            parts[3] == "resourcegroups", parts[5...7] == ["providers", "microsoft.compute", "disks"],
            parts.dropFirst().allSatisfy({ !$0.isEmpty })
        else { throw Refusal("\"\(uri.shortened(to: 200))\" is no managed disk") }
        var found = CSITranslation(2, uri, source)
        found.attributes["kind"] = kind
        found.attributes["cachingMode"] = source["cachingMode"]?.string
        found.attributes["fsType"] = source["fsType"]?.string
        return found
    }

    private static func partition(_ source: JSON) -> String? {
        source["partition"]?.integer.flatMap { $0 == 0 ? nil : String($0) }
    }
}
