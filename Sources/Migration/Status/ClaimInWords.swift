import Kubernetes

/// Tells a person of a claim that is under way.
struct ClaimInWords {
    let state: ClaimState
    /// The pod that copies it, where there is one.
    let mover: Pod?

    private var seal: Seal? { state.seal }
    private var claim: PersistentVolumeClaim? { state.claim }
    private var source: PersistentVolume? { state.source }
    private var staging: PersistentVolumeClaim? { state.staging }
    private var destination: PersistentVolume? { state.destination }
    private var transfer: Transfer { state.transfer }

    /// The status of the claim and the effect of a rerun, derived from the next action.
    var claimInStatus: MigrationStatus.Claim {
        var told = place
        tell(of: state.next, &told)
        if told.isRetype { told.retype(state.next) }
        guard let destination else { return told }
        if GoMarks(destination) != nil, seal != nil { told.state += " (left so by the Go tool)" }
        if destination.isKept { told.turn() }
        return told
    }

    /// The names and places of the claim, without words.
    private var place: MigrationStatus.Claim {
        let stage: MigrationStatus.Claim.Stage = seal == nil ? .begun : .sealed
        var told = MigrationStatus.Claim(name: state.name, stage: stage, state: "", next: "")
        told.isRetype = state.isRetyped || source?.metadata.annotation(Marks.retypedTo) != nil
        let classes = [seal?.sourceClass, claim?.storageClassName, source?.spec.storageClassName]
        told.sourceClass = classes.lazy.compactMap(\.self).first { !$0.isEmpty }
        told.sourceVolume = source?.metadata.name ?? seal?.sourceVolume
        // A stranger's claim may have the staging claim's name. Its volume is not named.
        if seal != nil || staging == nil || state.ownStaging != nil {
            told.destinationClass = destination?.spec.storageClassName ?? staging?.storageClassName
            told.destinationVolume = destination?.metadata.name
        }
        if !transfer.isInPlace {
            told.destination = transfer.destination
            let (from, to) = (told.sourceClass ?? "", told.destinationClass ?? "")
            let names = [state.name.description, transfer.destination.description, to]
            told.transferCommand = pasteable(
                "pvmigrate \(transfer.plan.flags(of: state.name, from: from, to: to))",
                names: names.filter { !$0.isEmpty }
            )
        }
        return told
    }

    private func tell(of action: Action, _ told: inout MigrationStatus.Claim) {
        switch action {
        case .blocked(let why):
            told.state = why.description
            told.next = "goes on when that is settled"
            told.isBlocked = true
        case .protect(.unseal):
            told.state = "it is copied to the destination volume; the old claim is still there"
            told.next = "copies what has changed since, and \(endInWords)"
        case _ where seal == nil:
            told.state = beforeSeal
            told.next = transfer.ending == .move ? endInWords : "copies what is missing, and \(endInWords)"
        case _ where !transfer.isInPlace: tell(ofTransfer: action, &told)
        case .protect, .stage, .copy, .detach, .seal, .rebind(.awaitDeletion), .rebind(.deleteClaims):
            if let claim, claim.metadata.uid != seal?.uid {
                told.stage = .rebound
                told.state = "it is bound to the destination volume; its staging claim is left"
                told.next = "removes the staging claim and the marks"
            } else {
                let way = state.sourceClaim == nil ? "to be created anew" : "being deleted, to be created anew"
                told.state = "its data is complete on the destination volume; the claim is \(way)"
                told.next = "creates the claim, bound to that volume"
            }
        case .rebind(.removeUsurper):
            told.state =
                "its data is complete on the destination volume; somebody made a claim of its name, which holds nothing else"
            told.next = "replaces that one by the claim as it was, bound to that volume"
        case .rebind(.reserve), .rebind(.awaitAvailable), .rebind(.create), .rebind(.recordDeletion):
            told.state = "its data is complete on the destination volume; the claim is to be created anew"
            told.next = "creates the claim, bound to that volume"
        case .rebind(.awaitBound):
            told.state = "its data is complete on the destination volume; the claim is created anew, and not bound yet"
            told.next = "sees to it that it is bound"
        case .release(.dropWake), .release(.disposeOfSource):
            told.stage = .rebound
            told.state = "it is bound to the destination volume; the source volume is not disposed of"
            told.next = "disposes of the source volume when its workload is ready, and removes the marks"
        case .release(.giveBackSource), .release(.dropMarks), .release(.deleteOld), .release(.awaitOldDeletion), .done:
            told.stage = .rebound
            told.state = "it is bound to the destination volume; only marks are left"
            told.next = "removes the marks"
        }
    }

