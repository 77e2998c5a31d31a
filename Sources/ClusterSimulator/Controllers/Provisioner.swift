import Kubernetes

/// Makes volumes for claims and frees their storage: the built-in hostPath provisioner, and those of drivers beside the
/// cluster, as far as `Behaviour` knows them.
enum Provisioner {
    private static let annotations = [
        "volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner",
    ]
    private static let driverFinalizer = "external-provisioner.volume.kubernetes.io/finalizer"

    /// Hands a claim to its class's provisioner.
    static func begin(_ claim: JSON, _ key: ObjectKey, _ storageClass: JSON, _ cluster: inout Cluster) {
        let name = storageClass.text("provisioner")
        var claim = claim
        if claim.annotations?[annotations[1]]?.string != name {
            let written = cluster.write(key, expecting: claim.resourceVersion) { claim in
                for annotation in annotations { claim.put(.string(name), "metadata", "annotations", annotation) }
            }
            guard let written else { return PersistentVolumeController.resync(.sync(.claim, key), &cluster) }
            claim = written
            if name != Behaviour.hostPath {
                cluster.recordEvent(
                    about: claim,
                    type: "Normal",
                    reason: "ExternalProvisioning",
                    message:
                        "Waiting for a volume to be created either by the external provisioner '\(name)' or manually "
                        + "by the system administrator. If volume creation is delayed, please verify that the "
                        + "provisioner is running and correctly registered.",
                    component: "persistentvolume-controller"
                )
            }
        }
        guard let provisioner = cluster.behaviour.provisioners[name],
            cluster.controllers.storageInWork.insert(claim.uid).inserted
        else { return }
        cluster.enqueue(.provision(claim: key, uid: claim.uid), after: jittered(provisioner.delay, &cluster))
    }

    /// Creates the volume of a claim whose storage is made.
    static func provision(_ key: ObjectKey, uid: String, _ cluster: inout Cluster) {
        cluster.controllers.storageInWork.remove(uid)
        guard let claim = cluster.get(key), claim.uid == uid, claim.at("spec", "volumeName") == nil,
            let storageClass = VolumeMatching.storageClass(of: claim, cluster)
        else { return }
        let name = storageClass.text("provisioner")
        guard let provisioner = cluster.behaviour.provisioners[name] else { return }
        let builtIn = name == Behaviour.hostPath
        let component = builtIn ? "persistentvolume-controller" : name + "_provisioner"
        if let problem = problem(claim, provisioner, name, cluster) {
            cluster.recordEvent(
                about: claim,
                type: "Warning",
                reason: "ProvisioningFailed",
                message:
                    "\(builtIn ? "F" : "f")ailed to provision volume with StorageClass \"\(storageClass.name)\": \(problem)",
                component: component
            )
            return PersistentVolumeController.resync(.sync(.claim, key), &cluster)
        }
        let volume = volume(for: claim, storageClass, provisioner, &cluster)
        do {
            try cluster.create(.persistentVolumes, volume)
        } catch {
            return PersistentVolumeController.resync(.sync(.claim, key), &cluster)
        }
        if case .storage(let source) = Snapshotter.source(of: claim, cluster) {
            cluster.copy(source, to: VolumeMatching.storage(of: volume, cluster.behaviour))
        }
        cluster.recordEvent(
            about: claim,
            type: "Normal",
            reason: "ProvisioningSucceeded",
            message: "Successfully provisioned volume \(volume.name)" + (builtIn ? " using \(name)" : ""),
            component: component
        )
    }

    private static func problem(
        _ claim: JSON,
        _ provisioner: Behaviour.Provisioner,
        _ name: String,
        _ cluster: Cluster
    ) -> String? {
        if claim.at("spec", "dataSource") != nil, name == Behaviour.hostPath {
            return "plugin \"\(name)\" is not a CSI plugin. Only CSI plugin can provision a claim with a datasource"
        }
        if case .impossible(let why) = Snapshotter.source(of: claim, cluster) { return why }
        let volumeMode = claim.text("spec", "volumeMode")
        if !provisioner.volumeModes.contains(volumeMode.isEmpty ? "Filesystem" : volumeMode) {
            return "\(name) does not support \(volumeMode.lowercased()) volume provisioning"
        }
        let modes = claim.list("spec", "accessModes").compactMap(\.string)
        if let mode = modes.first(where: { !provisioner.accessModes.contains($0) }) {
            return "rpc error: code = InvalidArgument desc = Volume capabilities not supported: access mode \(mode)"
        }
        return nil
    }

