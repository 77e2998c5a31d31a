import Kubernetes

/// Checks that a retype keeps what claims ask for, and that their new class is the truth.
struct RetypeCheck {
    let options: Options
    let classes: [StorageClass]

    /// Returns the obstacles of claims that are still to be retyped.
    func obstacles(of states: [ClaimState]) -> [Transfer.ID: [Obstacle]] {
        guard options.pipeline.retypes,
            let destination = classes.first(where: { $0.metadata.name == options.destinationClass })
        else { return [:] }
        let source = classes.first { $0.metadata.name == options.sourceClass }
        var obstacles: [Transfer.ID: [Obstacle]] = [:]
        for state in states where !state.isPastReturn {
            guard let volume = state.source else { continue }
            let comparison = RetypeComparison(volume: volume, source: source, destination: destination)
            let reasons = [comparison.refusal].compactMap(\.self) + state.hindrancesToRetype(volume)
            obstacles[state.id] = reasons.map {
                Obstacle(namespace: state.name.namespace, resource: state.title, message: $0)
            }
            guard reasons.isEmpty else { continue }
            for difference in comparison.differences where !options.accepted.contains(difference.key) {
                obstacles[state.id, default: []].append(obstacle(difference, state, destination))
            }
        }
        return obstacles
    }

    private func obstacle(
        _ difference: RetypeComparison.Difference,
        _ state: ClaimState,
        _ destination: StorageClass
    ) -> Obstacle {
        let isOfClasses = difference.isOfClasses
        return Obstacle(
            namespace: isOfClasses ? nil : state.name.namespace,
            resource: isOfClasses ? destination.title : state.title,
            message: difference.text + ". Where that is right: --accept \(difference.key)"
        )
    }

    /// Returns a note where the class would free volumes that keep the policy Retain.
    func notes(of states: [ClaimState]) -> [Obstacle] {
        guard options.pipeline.retypes else { return [] }
        let kept = states.filter {
            $0.seal == nil && $0.transfer.policyOfClass == .delete && $0.source != nil && $0.originalPolicy != .delete
        }.compactMap(\.source?.metadata.name)
        guard let first = kept.sorted().first else { return [] }
        return [
            Obstacle(
                namespace: nil,
                resource: "StorageClass \(options.destinationClass)",
                message:
                    "has the policy Delete; \(kept.count == 1 ? "a volume" : "\(kept.count) volumes") with another one "
                    + "(\(first)\(kept.count == 1 ? "" : " and others")) will have Retain, as nothing frees more than before"
            )
        ]
    }
}

extension ClaimState {
    /// Returns the reasons in the claim itself why its volume cannot stay as it is.
    fileprivate func hindrancesToRetype(_ volume: PersistentVolume) -> [String] {
        guard let claim else { return [] }
        var reasons: [String] = []
        let capacity = volume.spec.capacity?["storage"]
        if let mode = claim.wantedAccessMode, volume.spec.accessModes?.contains(mode) != true {
            reasons.append(
                "its annotation asks for the access mode \(mode), which its volume has not; --retype keeps it"
            )
        }
        if let size = claim.metadata.annotation(Marks.size), Quantity(size) != capacity {
            reasons.append("its annotation \(Marks.size) asks for another size; --retype keeps the size")
        }
        if let request = claim.spec.resources?.requests?["storage"], let capacity, request > capacity {
            reasons.append(
                "it asks for \(request.text), and its volume has \(capacity.text): its expansion is under way; wait until that "
                    + "is done"
            )
        }
        if let capacity, let known = claim.status?.capacity?["storage"], known < capacity {
            reasons.append(
                "its volume has grown to \(capacity.text), and its file system not yet (\(known.text)): its expansion is under "
                    + "way; wait until that is done"
            )
        }
        if claim.spec.volumeAttributesClassName != volume.spec.volumeAttributesClassName {
            reasons.append(
                "it asks for the VolumeAttributesClass \(claim.spec.volumeAttributesClassName ?? "(none)"), and its volume has "
                    + "\(volume.spec.volumeAttributesClassName ?? "(none)"): its modification is under way; wait until that is "
                    + "done"
            )
        }
        return reasons
    }
}
