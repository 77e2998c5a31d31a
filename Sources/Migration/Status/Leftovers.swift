import Kubernetes

/// Finds objects with our marks that belong to no current migration, each with what to do about it.
struct Leftovers {
    private(set) var found: [Obstacle] = []
    private let survey: Survey
    private let states: [ClaimState]
    private let scope: MigrationStatus.Scope

    /// - Parameters:
    ///   - states: The claims whose migration is under way.
    ///   - cutOff: The claims that no rerun can finish.
    init(
        in survey: Survey,
        besides states: [ClaimState],
        _ cutOff: [MigrationStatus.Claim],
        _ scope: MigrationStatus.Scope
    ) {
        (self.survey, self.states, self.scope) = (survey, states, scope)
        addClaims(besides: Set(cutOff.compactMap(\.destinationVolume)))
        addPods()
        addWorkloads()
        addVolumes()
        addSealed()
    }

    private mutating func add(_ object: some KubernetesObject, _ message: String) {
        found.append(Obstacle(namespace: object.metadata.namespace, resource: object.title, message: message))
    }

    /// Returns the claim that an object's mark names.
    private func owner(of metadata: ObjectMeta) -> ObjectName {
        ObjectName(metadata.annotation(Marks.claim) ?? "?", in: metadata.namespace)
    }

    private var uidsUnderWay: Set<String?> { Set(states.map { $0.sourceClaim?.metadata.uid ?? $0.seal?.uid }) }

    private mutating func addClaims(besides swapped: Set<String>) {
        let stagingClaims = Set(states.compactMap { $0.hasStaging ? $0.staging?.metadata.uid : nil })
        let awake = Set(states.flatMap { [$0.claim, $0.target] }.compactMap { $0?.metadata.uid })
        for claim in survey.claims {
            let owner = owner(of: claim.metadata)
            switch claim.metadata.annotation(Marks.kind) {
            case Marks.Kind.preflight: add(claim, claim.metadata.leftByPreflight)
            case Marks.Kind.copy where !uidsUnderWay.contains(claim.metadata.annotation(Marks.sourceUID)):
                guard survey.includes(owner, scope) else { continue }
                guard survey.inventory.madeByRuns.contains(claim.metadata.uid) else {
                    found.append(claim.noteOfUnproven)
                    continue
                }
                add(claim, "is a copy of \(owner), whose migration is not under way; delete it")
            case Marks.Kind.staging where !stagingClaims.contains(claim.metadata.uid):
                guard scope.includes(source: nil, destination: claim.storageClassName), survey.includes(owner, scope),
                    claim.spec.volumeName.map(swapped.contains) != true
                else { continue }
                if survey.inventory.madeByRuns.contains(claim.metadata.uid) {
                    add(claim, survey.whyUseless(claim))
                } else {
                    found.append(claim.noteOfUnproven)
                }
            default:
                guard claim.metadata.annotation(Marks.wake) != nil, !awake.contains(claim.metadata.uid) else {
                    continue
                }
                add(claim, "bears the mark \(Marks.wake), which means nothing any more; remove it")
            }
        }
    }

    private mutating func addPods() {
        let movers = Set(states.flatMap { survey.movers(of: $0).map(\.metadata.uid) })
        for pod in survey.inventory.pods where !pod.metadata.isTerminating {
            let claim = owner(of: pod.metadata)
            switch pod.metadata.annotation(Marks.kind) {
            case Marks.Kind.preflight: add(pod, pod.metadata.leftByPreflight)
            case Marks.Kind.server where !uidsUnderWay.contains(pod.metadata.annotation(Marks.sourceUID)):
                add(pod, "serves the volume of \(claim), whose migration is not under way (\(pod.phase)); delete it")
            case Marks.Kind.mover where !movers.contains(pod.metadata.uid):
                // That of a copy to or from this computer ends by itself.
                guard survey.includes(claim, scope), survey.inventory.claims[claim]?.filling == nil else { continue }
                add(pod, "is a mover of \(claim), whose migration is not under way (\(pod.phase)); delete it")
            default: break
            }
        }
    }

    private mutating func addWorkloads() {
        for workload in survey.inventory.workloads
        where workload.metadata.annotation(Marks.whenScaled) != nil && !workload.isMarked {
            found.append(
                Obstacle(
                    namespace: workload.name.namespace,
                    resource: workload.title,
                    message: "bears the mark \(Marks.whenScaled) without a scale: set its whenScaled to Delete again, "
                        + "and remove the mark"
                )
            )
        }
    }

    /// Adds the sealed volumes that no run uses, because no run deleted the claim.
    private mutating func addSealed() {
        let known = Set(states.flatMap { [$0.destination, $0.observation.staleSeal] }.compactMap { $0?.metadata.uid })
        for volume in survey.volumes where !known.contains(volume.metadata.uid) {
            // A moved volume is no copy.
            guard let seal = Seal(of: volume), survey.inventory.seal(of: volume) == nil, seal.ending != .move,
                survey.includes(seal.name, scope),
                scope.includes(source: seal.sourceClass, destination: volume.spec.storageClassName)
            else { continue }
            add(
                volume,
                "holds a copy of \(seal.name) as it was when a run died that had not deleted that yet; delete it where nobody "
                    + "needs it"
            )
        }
    }

    private mutating func addVolumes() {
        let volumesInUse = Set(states.compactMap { $0.source?.metadata.uid })
        for volume in survey.volumes where volume.metadata.annotation(Marks.sourceUID) != nil && !volume.isKept {
            guard !volume.metadata.isTerminating, !volumesInUse.contains(volume.metadata.uid),
                survey.includes(volume.claim, scope),
                scope.includes(source: volume.spec.storageClassName, destination: nil),
                volume.claim.flatMap({ survey.inventory.unreadable(.claims, $0) }) == nil
            else { continue }
            add(
                volume,
                "is protected, with the data of the claim \(volume.claim.map { "\($0)" } ?? "?"), which was deleted "
                    + "before it was migrated; its policy was "
                    + "\(volume.markedPolicy ?? volume.reclaimPolicy)"
            )
        }
    }
}

extension Survey {
    /// Returns the reason why a staging claim is useless now.
    fileprivate func whyUseless(_ staging: PersistentVolumeClaim) -> String {
        let name = ObjectName(staging.metadata.annotation(Marks.claim) ?? "?", in: staging.metadata.namespace)
        if staging.metadata.isTerminating { return "was the staging claim of \(name), and is being deleted" }
        guard let claim = inventory.claims[name] else {
            return "was the staging claim of \(name), which does not exist any more; delete it"
        }
        if ClassChoice(name: staging.storageClassName).admits(claim) {
            return "was the staging claim of \(name), which is of the class "
                + "\(staging.storageClassName ?? "?") already; delete it"
        }
        return "is no staging claim of the \(name) that exists now, but has its name, so that a run would refuse "
            + "that claim; delete it"
    }
}

extension ObjectMeta {
    fileprivate var leftByPreflight: String {
        "says that it was made by a preflight\(creationTimestamp.map { " at \($0)" } ?? ""), which removes it when it ends; "
            + "where that was killed, and nobody needs it, delete it"
    }
}
