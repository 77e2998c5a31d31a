import Kubernetes

/// Waits until volumes are detached from nodes where no mover can run.
struct Detachment: Sendable {
    private var client: Client
    private let limits: Limits
    private let journal: Journal
    private let findings: Findings
    private let nodes: Nodes
    private var time: TimeSource { client.time }

    init(_ context: Context) {
        (client, limits) = (context.destination, context.limits)
        (journal, findings) = (context.journal, context.findings)
        nodes = Nodes(context)
    }

    /// Returns the same with another client.
    func using(_ client: Client) -> Detachment {
        var other = self
        other.client = client
        return other
    }

    /// Notes the attachments of a unit's volumes before it is stopped, so that the stop does not wait for a list of the
    /// whole cluster.
    func noteAttachments(of unit: Unit) async throws {
        let volumes = unit.claims.flatMap { [$0.source, $0.destination] }.compactMap(\.self)
        var found: [String: [VolumeAttachment]] = [:]
        for volume in volumes where volume.isAttachedToOneNode { found[volume.metadata.name] = [] }
        guard !found.isEmpty else { return }
        do {
            for attachment in try await client.list(VolumeAttachment.self) {
                found[attachment.volume]?.append(attachment)
            }
        } catch let error as APIError where error.reason == .forbidden {
            // The check of permissions has reported it.
        }
        let noted = found
        findings.note { $0.attachments.merge(noted) { $1 } }
    }

    /// Returns the present attachments of volumes. Pods mount the volumes afterwards, so a noted attachment is used
    /// only once.
    private func attachments(of volumes: Set<String>) async throws -> [VolumeAttachment] {
        var noted: [[VolumeAttachment]?] = []
        findings.note { found in noted = volumes.map { found.attachments.removeValue(forKey: $0) } }
        guard !noted.contains(where: { $0 == nil }) else {
            return try await client.list(VolumeAttachment.self).filter { volumes.contains($0.volume) }
        }
        var now: [VolumeAttachment] = []
        for name in noted.compactMap(\.self).flatMap(\.self).map(\.metadata.name) {
            now += try await client.list(VolumeAttachment.self, field: "metadata.name=\(name)")
        }
        return now
    }

    /// Waits until the claim's volumes are detached from the nodes where the mover cannot run. Otherwise its start
    /// would fail again and again (Multi-Attach). Where the mover can run on an attached node, it is placed there.
    func wait(
        for volumes: [PersistentVolume],
        of state: ClaimState,
        from placement: inout Placement
    ) async throws {
        let names = Set(volumes.filter(\.isAttachedToOneNode).map(\.metadata.name))
        guard !names.isEmpty else { return }
        do {
            let attachments = try await attachments(of: names)
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
            try await awaitEnd(of: elsewhere, state)
        } catch let error as APIError where error.reason == .forbidden {
            // The check of permissions has reported it.
        }
    }

    /// Waits until no node has a volume attached. Attachments that were noted before the stop do not count: a pod may
    /// have been started elsewhere since.
    ///
    /// - Throws: `APIError` where attachments may not be listed.
    func awaitNone(of volume: PersistentVolume, _ state: ClaimState) async throws {
        let attachments = try await client.list(VolumeAttachment.self).filter { $0.volume == volume.metadata.name }
        guard !attachments.isEmpty else { return }
        let nodes = Set(attachments.map(\.spec.nodeName)).sorted().joined(separator: ", ")
        journal.info(state.title, "waits until \(volume.metadata.name) is detached from \(nodes)")
        try await awaitEnd(of: attachments, state)
    }

    /// Returns a node that a volume is attached to and where the mover can run, as far as the nodes are known.
    private func node(
        of attachments: [VolumeAttachment],
        for placement: Placement,
        _ volumes: [PersistentVolume]
    ) async throws -> String? {
        guard let sites = try await nodes.sites() else { return placement.node }
        var possible = placement.consumer.map(sites.of) ?? sites.all
        for volume in volumes { possible.formIntersection(sites.of(volume)) }
        possible.formIntersection(sites.nodes.filter(\.takesPods).map(\.metadata.name))
        let nodes = attachments.map(\.spec.nodeName).filter(possible.contains)
        return nodes.first { $0 == placement.node } ?? nodes.first
    }

    private func awaitEnd(of attachments: [VolumeAttachment], _ state: ClaimState) async throws {
        let end = time.now() + limits.detaching
        var last: VolumeAttachment?
        do {
            for attachment in attachments {
                try await client.wait(
                    for: VolumeAttachment.self,
                    in: nil,
                    named: attachment.metadata.name,
                    limit: end - time.now(),
                    what: "the volumes of pods that are gone to be detached"
                ) { snapshot in
                    last = snapshot.object(named: attachment.metadata.name)
                    return last == nil ? () : nil
                }
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
    /// The name of the volume; empty for a volume inside a pod's manifest.
    fileprivate var volume: String { spec.source.persistentVolumeName ?? "" }
}

extension PersistentVolume {
    /// True where the volume can be attached to only one node at a time.
    var isAttachedToOneNode: Bool {
        let modes = spec.accessModes ?? []
        return spec.hostPath == nil && spec.local == nil && spec.nfs == nil
            && !modes.contains { $0 == .readWriteMany || $0 == .readOnlyMany }
    }
}
