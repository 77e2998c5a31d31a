import Kubernetes

// Ownership is told only from what a tenant cannot write: volumes, and what this process itself has done.
// `.github/SECURITY.md` has the rule and a table of all marks.

extension ClaimState {
    /// The source volume, where its claimRef names the claim too. A claim may name any volume.
    private var ownSource: PersistentVolume? {
        guard let source, source.claim == name else { return nil }
        let uids = [claim?.metadata.uid, seal?.uid].compactMap(\.self)
        return isLost || source.spec.claimRef?.uid.map(uids.contains) == true ? source : nil
    }

    /// Returns true where volumes prove that a claim is the staging claim: one of them bears its UID.
    func isRecorded(_ claim: PersistentVolumeClaim) -> Bool {
        if !transfer.isInPlace, claim.name == transfer.destination { return false }
        let uid = claim.metadata.uid
        if ownSource?.metadata.annotation(Marks.stagingUID) == uid { return true }
        // A volume that is sealed, kept for this claim, or marked by the Go tool is a destination volume of this
        // migration. The claim that holds it is the staging claim, whatever its own marks say.
        guard let destination, destination.spec.claimRef?.uid == uid else { return false }
        if seal != nil || destination.isKept || GoMarks(destination)?.claim == name { return true }
        return Seal(of: destination).map { $0.uid == self.claim?.metadata.uid } ?? false
    }

    /// Returns true where volumes prove that a claim is the staging claim, or this process has just made it. A claim
    /// with only its name and marks is somebody else's.
    ///
    /// The nonce counts only until the UID is recorded, because by then anybody can have read it.
    func isOwn(_ claim: PersistentVolumeClaim) -> Bool {
        isRecorded(claim) || !hasRecord && claim.metadata.annotation(Marks.nonce) == memory.nonce
    }

    /// Returns the first free name for a staging claim.
    func firstStagingName(_ isFree: (ObjectName) -> Bool) -> ObjectName {
        let names = (1...).lazy.map { ObjectName(Marks.stagingName(of: name.name, number: $0), in: name.namespace) }
        return names.first { isFree($0) && $0 != transfer.destination } ?? stagingName
    }

    /// True where the source volume bears the UID of a staging claim, whether that claim exists or not.
    var hasRecord: Bool { ownSource?.metadata.annotation(Marks.stagingUID) != nil }

    /// The staging claim, where it is of the requested class.
    var ownStaging: PersistentVolumeClaim? { otherMigration == nil ? staging : nil }

    /// The reason why the claim belongs to another migration: its staging claim or destination volume is not of the
    /// requested class.
    var otherMigration: Refusal? {
        for volume in [destination, observation.staleSeal].compactMap(\.self) {
            guard let other = Seal(of: volume), other.plan != transfer.plan else { continue }
            return Refusal("another migration of it is under way. \(other.wayOut(of: volume))")
        }
        let asked = ClassChoice(name: transfer.storageClass)
        // What is moved stays of its class, whatever that is.
        let others = transfer.ending == .move ? [] : [destination, observation.staleSeal]
        let volumes = others.compactMap { $0?.spec.storageClassName }
        let found = [staging?.storageClassName].compactMap(\.self) + volumes
        guard let other = found.first(where: { !asked.admits($0) }) else { return nil }
        return Refusal(
            "a migration of it to the class \(other) is under way, and \(asked.name ?? "any") is asked for. To finish that: "
                + "pvmigrate \(flags(to: other)); to take it back: pvmigrate abort \(flags(to: other))"
        )
    }

    /// Returns subcommand and flags of the run that is under way, as the source volume tells of it.
    func flags(to destinationClass: String) -> String {
        let sourceClass = seal?.sourceClass ?? claim?.storageClassName ?? "?"
        return (source?.markedPlan ?? transfer.plan).flags(of: name, from: sourceClass, to: destinationClass)
    }

    /// The reason why the sealed volume can't be reserved: somebody has given it to a claim of another name. Nil where it is
    /// the source claim's, the staging claim's, or the destination's.
    var holderOfSealed: Refusal? {
        guard let destination, destination.phase == .bound, let holder = destination.claim,
            ![name, transfer.destination].contains(holder),
            holder.namespace != name.namespace || !holder.name.hasPrefix(Marks.stagingName(of: name.name))
        else { return nil }
        return Refusal(
            "somebody gave its volume \(destination.metadata.name) to the claim \(holder). Nothing takes it from that: where it "
                + "is to stay so, remove the annotations \(Marks.claim)… of the volume; else delete that claim, and run again"
        )
    }

    /// Returns true where a run created the claim in the source claim's place.
    ///
    /// Somebody else's claim of this name that names no volume is bound to the reserved volume too, whatever its class
    /// (transcript usurper_of_a_reserved_volume). The binder marks such a claim as bound by the controller.
    func isSuccessor(_ claim: PersistentVolumeClaim) -> Bool {
        ClassChoice(name: destination?.spec.storageClassName).admits(claim)
            && claim.metadata.annotation(PersistentVolume.boundByController) == nil
    }