    private static func volume(
        for claim: JSON,
        _ storageClass: JSON,
        _ provisioner: Behaviour.Provisioner,
        _ cluster: inout Cluster
    ) -> JSON {
        let name = storageClass.text("provisioner")
        let policy = storageClass.text("reclaimPolicy")
        var metadata: JSON = [
            "name": .string("pvc-" + claim.uid),
            "annotations": [PersistentVolumeController.provisionedBy: .string(name)],
        ]
        var spec: JSON = [
            "capacity": ["storage": .string(claim.text("spec", "resources", "requests", "storage"))],
            "accessModes": .array(claim.list("spec", "accessModes")),
            "claimRef": [
                "kind": "PersistentVolumeClaim", "namespace": .string(claim.namespace), "name": .string(claim.name),
                "uid": .string(claim.uid), "apiVersion": "v1", "resourceVersion": .string(claim.resourceVersion),
            ],
            "persistentVolumeReclaimPolicy": .string(policy.isEmpty ? "Delete" : policy),
            "storageClassName": .string(storageClass.name),
            "volumeMode": claim.at("spec", "volumeMode") ?? "Filesystem",
        ]
        if let options = storageClass["mountOptions"] { spec["mountOptions"] = options }
        let handle = cluster.makeUID()
        if name == Behaviour.hostPath {
            metadata.put("hostpath-dynamic-provisioner", "annotations", "kubernetes.io/createdby")
            metadata.put("yes", "annotations", PersistentVolumeController.boundByController)
            if policy != "Retain" { metadata["finalizers"] = [.string(PersistentVolumeController.deletionFinalizer)] }
            spec["hostPath"] = ["path": .string("/tmp/hostpath_pv/" + handle), "type": ""]
        } else {
            if policy != "Retain" { metadata["finalizers"] = [.string(driverFinalizer)] }
            for annotation in ["name", "namespace"].map({ "volume.kubernetes.io/provisioner-deletion-secret-\($0)" }) {
                metadata.put("", "annotations", annotation)
            }
            spec["csi"] = [
                "driver": .string(name), "volumeHandle": .string(handle),
                "volumeAttributes": ["storage.kubernetes.io/csiProvisionerIdentity": .string("1-8081-" + name)],
            ]
        }
        if let topologyKey = provisioner.topologyKey, let value = topology(topologyKey, claim, &cluster) {
            spec["nodeAffinity"] = [
                "required": [
                    "nodeSelectorTerms": [
                        ["matchExpressions": [["key": .string(topologyKey), "operator": "In", "values": [value]]]]
                    ]
                ]
            ]
        }
        return ["apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec]
    }

    /// The place of a volume that is bound to one: that of the chosen node, or any.
    private static func topology(_ key: String, _ claim: JSON, _ cluster: inout Cluster) -> JSON? {
        if let node = claim.annotations?[PersistentVolumeController.selectedNode]?.string {
            return cluster.get(ObjectKey(.nodes, nil, node))?.at("metadata", "labels", key)
        }
        return cluster.list(.nodes).compactMap { $0.at("metadata", "labels", key) }.randomElement(
            using: &cluster.random
        )
    }

    // MARK: Holding

    /// Looks at a volume as its driver's provisioner does (external-provisioner, `HonorPVReclaimPolicy`): it holds a bound
    /// volume that it will free, and lets go of one that is to stay.
    static func changed(_ volume: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        guard wantsFinalizer(volume, cluster) != nil else { return }
        cluster.enqueue(.sync(.provisioner, key), after: .milliseconds(20))
    }

    static func syncVolume(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let volume = cluster.get(key), let wants = wantsFinalizer(volume, cluster) else { return }
        var finalizers = volume.finalizers
        if wants { finalizers.append(driverFinalizer) } else { finalizers.removeAll { $0 == driverFinalizer } }
        cluster.write(key) { $0.setFinalizers(finalizers) }
    }

    /// - Returns: whether it is to have the finalizer; nil where that is as it should be.
    private static func wantsFinalizer(_ volume: JSON, _ cluster: Cluster) -> Bool? {
        let name = volume.annotations?[PersistentVolumeController.provisionedBy]?.string ?? ""
        guard name != Behaviour.hostPath, cluster.behaviour.provisioners[name] != nil else { return nil }
        let has = volume.finalizers.contains(driverFinalizer)
        if volume.text("spec", "persistentVolumeReclaimPolicy") != "Delete" { return has ? false : nil }
        return !has && !volume.isBeingDeleted && volume.text("status", "phase") == "Bound" ? true : nil
    }

    // MARK: Growing

    /// Makes a volume larger whose claim asks for more, where its class allows that.
    ///
    /// - Returns: whether it did; the claim's status follows when the claim is looked at again.
    static func grow(_ claim: JSON, _ volume: JSON, _ cluster: inout Cluster) -> Bool {
        let wanted = claim.text("spec", "resources", "requests", "storage")
        guard bytes(wanted) > bytes(volume.text("spec", "capacity", "storage")),
            VolumeMatching.storageClass(of: claim, cluster)?["allowVolumeExpansion"] == true
        else { return false }
        let key = ObjectKey(.persistentVolumes, nil, volume.name)
        guard cluster.write(key, { $0.put(.string(wanted), "spec", "capacity", "storage") }) != nil else {
            return false
        }
        cluster.soon(.sync(.claim, ObjectKey(.persistentVolumeClaims, claim.namespace, claim.name)), 500...1500)
        return true
    }

    // MARK: Reclaiming

    /// Begins to free the storage of a released volume.
    static func reclaim(_ volume: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        let name = provisioner(of: volume)
        guard let provisioner = cluster.behaviour.provisioners[name],
            cluster.controllers.storageInWork.insert(volume.uid).inserted
        else { return }
        cluster.enqueue(.reclaimed(volume: key, uid: volume.uid), after: jittered(provisioner.delay, &cluster))
    }

    /// Frees the storage, then lets the volume's object go.
    static func reclaimed(_ key: ObjectKey, uid: String, _ cluster: inout Cluster) {
        guard let volume = cluster.get(key), volume.uid == uid, volume.text("status", "phase") == "Released",
            volume.text("spec", "persistentVolumeReclaimPolicy") == "Delete"
        else {
            cluster.controllers.storageInWork.remove(uid)
            return
        }
        cluster.free(VolumeMatching.storage(of: volume, cluster.behaviour))
        let builtIn = provisioner(of: volume) == Behaviour.hostPath
        if builtIn {
            // The finalizer comes back at once when the volume's worker sees the volume without it.
            release(key, PersistentVolumeController.deletionFinalizer, &cluster)
            cluster.enqueue(.sync(.volume, key), after: .microseconds(500))
        }
        if volume.isBeingDeleted {
            if !builtIn { release(key, driverFinalizer, &cluster) }
            cluster.controllers.storageInWork.remove(uid)
        } else {
            cluster.soon(.deleteVolume(key, uid: uid), 1...2)
        }
    }

    /// Deletes the object of a volume whose storage is free.
    static func delete(_ key: ObjectKey, uid: String, _ cluster: inout Cluster) {
        cluster.controllers.storageInWork.remove(uid)
        guard let volume = cluster.get(key), volume.uid == uid else { return }
        cluster.remove(key, uid: uid)
        if provisioner(of: volume) != Behaviour.hostPath { release(key, driverFinalizer, &cluster) }
    }

    private static func release(_ key: ObjectKey, _ finalizer: String, _ cluster: inout Cluster) {
        cluster.write(key) { object in object.setFinalizers(object.finalizers.filter { $0 != finalizer }) }
    }

    private static func provisioner(of volume: JSON) -> String {
        if let name = volume.annotations?[PersistentVolumeController.provisionedBy]?.string { return name }
        // Without a provisioner the built-in deleter still frees directories below /tmp.
        return volume.text("spec", "hostPath", "path").hasPrefix("/tmp/") ? Behaviour.hostPath : ""
    }

    private static func jittered(_ delay: Duration, _ cluster: inout Cluster) -> Duration {
        delay * Double.random(in: 0.8...1.3, using: &cluster.random)
    }
}
