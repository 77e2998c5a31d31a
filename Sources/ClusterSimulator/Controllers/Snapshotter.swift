import Kubernetes

extension Resource {
    public static let volumeSnapshots = Resource(
        group: "snapshot.storage.k8s.io",
        "volumesnapshots",
        kind: "VolumeSnapshot",
        subresources: ["status"]
    )
    public static let volumeSnapshotClasses = Resource(
        group: "snapshot.storage.k8s.io",
        "volumesnapshotclasses",
        kind: "VolumeSnapshotClass",
        namespaced: false
    )
    public static let volumeSnapshotContents = Resource(
        group: "snapshot.storage.k8s.io",
        "volumesnapshotcontents",
        kind: "VolumeSnapshotContent",
        namespaced: false,
        subresources: ["status"]
    )
}

extension Cluster {
    /// Adds what takes snapshots of volumes: the custom resources and their controller.
    public mutating func addSnapshotter(_ snapshotter: Behaviour.Snapshotter = .init()) throws(Refusal) {
        behaviour.snapshotter = snapshotter
        for resource in [Resource.volumeSnapshots, .volumeSnapshotClasses, .volumeSnapshotContents] {
            let hasStatus = resource.subresources.contains("status")
            try create(
                .customResourceDefinitions,
                [
                    "metadata": ["name": .string(resource.qualifiedName)],
                    "spec": [
                        "group": .string(resource.group), "scope": resource.namespaced ? "Namespaced" : "Cluster",
                        "names": ["plural": .string(resource.plural), "kind": .string(resource.kind)],
                        "versions": [
                            [
                                "name": .string(resource.version), "served": true, "storage": true,
                                "schema": [
                                    "openAPIV3Schema": ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
                                ],
                                "subresources": hasStatus ? ["status": [:]] : [:],
                            ]
                        ],
                    ],
                ]
            )
        }
    }
}

