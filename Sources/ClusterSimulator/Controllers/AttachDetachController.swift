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
                if attachment.isBeingDeleted {
                    cluster.soon(.sync(.attachment, key), 500...1000)
                } else if attachment.at("status", "attached") != true {
                    attach(volume, own, for: pod, key, &cluster)
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
                ],
            ]
            do {
                try cluster.create(.volumeAttachments, attachment)
                let seconds = cluster.behaviour.provisioners[volume.text("spec", "csi", "driver")]?.attachSeconds
                let pause = Int.random(in: milliseconds(seconds) ?? 300...700, using: &cluster.random)
                cluster.controllers.attachmentsDue[own] = cluster.now + .milliseconds(pause)
                cluster.soon(.sync(.attachment, key), 5...10)
            } catch {
                cluster.soon(.sync(.attachment, key), 500...1000)
            }
        }
    }

    /// Goes on with an attachment: the driver takes it as its own, and says some time later that it is done.
    private static func attach(
        _ volume: JSON,
        _ attachment: ObjectKey,
        for pod: JSON,
        _ key: ObjectKey,
        _ cluster: inout Cluster
    ) {
        let finalizer = finalizer(volume.text("spec", "csi", "driver"))
        cluster.write(attachment) { if $0.finalizers.isEmpty { $0.setFinalizers([finalizer]) } }
        let due = cluster.controllers.attachmentsDue[attachment] ?? cluster.now
        if due > cluster.now { return cluster.enqueue(.sync(.attachment, key), after: due - cluster.now) }
        cluster.controllers.attachmentsDue[attachment] = nil
        cluster.writeStatus(attachment, ["attached": true])
        cluster.recordEvent(
            about: pod,
            type: "Normal",
            reason: "SuccessfulAttachVolume",
            message: "AttachVolume.Attach succeeded for volume \"\(volume.name)\" ",
            component: "attachdetach-controller"
        )
    }

    private static func milliseconds(_ seconds: ClosedRange<Int>?) -> ClosedRange<Int>? {
        seconds.map { ($0.lowerBound * 1000)...($0.upperBound * 1000) }
    }

    private static func detachUnused(_ cluster: inout Cluster) {
        let attachments = cluster.storedObjects(.volumeAttachments, namespace: nil)
        if attachments.isEmpty { return }
        for attachment in attachments
        where !attachment.json.isBeingDeleted && !isNeeded(attachment.json, attachment.key, cluster) {
            let node = attachment.json.text("spec", "nodeName")
            // Nobody says that a lost node has unmounted the volume: it is taken from there by force.
            let delay =
                cluster.controllers.lostNodes.contains(node)
                ? forced : cluster.behaviour.provisioners[attachment.json.text("spec", "attacher")]?.detachDelay
            cluster.enqueue(.detach(attachment.key, uid: attachment.json.uid), after: delay ?? .zero)
        }
    }

    private static func isNeeded(_ attachment: JSON, _ own: ObjectKey, _ cluster: Cluster) -> Bool {
        let node = attachment.text("spec", "nodeName")
        return cluster.storedObjects(.pods, namespace: nil).map(\.json).contains { pod in
            pod.text("spec", "nodeName") == node && !pod.isOver
                && volumes(of: pod, cluster).contains { key($0, node) == own }
        }
    }

    /// Has the driver detach a volume that is no longer needed on its node.
    static func detach(_ key: ObjectKey, uid: String, _ cluster: inout Cluster) {
        guard let attachment = cluster.get(key), attachment.uid == uid else { return }
        if !attachment.isBeingDeleted {
            guard !isNeeded(attachment, key, cluster) else { return }
            cluster.remove(key, uid: uid)
            let driver = attachment.text("spec", "attacher")
            cluster.soon(
                .detach(key, uid: uid),
                milliseconds(cluster.behaviour.provisioners[driver]?.attachSeconds) ?? 200...400
            )
        } else {
            cluster.write(key) { $0.setFinalizers([]) }
        }
    }

    /// `maxWaitForUnmountDuration` of the controller manager.
    private static let forced = Duration.seconds(360)

    /// What the attacher of a driver holds its attachments with.
    private static func finalizer(_ driver: String) -> String {
        "external-attacher/" + driver.replacing(".", with: "-")
    }
}
