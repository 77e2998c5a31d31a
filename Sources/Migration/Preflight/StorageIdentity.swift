import Kubernetes

/// An identity of storage. Volumes with a common identity are the same storage.
struct StorageIdentity: Hashable {
    /// The identity in messages: `nfs files.example.com:/export`.
    var text: String
    /// True where each node or zone may have its own storage of this name.
    var isOfPlace = false
}

extension PersistentVolume {
    /// The identities of the storage behind the volume; empty where nothing tells.
    var identities: Set<StorageIdentity> {
        var found: Set<StorageIdentity> = []
        if let csi = spec.csi {
            found.insert(.volume(csi.volumeHandle, of: csi.driver))
            if let directory = csi.directory { found.insert(directory) }
        }
        do {
            if let disk = try CSITranslation(of: self) { found.insert(.volume(disk.handle, of: disk.driver)) }
        } catch {
            // A disk whose zone is unknown has only its name.
        }
        if let nfs = spec.nfs { found.insert(.nfs(nfs.server, nfs.path)) }
        if let path = spec.hostPath ?? spec.local {
            found.insert(StorageIdentity(text: "the directory \(path.path.withoutLastSlashes)", isOfPlace: true))
        }
        return found.union(spec.identitiesOfOwnDrivers)
    }
}

extension StorageIdentity {
    /// Returns the identity of a driver's volume. Azure's disk names are not case-sensitive. Of Google's
    /// `projects/PROJECT/zones/ZONE/disks/NAME` a plug-in's volume does not tell the project, so that a disk of the same
    /// name and zone in another project is taken for the same one.
    fileprivate static func volume(_ handle: String, of driver: String) -> StorageIdentity {
        let parts = handle.split(separator: "/", omittingEmptySubsequences: false)
        let known =
            switch driver {
            case "disk.csi.azure.com": handle.lowercased()
            case "pd.csi.storage.gke.io" where parts.count == 6 && parts[0] == "projects" && parts[4] == "disks":
                parts[2...].joined(separator: "/")
            default: handle
            }
        return StorageIdentity(text: "\(driver) \(known)")
    }

    fileprivate static func nfs(_ server: String, _ path: String) -> StorageIdentity {
        StorageIdentity(text: "nfs \(server.lowercased()):\(path.withoutLastSlashes)")
    }
}

extension PersistentVolume.Spec.CSI {
    /// The directory of a server that the volume is, where its attributes say so. The handle of a static volume is any
    /// name that its author chose (csi-driver-nfs and csi-driver-smb: `server`, `share`, `source`, `subDir`; ceph-csi:
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
    /// The identities in sources of Kubernetes' own drivers. A source that a CSI driver has taken over gets the
    /// identity of that driver's volume, where both have the same handle.
    fileprivate var identitiesOfOwnDrivers: [StorageIdentity] {
        var found: [StorageIdentity] = []
        func add(_ kind: String, _ source: JSON?, isOfPlace: Bool = false, _ keys: String...) {
            guard let source, source[keys[0]] != nil else { return }
            let values = keys.compactMap { source[$0] }.map(\.inIdentity)
            found.append(StorageIdentity(text: ([kind] + values).joined(separator: " "), isOfPlace: isOfPlace))
        }
        // `aws://us-east-1a/vol-1` and `vol-1` are the same.
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
    /// The text of a source's value. The order of a list does not matter.
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