/// Takes snapshots of volumes: the snapshot controller, and the drivers' sidecars in one with it (kubernetes-csi,
/// external-snapshotter v8). Nothing of it is recorded; it keeps to what is documented.
enum Snapshotter {
    private static let group = "snapshot.storage.kubernetes.io/"
    private static let isDefault = group + "is-default-class"
    /// On a claim while its snapshot is taken.
    private static let sourceFinalizer = group + "pvc-as-source-protection"
    /// On a snapshot: while claims are made of it, and as long as its content is there.
    private static let finalizers = [
        group + "volumesnapshot-as-source-protection", group + "volumesnapshot-bound-protection",
    ]
    private static let contentFinalizer = group + "volumesnapshotcontent-bound-protection"

    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let snapshotter = cluster.behaviour.snapshotter, let snapshot = cluster.get(key) else { return }
        if snapshot.isBeingDeleted { return release(snapshot, key, &cluster) }
        guard snapshot.at("status", "readyToUse") != true, cluster.get(content(of: snapshot)) == nil else { return }
        let claimKey = claim(of: snapshot)
        guard let claim = cluster.get(claimKey), claim.text("status", "phase") == "Bound",
            let volume = cluster.get(ObjectKey(.persistentVolumes, nil, claim.text("spec", "volumeName")))
        else {
            return fail(snapshot, key, "the source claim \(claimKey.name) is not bound", &cluster)
        }
        let driver = volume.text("spec", "csi", "driver")
        let named = snapshot.text("spec", "volumeSnapshotClassName")
        let classes = cluster.list(.volumeSnapshotClasses).filter { $0.text("driver") == driver }
        let chosen = classes.first { named.isEmpty ? $0.annotations?[isDefault] == "true" : $0.name == named }
        guard !driver.isEmpty, let chosen else {
            return fail(snapshot, key, "failed to get input parameters: no VolumeSnapshotClass for it", &cluster)
        }
        cluster.write(key) { $0.setFinalizers(Set($0.finalizers + finalizers).sorted()) }
        cluster.write(claimKey) { $0.setFinalizers(Set($0.finalizers + [sourceFinalizer]).sorted()) }
        let content: JSON = [
            "metadata": [
                "name": .string(self.content(of: snapshot).name), "finalizers": [.string(contentFinalizer)],
            ],
            "spec": [
                "deletionPolicy": chosen.at("deletionPolicy") ?? "Delete", "driver": .string(driver),
                "source": ["volumeHandle": .string(volume.text("spec", "csi", "volumeHandle"))],
                "volumeSnapshotClassName": .string(chosen.name),
                "volumeSnapshotRef": [
                    "apiVersion": .string(Resource.volumeSnapshots.apiVersion), "kind": "VolumeSnapshot",
                    "name": .string(snapshot.name), "namespace": .string(snapshot.namespace),
                    "uid": .string(snapshot.uid),
                ],
            ],
        ]
        do {
            try cluster.create(.volumeSnapshotContents, content)
        } catch {
            return fail(snapshot, key, error.message, &cluster)
        }
        cluster.writeStatus(
            key,
            ["boundVolumeSnapshotContentName": .string(content.name), "readyToUse": false]
        )
        cluster.enqueue(.takeSnapshot(key, uid: snapshot.uid), after: snapshotter.delay)
    }

    /// Takes a snapshot whose content is prepared: what the volume holds now.
    static func take(_ key: ObjectKey, uid: String, _ cluster: inout Cluster) {
        guard let snapshotter = cluster.behaviour.snapshotter, let snapshot = cluster.get(key), snapshot.uid == uid,
            !snapshot.isBeingDeleted, let content = cluster.get(self.content(of: snapshot))
        else { return }
        let claimKey = claim(of: snapshot)
        let volume = cluster.get(claimKey).flatMap {
            cluster.get(ObjectKey(.persistentVolumes, nil, $0.text("spec", "volumeName")))
        }
        guard snapshotter.failure == nil, let volume else {
            let why = snapshotter.failure ?? "the volume is gone"
            fail(snapshot, key, "Failed to check and update snapshot content: \(why)", &cluster)
            return cluster.enqueue(.takeSnapshot(key, uid: uid), after: snapshotter.delay * 2)
        }
        cluster.copy(
            VolumeMatching.storage(of: volume, cluster.behaviour),
            to: storage(of: content, cluster.behaviour)
        )
        var status = snapshot.at("status") ?? [:]
        status["readyToUse"] = true
        status["error"] = nil
        status["creationTime"] = .string(cluster.timestamp)
        status["restoreSize"] = volume.at("spec", "capacity", "storage")
        cluster.writeStatus(self.content(of: snapshot), ["readyToUse": true, "snapshotHandle": .string(content.uid)])
        cluster.writeStatus(key, status)
        unprotect(claimKey, &cluster)
    }

    /// Lets go of a snapshot that is being deleted, when no claim is being made of it.
    private static func release(_ snapshot: JSON, _ key: ObjectKey, _ cluster: inout Cluster) {
        let isInUse = cluster.storedObjects(.persistentVolumeClaims, namespace: key.namespace).contains { claim in
            claim.json.text("spec", "dataSource", "kind") == "VolumeSnapshot"
                && claim.json.text("spec", "dataSource", "name") == key.name
                && claim.json.text("status", "phase") == "Pending"
        }
        guard !isInUse else { return }
        unprotect(claim(of: snapshot), &cluster)
        let contentKey = content(of: snapshot)
        if let content = cluster.get(contentKey), content.text("spec", "deletionPolicy") != "Retain" {
            cluster.free(storage(of: content, cluster.behaviour))
            cluster.remove(contentKey, uid: content.uid)
            cluster.write(contentKey) { $0.setFinalizers([]) }
        }
        cluster.write(key) { snapshot in
            snapshot.setFinalizers(snapshot.finalizers.filter { !finalizers.contains($0) })
        }
    }

    /// A claim that is made of a snapshot may be what the snapshot's deletion waits for.
    static func claimChanged(_ claim: JSON, _ cluster: inout Cluster) {
        guard claim.text("spec", "dataSource", "kind") == "VolumeSnapshot" else { return }
        let name = claim.text("spec", "dataSource", "name")
        cluster.soon(.sync(.snapshot, ObjectKey(.volumeSnapshots, claim.namespace, name)), 5...20)
    }

    private static func unprotect(_ claim: ObjectKey, _ cluster: inout Cluster) {
        cluster.write(claim) { $0.setFinalizers($0.finalizers.filter { $0 != sourceFinalizer }) }
    }

    private static func fail(_ snapshot: JSON, _ key: ObjectKey, _ why: String, _ cluster: inout Cluster) {
        var status = snapshot.at("status") ?? [:]
        status["readyToUse"] = false
        status["error"] = ["message": .string(why), "time": .string(cluster.timestamp)]
        cluster.writeStatus(key, status)
    }

    private static func claim(of snapshot: JSON) -> ObjectKey {
        let name = snapshot.text("spec", "source", "persistentVolumeClaimName")
        return ObjectKey(.persistentVolumeClaims, snapshot.namespace, name)
    }

    private static func content(of snapshot: JSON) -> ObjectKey {
        ObjectKey(.volumeSnapshotContents, nil, "snapcontent-" + snapshot.uid)
    }

    private static func storage(of content: JSON, _ behaviour: Behaviour) -> Storage {
        let isLocal = behaviour.provisioners[content.text("spec", "driver")]?.isLocal ?? false
        return isLocal ? .node(handle: content.uid) : .shared(handle: content.uid)
    }

    // MARK: Claims that are made of others

    /// What a claim is to be made of, or why it can't be (external-provisioner).
    enum Source {
        case nothing
        case storage(Storage)
        case impossible(String)
    }

    static func source(of claim: JSON, _ cluster: Cluster) -> Source {
        guard let source = claim.at("spec", "dataSource") else { return .nothing }
        let name = source.text("name")
        let wanted = bytes(claim.text("spec", "resources", "requests", "storage"))
        if source.text("kind") == "PersistentVolumeClaim" {
            guard let original = cluster.get(ObjectKey(.persistentVolumeClaims, claim.namespace, name)),
                original.text("status", "phase") == "Bound",
                let volume = cluster.get(ObjectKey(.persistentVolumes, nil, original.text("spec", "volumeName")))
            else {
                return .impossible("error getting handle for DataSource Type PersistentVolumeClaim by Name \(name)")
            }
            guard wanted >= bytes(volume.text("spec", "capacity", "storage")) else {
                return .impossible(
                    "new PVC request must be greater than or equal in size to the specified PVC data source"
                )
            }
            return .storage(VolumeMatching.storage(of: volume, cluster.behaviour))
        }
        guard let snapshot = cluster.get(ObjectKey(.volumeSnapshots, claim.namespace, name)),
            snapshot.at("status", "readyToUse") == true, !snapshot.isBeingDeleted,
            let content = cluster.get(content(of: snapshot))
        else {
            return .impossible("error getting handle for DataSource Type VolumeSnapshot by Name \(name)")
        }
        let least = snapshot.text("status", "restoreSize")
        guard wanted >= bytes(least) else {
            return .impossible(
                "requested volume size \(wanted) is less than the size \(bytes(least)) for the source snapshot \(name)"
            )
        }
        return .storage(storage(of: content, cluster.behaviour))
    }
}
