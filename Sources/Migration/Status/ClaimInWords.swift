import Kubernetes

extension ClaimState {
    /// How things stand with a claim that was begun, and what a rerun does, told from what the state machine does next.
    func claim(mover: Pod?) -> MigrationStatus.Claim {
        let action = next(stagingBindsAtOnce: true)
        let volume = destination?.metadata.name ?? "?"
        var told = MigrationStatus.Claim(name: name, stage: seal == nil ? .begun : .sealed, state: "", next: "")
        told.sourceClass = [seal?.sourceClass, claim?.storageClassName, source?.spec.storageClassName].lazy
            .compactMap(\.self).first { !$0.isEmpty }
        told.destinationClass = seal == nil ? staging?.storageClassName : destination?.spec.storageClassName
        told.sourceVolume = source?.metadata.name ?? seal?.sourceVolume
        told.destinationVolume = destination?.metadata.name
        switch action {
        case .protect, .reserveForStaging, .stage, .awaitStaging, .copy, .seal, .awaitDeletion, .deleteClaims:
            guard let seal else {
                (told.state, told.next) = (
                    beforeSealInWords(mover: mover), "copies what is missing, and swaps the claims"
                )
                break
            }
            if let claim, claim.metadata.uid != seal.uid {
                told.stage = .rebound
                told.state = "it is bound to its new volume \(volume); its staging claim is left"
                told.next = "removes the staging claim and the marks"
            } else if sourceClaim?.metadata.isTerminating == false {
                told.state = "it is copied to the volume \(volume); the old claim is to be deleted"
                told.next = "copies what has changed since, and creates the claim anew on \(volume)"
            } else {
                told.state =
                    "its data is complete on the volume \(volume); the claim is "
                    + (sourceClaim == nil ? "to be created anew" : "being deleted, to be created anew")
                told.next = "creates the claim, bound to \(volume)"
            }
        case .removeUsurper:
            told.state =
                "its data is complete on the volume \(volume); somebody made a claim of its name, which holds nothing"
            told.next = "replaces that one by the claim as it was, bound to \(volume)"
        case .reserve, .awaitAvailable, .create:
            told.state = "its data is complete on the volume \(volume); the claim is to be created anew"
            told.next = "creates the claim, bound to \(volume)"
        case .awaitBound:
            told.state = "its data is complete on the volume \(volume); the claim is created anew, and not bound yet"
            told.next = "sees to it that it is bound"
        case .dropWake, .disposeOfSource:
            told.stage = .rebound
            told.state = "it is bound to its new volume \(volume); the old one is not disposed of"
            told.next = "disposes of the volume \(told.sourceVolume ?? "?"), and removes the marks"
        case .dropMarks, .done:
            told.stage = .rebound
            told.state = "it is bound to its new volume \(volume); only marks are left"
            told.next = "removes the marks"
        case .blocked(let why):
            told.state = why.description
            told.next = "goes on when that is settled"
            told.isBlocked = true
        }
        return told
    }

    private func beforeSealInWords(mover: Pod?) -> String {
        if let mover {
            let state =
                mover.isFinished ? "has ended (\(mover.phase)); its copy is not sealed" : "is at work on its copy"
            return "the Pod \(mover.metadata.name) \(state)"
        }
        guard let staging else { return "its source volume is protected; nothing is copied yet" }
        if staging.metadata.isTerminating { return "its staging claim is being deleted" }
        if staging.phase != "Bound" { return "its staging claim is \(staging.phase)" }
        if staging.metadata.annotation(Marks.sourceUID) == nil, !isProtected {
            return "the Go tool has made its staging claim; whether all is copied is not known"
        }
        if !isProtected { return "it was given back to its old volume; what was copied is kept on its staging claim" }
        return "its staging claim is bound; whether all is copied is not known"
    }
}

extension MigrationStatus.Claim {
    /// A claim whose data the Go tool, or a seal that can't be read, has left on a volume without it.
    init(cutOffAt volume: PersistentVolume, of name: ObjectName, claim: PersistentVolumeClaim?) {
        self.init(name: name, stage: .cutOff, state: "", next: "leaves it alone")
        let place = volume.metadata.name
        isBlocked = true
        destinationClass = volume.spec.storageClassName
        destinationVolume = place
        if let claim {
            state =
                "it was copied to the volume \(place), and is bound to "
                + (claim.spec.volumeName.map { "the volume \($0)" } ?? "no volume") + " now"
            next += "; see which of the two has its data"
        } else {
            state = "its data is complete on the volume \(place), and the claim does not exist"
            next += "; point the volume's claimRef at \(name) without a uid, and create the claim with its volumeName"
        }
        state += volume.metadata.annotation(Marks.manifest) == nil ? " (the Go tool)" : " (its seal can't be read)"
        if let holder = volume.claim, holder != name, volume.phase == "Bound" {
            state += "; \(holder) holds that volume"
        }
    }
}
