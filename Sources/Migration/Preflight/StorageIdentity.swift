import Kubernetes

/// By what storage is told from other storage: volumes that have one in common are the same storage.
struct StorageIdentity: Hashable {
    /// As messages give it: `nfs files.example.com:/export`.
    var text: String
    /// True of what each node, or each zone, may have one of its own of that name.
    var isOfPlace = false
}

extension PersistentVolume {
    /// What the storage behind the volume is known by; empty where nothing tells.
    var identities: Set<StorageIdentity> {
        var found: Set<StorageIdentity> = []
        if let csi = spec.csi {
            found.insert(.volume(csi.volumeHandle, of: csi.driver))
            if let directory = csi.directory { found.insert(directory) }
        }
        if let nfs = spec.nfs { found.insert(.nfs(nfs.server, nfs.path)) }
        if let path = spec.hostPath ?? spec.local {
            found.insert(StorageIdentity(text: "the directory \(path.path.withoutLastSlashes)", isOfPlace: true))
        }
        return found.union(spec.identitiesOfOwnDrivers)
    }
}

extension StorageIdentity {
    /// A volume of a driver. Azure's names of disks are the same in capitals.
    fileprivate static func volume(_ handle: String, of driver: String) -> StorageIdentity {
        StorageIdentity(text: "\(driver) \(driver == "disk.csi.azure.com" ? handle.lowercased() : handle)")
    }

    fileprivate static func nfs(_ server: String, _ path: String) -> StorageIdentity {
        StorageIdentity(text: "nfs \(server.lowercased()):\(path.withoutLastSlashes)")
    }
}

extension PersistentVolume.Spec.CSI {
    /// The directory of a server that the volume is, where its attributes say so: of static volumes the handle is any
    /// name that its author liked (csi-driver-nfs and csi-driver-smb: `server`, `share`, `source`, `subDir`; ceph-csi:
    /// `rootPath`).
    fileprivate var directory: StorageIdentity? {
        let attributes = Dictionary((volumeAttributes ?? [:]).map { ($0.key.lowercased(), $0.value) }) { $1 }
        guard let top = attributes["share"] ?? attributes["source"] ?? attributes["rootpath"] else { return nil }
        let below = (attributes["subdir"] ?? "").split(separator: "/").joined(separator: "/")
        let path = below.isEmpty ? top : top.withoutLastSlashes + (top == "/" ? "" : "/") + below
        let server = attributes["server"] ?? ""
        if driver == "nfs.csi.k8s.io" { return .nfs(server, path) }
        let place = [attributes["clusterid"], attributes["fsname"], server.lowercased()].compactMap(\.self)
        return StorageIdentity(
            text: "\(driver) \(place.filter { !$0.isEmpty }.joined(separator: " ")):\(path.withoutLastSlashes)"
        )
    }
}

extension PersistentVolume.Spec {
    /// What sources name that Kubernetes has drivers of its own for. Those that a CSI driver has taken over are named
    /// as its volumes are, where the two have the same handle.
    fileprivate var identitiesOfOwnDrivers: [StorageIdentity] {
        var found: [StorageIdentity] = []
        func add(_ kind: String, _ source: JSON?, isOfPlace: Bool = false, _ keys: String...) {
            guard let source, source[keys[0]] != nil else { return }
            let values = keys.compactMap { source[$0] }.map(\.inIdentity)
            found.append(StorageIdentity(text: ([kind] + values).joined(separator: " "), isOfPlace: isOfPlace))
        }
        // `aws://us-east-1a/vol-1` and `vol-1` are one.
        if let id = awsElasticBlockStore?["volumeID"]?.string?.split(separator: "/").last {
            found.append(.volume(String(id), of: "ebs.csi.aws.com"))
        }
        if let id = azureDisk?["diskURI"]?.string { found.append(.volume(id, of: "disk.csi.azure.com")) }
        if let id = cinder?["volumeID"]?.string { found.append(.volume(id, of: "cinder.csi.openstack.org")) }
        // Each zone has names of its own.
        add("gce disk", gcePersistentDisk, isOfPlace: true, "pdName")
        add("azure file", azureFile, "shareName", "secretNamespace", "secretName")
        add("cephfs", cephfs, "monitors", "path")
        add("rbd", rbd, "image", "pool", "monitors")
        add("glusterfs", glusterfs, "path", "endpoints", "endpointsNamespace")
        add("iscsi", iscsi, "iqn", "lun", "targetPortal")
        add("fibre channel", fc, "wwids")
        add("fibre channel", fc, "targetWWNs", "lun")
        add("portworx", portworxVolume, "volumeID")
        add("vsphere", vsphereVolume, "volumePath")
        return found
    }
}

extension JSON {
    /// A value of a source: of a list the order does not matter.
    fileprivate var inIdentity: String {
        switch self {
        case .string(let text): text
        case .array(let values): values.map(\.inIdentity).sorted().joined(separator: ",")
        default: String(decoding: text, as: UTF8.self)
        }
    }
}

extension String {
    fileprivate var withoutLastSlashes: String {
        var path = self[...]
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return String(path)
    }
}
