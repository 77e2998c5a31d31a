import Kubernetes

/// A binding under way: what the claim's worker read when it began, and the writes that it has still to make.
///
/// Each write insists on the version that the worker knows. When somebody else wrote in between (the volume's worker,
/// which sets the same phase), the worker gives up until its next look at the claim.
struct Binding: Sendable {
    enum Step: Sendable { case claimRef, volumePhase, claim, claimPhase }

    private var claim: JSON
    private var volume: JSON
    private var steps: ArraySlice<Step> = [.claimRef, .volumePhase, .claim, .claimPhase]
    /// The claim changed meanwhile, so the worker has to look at it again.
    var again = false

    var volumeName: String { volume.name }

    /// Begins to bind a claim and a volume to each other.
    static func begin(_ claim: JSON, _ key: ObjectKey, _ volume: JSON, _ cluster: inout Cluster) {
        cluster.controllers.bindings[key] = Binding(claim: claim, volume: volume)
        proceed(key, &cluster)
    }

    /// Makes the next write that is needed, and comes back for the one after it.
    static func proceed(_ key: ObjectKey, _ cluster: inout Cluster) {
        guard var binding = cluster.controllers.bindings[key] else { return }
        let volumeKey = ObjectKey(.persistentVolumes, nil, binding.volume.name)
        while let step = binding.steps.popFirst() {
            let ofVolume = step == .claimRef || step == .volumePhase
            let known = ofVolume ? binding.volume : binding.claim
            var wanted = known
            binding.apply(step, to: &wanted, cluster.timestamp)
            if wanted == known { continue }
            // Both workers wake up from the first write; which of them sets the volume's phase is a matter of luck.
            let loses =
                step == .claimRef && binding.claim.at("spec", "volumeName") != nil
                && Double.random(in: 0..<1, using: &cluster.random) < cluster.behaviour.lostRaceProbability
            let result = cluster.write(
                ofVolume ? volumeKey : key,
                subresource: step == .volumePhase || step == .claimPhase ? "status" : nil,
                expecting: known.resourceVersion
            ) { $0 = wanted }
            guard let result else {
                finish(key, &cluster)
                return PersistentVolumeController.resync(.sync(.claim, key), &cluster)
            }
            if ofVolume { binding.volume = result } else { binding.claim = result }
            binding.again = cluster.controllers.bindings[key]?.again ?? false
            cluster.controllers.bindings[key] = binding
            if loses { cluster.enqueue(.sync(.volume, volumeKey), after: .microseconds(300)) }
            return cluster.soon(.bind(claim: key), 2...5)
        }
        finish(key, &cluster)
    }

    private static func finish(_ key: ObjectKey, _ cluster: inout Cluster) {
        let binding = cluster.controllers.bindings.removeValue(forKey: key)
        if binding?.again == true { cluster.soon(.sync(.claim, key)) }
    }

    private init(claim: JSON, volume: JSON) {
        self.claim = claim
        self.volume = volume
    }

    private func apply(_ step: Step, to object: inout JSON, _ now: String) {
        switch step {
        case .claimRef:
            let reference = object.at("spec", "claimRef")
            guard reference?["uid"]?.string != claim.uid else { return }
            if reference == nil {
                object.put("yes", "metadata", "annotations", PersistentVolumeController.boundByController)
            }
            object.put(
                [
                    "kind": "PersistentVolumeClaim", "namespace": .string(claim.namespace), "name": .string(claim.name),
                    "uid": .string(claim.uid), "apiVersion": "v1", "resourceVersion": .string(claim.resourceVersion),
                ],
                "spec",
                "claimRef"
            )
        case .volumePhase:
            if object.text("status", "phase") == "Bound" { return }
            object.put("Bound", "status", "phase")
            object.put(.string(now), "status", "lastPhaseTransitionTime")
        case .claim:
            if object.at("spec", "volumeName") == nil {
                object.put(.string(volume.name), "spec", "volumeName")
                object.put("yes", "metadata", "annotations", PersistentVolumeController.boundByController)
            }
            object.put("yes", "metadata", "annotations", PersistentVolumeController.bindCompleted)
        case .claimPhase:
            object.put("Bound", "status", "phase")
            object.put(volume.at("spec", "accessModes"), "status", "accessModes")
            object.put(volume.at("spec", "capacity"), "status", "capacity")
        }
    }
}
