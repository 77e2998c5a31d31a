import Kubernetes

// What is ours, told only from what a tenant can't write: volumes, and what this process has done itself.
// `.github/SECURITY.md` has the rule and a table of all marks.

extension ClaimState {
    /// The volume behind the claim, where its claimRef says so too: a claim may name any volume.
    private var ownSource: PersistentVolume? {
        guard let source, source.claim == name else { return nil }
        let uids = [claim?.metadata.uid, seal?.uid].compactMap(\.self)
        return isLost || source.spec.claimRef?.uid.map(uids.contains) == true ? source : nil
    }

    /// True of a claim that volumes prove to be the staging claim: one of them bears its UID.
    func isRecorded(_ claim: PersistentVolumeClaim) -> Bool {
        let uid = claim.metadata.uid
        if ownSource?.metadata.annotation(Marks.stagingUID) == uid { return true }
        // What is sealed, kept for this claim, or marked by the Go tool is a destination of this migration; who holds it
        // is its staging claim, whatever he calls himself.
        guard let destination, destination.spec.claimRef?.uid == uid else { return false }
        if seal != nil || destination.isKept || GoMarks(destination)?.claim == name { return true }
        return Seal(of: destination).map { $0.uid == self.claim?.metadata.uid } ?? false
    }

    /// True of the staging claim, where volumes prove it, or this process has just made it; what has only its name and its
    /// marks is somebody else's.
    ///
    /// Once a UID is written down the nonce, which anybody can read by then, counts no more.
    func isOwn(_ claim: PersistentVolumeClaim) -> Bool {
        isRecorded(claim) || !hasRecord && claim.metadata.annotation(Marks.nonce) == memory.nonce
    }

    /// The first name for a staging claim that is free.
    func firstStagingName(_ isFree: (ObjectName) -> Bool) -> ObjectName {
        let names = (1...).lazy.map { ObjectName(Marks.stagingName(of: name.name, number: $0), in: name.namespace) }
        return names.first(where: isFree) ?? stagingName
    }

    /// True where the source volume bears the UID of a staging claim, whether that is there or not.
    var hasRecord: Bool { ownSource?.metadata.annotation(Marks.stagingUID) != nil }

    /// The staging claim, where it is of the class asked for.
    var ownStaging: PersistentVolumeClaim? { otherMigration == nil ? staging : nil }

    /// Why the claim belongs to another migration: what was made for it is not of the class asked for.
    var otherMigration: Refusal? {
        let asked = ClassChoice(name: transfer.storageClass)
        let volumes = [destination, observation.staleSeal].compactMap { $0?.spec.storageClassName }
        let found = [staging?.storageClassName].compactMap(\.self) + volumes
        guard let other = found.first(where: { !asked.admits($0) }) else { return nil }
        return Refusal(
            "a migration of it to the class \(other) is under way, and \(asked.name ?? "any") is asked for. To finish that: "
                + "pvmigrate \(flags(to: other)); to take it back: pvmigrate abort \(flags(to: other))"
        )
    }

    private func flags(to destinationClass: String) -> String {
        "--source-sc \(seal?.sourceClass ?? claim?.storageClassName ?? "?") --dest-sc \(destinationClass) --pvc \(name)"
    }

    /// True of the claim that a run has created in the source claim's place.
    ///
    /// A claim that somebody made of this name without naming the volume is bound to it all the same, of whatever class
    /// (transcript usurper_of_a_reserved_volume). The binder says so on it.
    func isSuccessor(_ claim: PersistentVolumeClaim) -> Bool {
        ClassChoice(name: destination?.spec.storageClassName).admits(claim)
            && claim.metadata.annotation("pv.kubernetes.io/bound-by-controller") == nil
    }

    /// True where the source claim's successor is bound to the destination volume.
    var isRebound: Bool {
        guard let seal, let claim, let destination, claim.metadata.uid != seal.uid else { return false }
        return claim.phase == .bound && claim.spec.volumeName == destination.metadata.name
            && destination.spec.claimRef?.uid == claim.metadata.uid && isSuccessor(claim)
    }
}

extension PersistentVolume {
    /// The UIDs of the claims that a run has made for the claim of this volume.
    var madeClaims: [String] { [Marks.stagingUID, Marks.copyUID].compactMap(metadata.annotation) }

    /// True of a volume that was made for a claim: only then does its storage hold nothing else.
    ///
    /// The controllers say on a volume who has provisioned it, and provisioning follows the claim's creation.
    func isProvisioned(for claim: PersistentVolumeClaim) -> Bool {
        spec.claimRef?.uid == claim.metadata.uid && metadata.annotation("pv.kubernetes.io/provisioned-by") != nil
            && (metadata.creationTimestamp ?? "") >= (claim.metadata.creationTimestamp ?? "")
    }
}

extension PodObject {
    /// True of a pod that copies a claim, or serves it to one that does.
    ///
    /// A run makes sure that these names are free before it copies: so nothing else that writes has one of them then.
    ///
    /// - Parameter uid: that of the claim of a name in the pod's namespace.
    func isMover(_ uid: (String) -> String?) -> Bool {
        guard let claim = metadata.annotation(Marks.claim), let uid = uid(claim) else { return false }
        switch metadata.annotation(Marks.kind) {
        case Marks.Kind.mover: return metadata.name == Marks.moverName(of: claim, uid: uid)
        case Marks.Kind.server: return metadata.name == Marks.serverName(of: claim, uid: uid)
        default: return false
        }
    }

    /// True of a pod that the Go tool makes to copy one of some claims, which says no more than the claim's name.
    func isGoToolsMover(of claims: Set<String>) -> Bool {
        metadata.annotation(Marks.kind) == Marks.Kind.mover && metadata.annotation(Marks.sourceUID) == nil
            && metadata.annotation(Marks.claim).map(claims.contains) == true && metadata.name.hasPrefix("migrate-")
    }

    /// True of a pod that mounts one of some claims of its namespace.
    func mounts(_ claims: Set<String>) -> Bool { !claims.isDisjoint(with: claimNames) }
}

extension Unit {
    /// Whether a pod that copies none of the unit's claims mounts one of them, or of their staging claims.
    func isUsed(by pod: some PodObject) -> Bool {
        let names = Set(claims.flatMap { [$0.name.name, $0.ownStaging?.metadata.name].compactMap(\.self) })
        guard pod.mounts(names) else { return false }
        return !pod.isMover(uid(ofClaim:))
    }

    /// The UID of the source claim of a name.
    func uid(ofClaim name: String) -> String? {
        let state = claims.first { $0.name.name == name }
        return state?.sourceClaim?.metadata.uid ?? state?.seal?.uid
    }
}

extension PersistentVolumeClaim {
    /// True of a claim that bears the marks of one that a run has made, by whomever they were written.
    var isMarked: Bool { metadata.annotation(Marks.kind) != nil }

    /// What it belongs to, with which it goes; nil for a claim of its own.
    var bondToOther: String? {
        if metadata.controller?.kind == "Pod" { return "belongs to a generic ephemeral volume of a pod" }
        let owner = metadata.ownerReferences?.first { $0.kind == Self.resource.kind }
        return metadata.annotation(Marks.kind) == Marks.Kind.copy
            ? owner.map { "is a copy of the claim \($0.name)" } : nil
    }

    /// What a person should know of a claim that bears our marks, where no volume proves that a run has made it.
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
