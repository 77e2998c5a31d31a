import Kubernetes

extension Migrator {
    /// Waits until the claim's volumes are detached from the nodes that the mover can't go to; else its start would
    /// fail there (Multi-Attach), again and again. To a node that it can go to it is sent.
    func awaitDetachment(
        of volumes: [PersistentVolume],
        of state: ClaimState,
        from placement: inout Placement
    ) async throws {
        let names = Set(volumes.filter(\.isAttachedToOneNode).map(\.metadata.name))
        guard !names.isEmpty else { return }
        do {
            let attachments = try await client.list(VolumeAttachment.self).filter { names.contains($0.volume) }
            guard !attachments.isEmpty else { return }
            if !placement.onlyThere { placement.node = try await node(of: attachments, for: placement, volumes) }
            let node = placement.node
            let elsewhere = attachments.filter { $0.spec.nodeName != node }
            guard !elsewhere.isEmpty else { return }
            journal.info(
                state.title,
                "waits until \(elsewhere.map(\.volume).joined(separator: ", ")) is detached from "
                    + Set(elsewhere.map(\.spec.nodeName)).sorted().joined(separator: ", ")
            )
            try await awaitDetachment(of: names, but: node, of: state)
        } catch let error as APIError where error.reason == .forbidden {
            // The check of permissions has said so.
        }
    }

    /// A node that a volume is attached to and that the mover can go to, as far as the nodes are known.
    private func node(
        of attachments: [VolumeAttachment],
        for placement: Placement,
        _ volumes: [PersistentVolume]
    ) async throws -> String? {
        guard let sites = try await sites() else { return placement.node }
        var possible = placement.consumer.map(sites.of) ?? sites.all
        for volume in volumes { possible.formIntersection(sites.of(volume)) }
        possible.formIntersection(sites.nodes.filter(\.takesPods).map(\.metadata.name))
        let nodes = attachments.map(\.spec.nodeName).filter(possible.contains)
        return nodes.first { $0 == placement.node } ?? nodes.first
    }

    private func awaitDetachment(of volumes: Set<String>, but node: String?, of state: ClaimState) async throws {
        var last: VolumeAttachment?
        do {
            try await client.wait(
                for: VolumeAttachment.self,
                in: nil,
                limit: limits.detaching,
                what: "the volumes of pods that are gone to be detached"
            ) { snapshot in
                last = snapshot.objects.values.first { volumes.contains($0.volume) && $0.spec.nodeName != node }
                return last == nil ? () : nil
            }
        } catch let timeout as WaitTimeout {
            guard let last else { throw timeout }
            let why = last.status?.detachError?.message.map { ": \($0)" } ?? ""
            throw Failure(
                place: state.title,
                reason: "\(timeout): \(last.title) still attaches the volume \(last.volume) to the node "
                    + "\(last.spec.nodeName)\(why). Bring the node back, or make sure that it is off and "
                    + "`kubectl delete node \(last.spec.nodeName)`; then run again"
            )
        }
    }
}

extension VolumeAttachment {
    /// The name of the volume; empty for one that a pod's manifest holds.
    fileprivate var volume: String { spec.source.persistentVolumeName ?? "" }
}

extension PersistentVolume {
    /// True of a volume that is attached to one node at a time, if it is attached at all.
    var isAttachedToOneNode: Bool {
        let modes = spec.accessModes ?? []
        return spec.hostPath == nil && spec.local == nil && spec.nfs == nil
            && !modes.contains { $0 == "ReadWriteMany" || $0 == "ReadOnlyMany" }
    }
}