    /// Says of a sealed transfer to another name where it is.
    private func tell(ofTransfer action: Action, _ told: inout MigrationStatus.Claim) {
        let target = transfer.destination
        switch action {
        case .protect, .stage, .copy, .detach, .seal, .rebind(.awaitDeletion), .rebind(.deleteClaims):
            told.state = "its data is complete on the volume that is to be the claim \(target)'s"
            told.next = "gives that volume to the claim \(target)"
        case .rebind:
            told.state = "its data is complete on the destination volume; the claim \(target) is not bound to it yet"
            told.next = "sees to it that the claim \(target) is bound to that volume"
        case .release, .done, .blocked:
            told.stage = .rebound
            told.state = "the claim \(target) is bound to the destination volume; only marks are left"
            told.next = "gives the volumes their policies, and removes the marks"
        }
    }

    /// What a rerun does in the end.
    private var endInWords: String {
        switch transfer.ending {
        case .replace: "swaps the claims"
        case .copy: "gives the copy to the claim \(transfer.destination)"
        case .move: "gives the volume to the claim \(transfer.destination)"
        }
    }

    private var beforeSeal: String {
        if let mover {
            let state =
                mover.isFinished ? "has ended (\(mover.phase)); its copy is not sealed" : "is at work on its copy"
            return "the Pod \(mover.metadata.name) \(state)"
        }
        guard let staging else { return "its source volume is protected; nothing is copied yet" }
        if staging.metadata.isTerminating { return "its staging claim is being deleted" }
        if staging.phase != .bound { return "its staging claim is \(staging.phase); nothing is copied yet" }
        if staging.metadata.annotation(Marks.sourceUID) == nil, !state.isProtected {
            return "the Go tool has made its staging claim; whether all is copied is not known"
        }
        if !state.isProtected {
            return "it was given back to its source volume; what was copied is kept on its staging claim"
        }
        return "its staging claim is bound; whether all is copied is not known"
    }
}

extension MigrationStatus.Claim {
    /// Says of a retype what is not as it is of a copy.
    fileprivate mutating func retype(_ action: Action) {
        switch action {
        case .protect(.unseal):
            state = "the new object of its storage exists; the old claim is still there"
            next = "makes that object anew, and swaps the claims"
        case .blocked: return
        case _ where stage == .begun:
            state = "its volume is protected, and has no new object yet"
            next = "makes that, and swaps the claims"
        case .release(.deleteOld), .release(.awaitOldDeletion):
            state = "it is bound to the new volume object; the old one of the same storage is still there"
            next = "deletes the old volume object, which frees no storage, and removes the marks"
        default: return
        }
    }

    /// Turns the words into those of a rollback, which goes the other way.
    fileprivate mutating func turn() {
        isRollback = true
        swap(&sourceClass, &destinationClass)
        state = "rollback: " + state
        if stage == .begun, !isBlocked { next = "goes on with the rollback" }
    }

    /// Makes the status of a claim whose data may be only on a volume that it is not bound to.
    init(cutOffAt volume: PersistentVolume, of name: ObjectName, claim: PersistentVolumeClaim?) {
        self.init(name: name, stage: .cutOff, state: "", next: "leaves it alone")
        isBlocked = true
        destinationClass = volume.spec.storageClassName
        destinationVolume = volume.metadata.name
        if let claim {
            state =
                "it was copied to the destination volume, and is "
                + (claim.spec.volumeName.map { "bound to \($0) instead" } ?? "not bound to it")
            next += "; see which of the two has its data"
        } else {
            state = "its data is complete on the destination volume, and the claim does not exist"
            next += "; point the volume's claimRef at \(name) without a uid, and create the claim with its volumeName"
        }
        state +=
            volume.metadata.annotation(Marks.manifest) == nil
            ? " (left so by the Go tool)" : " (its seal can't be read)"
        if let holder = volume.claim, holder != name, volume.phase == .bound {
            state += "; \(holder) holds that volume"
        }
    }
}
