import Kubernetes

extension Seal {
    /// The most that a manifest may hold: annotations have 256 KiB together (API validation), and others' need room.
    static let limit = 192 << 10

    /// Reads the seal of a destination volume; nil where it bears none, or none that can be read.
    init?(of volume: PersistentVolume) {
        guard let text = volume.metadata.annotation(Marks.manifest) else { return nil }
        guard let manifest = JSON(parsingLeniently: text), manifest[path: ["metadata", "uid"]]?.string != nil else {
            return nil
        }
        self.manifest = manifest
        reclaimPolicy = volume.markedPolicy ?? .retain
        size = volume.metadata.annotation(Marks.size).flatMap { Quantity($0) }
        isDeleting = volume.metadata.annotation(Marks.deleting) == uid
        users = volume.metadata.annotation(Marks.users)?.split(separator: ",").map(String.init) ?? []
    }

    /// True where a volume takes the source volume's place: once a run has set about deleting the source claim, or nothing
    /// protects the source volume any more.
    ///
    /// As long as the claim lives its pods may have run since the copy, of which only the process knows that has copied; and
    /// where somebody else has deleted it, only the source volume is known to have all its data. Nor does it count beside
    /// another claim of the name that has a volume of its own.
    func counts(
        on volume: PersistentVolume,
        claim: PersistentVolumeClaim?,
        source: PersistentVolume?,
        isCopied: Bool
    ) -> Bool {
        if isCopied { return true }
        if let claim, claim.metadata.uid == uid, !claim.metadata.isTerminating { return false }
        if isDeleting { return true }
        if let claim, claim.metadata.uid != uid, claim.phase == .bound, claim.spec.volumeName != volume.metadata.name {
            return false
        }
        guard let source, !source.metadata.isTerminating else { return true }
        return source.metadata.annotation(Marks.sourceUID) != uid
    }

    /// What a claim bears as long as a snapshot or a clone of it is made: nobody would take it off its successor.
    static let passingFinalizers = [
        "snapshot.storage.kubernetes.io/pvc-as-source-protection",
        "provisioner.storage.kubernetes.io/cloning-protection",
    ]

    /// The manifest of a claim, less what the server and its controllers set anew.
    static func manifest(of claim: JSON) -> JSON {
        var manifest: JSON = ["apiVersion": "v1", "kind": "PersistentVolumeClaim"]
        manifest["spec"] = claim["spec"]
        for key in ["name", "namespace", "uid", "labels", "annotations", "ownerReferences", "finalizers"] {
            if let value = claim[path: ["metadata", key]] { manifest[path: ["metadata", key]] = value }
        }
        if let finalizers = manifest[path: ["metadata", "finalizers"]]?.array {
            manifest[path: ["metadata", "finalizers"]] = .array(
                finalizers.filter { !passingFinalizers.contains($0.string ?? "") }
            )
        }
        return manifest
    }
}

extension Migrator {
    /// Makes the destination volumes carry all that is needed to finish without the source claims.
    ///
    /// From here on the unit only goes forward. The mark left behind, in one patch: Retain, the source claim's
    /// manifest, its name, the reclaim policy that the source volume had, and who was stopped for it.
    func seal(_ progress: inout Progress) async throws {
        try await checkNodes(&progress, isStopped: true)
        let stagingBindsAtOnce = progress.stagingBindsAtOnce
        let unit = progress.unit
        try await advanceAll(&progress) { state, action in
            guard action == .seal else {
                if case .blocked(let why) = action { throw why }
                if state.seal == nil, [.stage, .awaitStaging, .awaitDeletion].contains(action) {
                    throw Refusal("the staging claim \(state.stagingName) was deleted by somebody")
                }
                return nil
            }
            // It was last looked at before it was copied.
            let fresh = try await client.observe(state)
            guard fresh.next(stagingBindsAtOnce: stagingBindsAtOnce) == .seal else { return fresh }
            return try await seal(fresh, users: unit.users(of: state))
        }
    }