    /// True where the source claim's successor, or the claim of the destination's name, is bound to the destination volume.
    var isRebound: Bool {
        guard let seal, let claim = target, let destination, claim.metadata.uid != seal.uid else { return false }
        guard claim.phase == .bound, claim.spec.volumeName == destination.metadata.name,
            destination.spec.claimRef?.uid == claim.metadata.uid
        else { return false }
        // The binder gives a reserved volume to a claim of any class (transcript usurper_of_a_reserved_volume).
        return transfer.isInPlace ? isSuccessor(claim) : true
    }
}

extension PersistentVolume {
    /// The annotation of a claim whose volume the controller chose, and of a volume whose claim it chose.
    static let boundByController = "pv.kubernetes.io/bound-by-controller"

    /// The UIDs of the claims that a run made for the claim of this volume.
    var madeClaims: [String] { [Marks.stagingUID, Marks.copyUID].compactMap(metadata.annotation) }

    /// Returns true where a claim asks for no more than the volume has. The binder refuses another one
    /// (`checkVolumeSatisfyClaim` of the volume controller).
    func suffices(for claim: PersistentVolumeClaim) -> Bool {
        if let wanted = claim.spec.resources?.requests?["storage"], let capacity = spec.capacity?["storage"],
            wanted > capacity
        {
            return false
        }
        return Set(claim.spec.accessModes ?? []).isSubset(of: spec.accessModes ?? [])
    }

    /// Returns true where the volume was provisioned for a claim. Only then does its storage hold nothing else.
    ///
    /// The controllers note the provisioner on a volume, and provisioning follows the claim's creation.
    func isProvisioned(for claim: PersistentVolumeClaim) -> Bool {
        spec.claimRef?.uid == claim.metadata.uid && metadata.annotation(Self.provisionedBy) != nil
            && (metadata.creationTimestamp ?? "") >= (claim.metadata.creationTimestamp ?? "")
    }
}

extension PodObject {
    /// Returns true where the pod copies a claim, stands ready for that, or serves it to a mover.
    ///
    /// A run makes sure before it copies that these names are free, so no other writing pod has one of them then.
    ///
    /// - Parameter uid: Returns the UID of the claim with a given name in the pod's namespace.
    func isMover(_ uid: (String) -> String?) -> Bool {
        guard let claim = metadata.annotation(Marks.claim), let uid = uid(claim) else { return false }
        switch metadata.annotation(Marks.kind) {
        case Marks.Kind.mover:
            let names = [Marks.moverName, Marks.standingName, Marks.lookName].map { $0(claim, uid) }
            return names.contains(metadata.name)
        case Marks.Kind.server: return metadata.name == Marks.serverName(of: claim, uid: uid)
        default: return false
        }
    }

    /// Returns true where the Go tool made the pod to copy one of the claims. Such a pod names only the claim.
    func isGoToolsMover(of claims: Set<String>) -> Bool {
        metadata.annotation(Marks.kind) == Marks.Kind.mover && metadata.annotation(Marks.sourceUID) == nil
            && metadata.annotation(Marks.claim).map(claims.contains) == true && metadata.name.hasPrefix("migrate-")
    }

    /// Returns true where the pod mounts one of the claims of its namespace.
    func mounts(_ claims: Set<String>) -> Bool { !claims.isDisjoint(with: claimNames) }
}

extension Unit {
    /// Returns true where a pod mounts a claim or staging claim of the unit and is no mover of it.
    func isUsed(by pod: some PodObject) -> Bool {
        let names = Set(claims.flatMap { [$0.name.name, $0.ownStaging?.metadata.name].compactMap(\.self) })
        guard pod.mounts(names) else { return false }
        return !pod.isMover(uid(ofClaim:))
    }

    /// Returns the UID of the source claim with a name.
    func uid(ofClaim name: String) -> String? {
        let state = claims.first { $0.name.name == name }
        return state?.sourceClaim?.metadata.uid ?? state?.seal?.uid
    }
}

extension PersistentVolumeClaim {
    /// True where the claim bears the marks of a claim that a run made. Anybody may have written them.
    var isMarked: Bool { metadata.annotation(Marks.kind) != nil }

    /// The object that the claim belongs to and is deleted with; nil for an independent claim.
    var bondToOther: String? {
        if metadata.controller?.kind == "Pod" { return "belongs to a generic ephemeral volume of a pod" }
        let owner = metadata.ownerReferences?.first { $0.kind == Self.resource.kind }
        return metadata.annotation(Marks.kind) == Marks.Kind.copy
            ? owner.map { "is a copy of the claim \($0.name)" } : nil
    }

    /// The note for a claim that bears our marks and that no volume proves to be made by a run.
    var noteOfUnproven: Obstacle {
        Obstacle(
            namespace: metadata.namespace,
            resource: title,
            message:
                "bears the mark \(Marks.kind)=\(metadata.annotation(Marks.kind)?.shortened(to: 40) ?? ""), and no volume "
                + "proves that a run made it; left alone. Where nobody needs it, delete it; else remove the mark"
        )
    }
}
