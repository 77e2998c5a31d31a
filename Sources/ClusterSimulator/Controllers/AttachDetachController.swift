import Kubernetes

/// Attaches volumes to the nodes of their pods where the driver needs it, one node at a time for ReadWriteOnce.
enum AttachDetachController {
    static func changed(_ attachment: JSON?, _ cluster: inout Cluster) {
        if attachment?.at("status", "attached") == true || attachment == nil { Kubelet.wakeWaiting(&cluster) }
    }

    /// The volumes of a pod that have to be attached.
    static func volumes(of pod: JSON, _ cluster: Cluster) -> [JSON] {
        pod.claimNames.compactMap { name in
            let claim = cluster.get(ObjectKey(.persistentVolumeClaims, pod.namespace, name))
            let volume = claim.flatMap {
                cluster.get(ObjectKey(.persistentVolumes, nil, $0.text("spec", "volumeName")))
            }
            guard let volume, let driver = volume.at("spec", "csi", "driver")?.string,
                cluster.behaviour.provisioners[driver]?.attaches == true
            else { return nil }
            return volume
        }
    }

    static func key(_ volume: JSON, _ node: String) -> ObjectKey {
        ObjectKey(
            .volumeAttachments,
            nil,
            "csi-" + Workload.hash(.string(volume.uid + node)) + Workload.hash(.string(node + volume.uid))
        )
    }

    /// Attaches what a pod needs; where the pod has gone, detaches what nobody on its node needs.
    static func sync(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard let pod = cluster.get(key), !pod.isOver, let node = pod.at("spec", "nodeName")?.string else {
            return detachUnused(&cluster)
        }
        for volume in volumes(of: pod, cluster) {
            let own = self.key(volume, node)
            if let attachment = cluster.get(own) {
                if attachment.at("status", "attached") != true, !attachment.isBeingDeleted {
                    cluster.writeStatus(own, ["attached": true])
                }
                continue
            }
            let others = cluster.list(.volumeAttachments).filter {
                $0.text("spec", "source", "persistentVolumeName") == volume.name
            }
            let isShared = volume.list("spec", "accessModes").contains { $0 == "ReadWriteMany" || $0 == "ReadOnlyMany" }
            if !others.isEmpty, !isShared {
                cluster.recordEvent(
                    about: pod,
                    type: "Warning",
                    reason: "FailedAttachVolume",
                    message:
                        "Multi-Attach error for volume \"\(volume.name)\" Volume is already exclusively attached to "
                        + "one node and can't be attached to another",
                    component: "attachdetach-controller"
                )
                detachUnused(&cluster)
                cluster.soon(.sync(.attachment, key), 2000...4000)
                continue
            }
            let attachment: JSON = [
                "metadata": ["name": .string(own.name)],
                "spec": [
                    "attacher": volume.at("spec", "csi", "driver") ?? "", "nodeName": .string(node),
                    "source": ["persistentVolumeName": .string(volume.name)],
                ], "status": ["attached": false],
            ]
            do {
                try cluster.create(.volumeAttachments, attachment)
                cluster.soon(.sync(.attachment, key), 300...700)
            } catch {
                cluster.soon(.sync(.attachment, key), 500...1000)
            }
        }
    }

    private static func detachUnused(_ cluster: inout Cluster) {
        let attachments = cluster.storedObjects(.volumeAttachments, namespace: nil)
        if attachments.isEmpty { return }
        let pods = cluster.storedObjects(.pods, namespace: nil).map(\.json)
        for attachment in attachments {
            let node = attachment.json.text("spec", "nodeName")
            let needed = pods.contains { pod in
                pod.text("spec", "nodeName") == node && !pod.isOver
                    && volumes(of: pod, cluster).contains { key($0, node) == attachment.key }
            }
            if !needed { cluster.remove(attachment.key, uid: attachment.json.uid) }
        }
    }
}