    private func seal(_ state: ClaimState, users: [String]) async throws -> ClaimState {
        for claim in [state.sourceClaim, state.staging].compactMap(\.self) {
            if let why = Self.hold(of: claim.metadata.finalizers) { throw Failure(place: claim.title, reason: why) }
        }
        // Without the source claim it is a run of the Go tool that is made durable; the staging claim may be gone.
        guard let destination = state.destination,
            state.sourceClaim == nil || destination.spec.claimRef?.uid == state.staging?.metadata.uid
        else { throw Refusal("the staging claim \(state.stagingName) has no volume any more") }
        let sealed = try await client.patch(
            PersistentVolume.self,
            destination.name,
            .merge(
                onto: destination.metadata,
                [
                    "metadata": ["annotations": try state.sealMarks(try await manifest(toSeal: state), users: users)],
                    "spec": ["persistentVolumeReclaimPolicy": JSON(ReclaimPolicy.retain)],
                ]
            )
        )
        var state = state
        state.destination = sealed
        state.seal = Seal(of: sealed)
        record(.sealed, of: state)
        return state
    }

    private func manifest(toSeal state: ClaimState) async throws -> JSON {
        if let seal = state.seal { return seal.manifest }
        let claim = try await client.get(.claims, state.name)
        guard claim[path: ["metadata", "uid"]]?.string == state.claim?.metadata.uid else {
            throw Refusal("the claim was replaced by another while it was copied")
        }
        return Seal.manifest(of: claim)
    }

    /// Takes a seal back, and with it the policy Retain, which is only right as long as the source claim lives.
    func unseal(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        let sealed = [state.staleSeal, state.destination].compactMap(\.self).first {
            $0.metadata.annotation(Marks.manifest) != nil
        }
        guard let claim = state.sourceClaim, !claim.metadata.isTerminating, let sealed else { return state }
        var marks: [String: JSON] = [Marks.manifest: .null, Marks.users: .null, Marks.deleting: .null]
        var change: JSON = [:]
        // A volume that is kept still belongs to the claim.
        if !sealed.isKept {
            let policy = sealed.markedPolicy ?? .retain
            change["spec"] = ["persistentVolumeReclaimPolicy": JSON(policy)]
            for mark in [Marks.sourceNamespace, Marks.sourceClaim, Marks.reclaimPolicy, Marks.size] {
                marks[mark] = .null
            }
        }
        change["metadata"] = ["annotations": .object(marks)]
        let unsealed = try await client.patch(
            PersistentVolume.self,
            sealed.name,
            .merge(onto: sealed.metadata, change)
        )
        if sealed.metadata.uid == state.destination?.metadata.uid { state.destination = unsealed }
        state.staleSeal = nil
        state.seal = nil
        return state.destination?.metadata.annotation(Marks.manifest) == nil ? state : try await unseal(state)
    }
}

extension ClaimState {
    /// What the destination volume is to bear.
    ///
    /// - Throws: `Refusal` where that is more than it can.
    fileprivate func sealMarks(_ manifest: JSON, users: [String]) throws(Refusal) -> JSON {
        let text = String(decoding: manifest.text, as: UTF8.self)
        // Discovery makes sure of it, but somebody may have added to the claim since.
        guard text.utf8.count <= Seal.limit else {
            throw Refusal("the claim's manifest has \(text.utf8.count) bytes, more than an annotation can hold")
        }
        var annotations: JSON = [:]
        annotations[Marks.manifest] = .string(text)
        annotations[Marks.sourceNamespace] = name.namespace.map(JSON.string)
        annotations[Marks.sourceClaim] = .string(name.name)
        annotations[Marks.reclaimPolicy] = JSON(destinationPolicy)
        if sourceClaim == nil { annotations[Marks.deleting] = manifest[path: ["metadata", "uid"]] ?? "" }
        if !users.isEmpty { annotations[Marks.users] = .string(users.joined(separator: ",")) }
        // That of a volume that was kept is right already.
        if let size = ownStaging?.metadata.annotation(Marks.size) { annotations[Marks.size] = .string(size) }
        return annotations
    }
}
