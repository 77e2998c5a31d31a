import Kubernetes

/// Checks the destinations of a transfer to another namespace, as far as the listed objects tell.
struct Targets {
    let handover: Handover
    let classes: [StorageClass]

    /// Returns the obstacles of claims that cannot become what they are to be in the other namespace.
    static func obstacles(
        of states: [ClaimState],
        _ options: Options,
        classes: [StorageClass]
    ) -> [Transfer.ID: [Obstacle]] {
        guard let handover = options.handover else { return [:] }
        let check = Targets(handover: handover, classes: classes)
        let destinations = Dictionary(grouping: states, by: \.transfer.destination)
        var obstacles: [Transfer.ID: [Obstacle]] = [:]
        for state in states where state.seal == nil {
            let rival = destinations[state.transfer.destination]?.first { $0.id != state.id }
            guard let why = check.refusal(of: state) ?? rival.map({ check.refusal(of: state, beside: $0) }) else {
                continue
            }
            obstacles[state.id] = [Obstacle(namespace: state.name.namespace, resource: state.title, message: why)]
        }
        return obstacles
    }

    /// Returns notes of volumes that name Secrets of the namespace that their claims leave: without these nobody can mount
    /// them.
    static func notes(of states: [ClaimState], _ options: Options) -> [Obstacle] {
        guard options.handover != nil else { return [] }
        return states.compactMap { state in
            guard let csi = state.source?.spec.csi else { return nil }
            let references = [
                csi.controllerPublishSecretRef, csi.controllerExpandSecretRef, csi.nodeStageSecretRef,
                csi.nodePublishSecretRef, csi.nodeExpandSecretRef,
            ]
            let own = references.compactMap(\.self).filter { $0.namespace == state.name.namespace }
            let names = Set(own.compactMap(\.name)).sorted().joined(separator: ", ")
            guard !names.isEmpty else { return nil }
            return Obstacle(
                namespace: state.name.namespace,
                resource: state.title,
                message:
                    "is on a volume whose driver uses Secrets of this namespace: \(names); keep these as long as the "
                    + "volume, or a copy of the same class, is used"
            )
        }
    }

    private func refusal(of state: ClaimState, beside rival: ClaimState) -> String {
        "is to become \(state.transfer.destination), and so is \(rival.name): give each a name with --pvc "
            + "NAMESPACE/NAME=NEWNAME"
    }

    private func refusal(of state: ClaimState) -> String? {
        let destination = state.transfer.destination
        if destination == state.name {
            return "would go to its own name: give it another one with --pvc \(state.name)=NEWNAME"
        }
        if let stranger = state.strangerAtTarget { return "\(stranger)" }
        if handover.handsVolumesOver, let volume = state.source, let claim = state.claim,
            !ClassChoice(name: volume.spec.storageClassName).admits(claim)
        {
            return
                "is of another class than its volume \(volume.metadata.name) (\(volume.spec.storageClassName ?? "none")), so that "
                + "no claim like it could get that: copy it with --ending copy"
        }
        let storageClass = state.transfer.storageClass
        guard handover.handsVolumesOver else {
            guard let storageClass else { return "has no StorageClass: give one with --dest-sc" }
            let names = classes.map(\.metadata.name)
            return names.contains(storageClass)
                ? nil
                : "is to be of the StorageClass \(storageClass), which does not exist\(names.didYouMean(storageClass))"
        }
        if let storageClass, state.claim.map(ClassChoice(name: storageClass).admits) != true {
            return
                "is to be of the StorageClass \(storageClass). --ending move gives the volume away as it is, of the class "
                + "\(state.claim?.storageClassName ?? "?"): copy it with --ending copy, and delete it here afterwards"
        }
        for mark in [Marks.accessMode, Marks.size] where state.claim?.metadata.annotation(mark) != nil {
            return
                "bears the annotation \(mark), and --ending move gives the volume away as it is: remove the annotation, or "
                + "copy the claim with --ending copy"
        }
        return nil
    }
}

extension Unit {
    /// Returns the obstacles of workloads that could not stay stopped: what is kept of them is on volumes that go away.
    func unstoppable(_ options: Options) -> [Obstacle] {
        guard options.pipeline.leavesStopped else { return [] }
        return workloads.filter { $0.needsRecord && ($0.replicas > 0 || $0.isMarked) }.map {
            Obstacle(
                namespace: $0.name.namespace,
                resource: $0.title,
                message:
                    "is to stay stopped, and nothing but a volume could tell how to start it: stop it yourself first"
            )
        }
    }
}
