import Kubernetes

extension Migrator {
    /// Creates the staging claims and waits until they are bound; where their class waits for the first consumer, a pod
    /// that mounts them sees to that.
    ///
    /// The mark left behind: the staging claim's UID on the source volume. What is created and not written down there,
    /// since the run died in between, is left alone by the next one, which says so.
    func stage(_ progress: inout Progress) async throws {
        if progress.unit.claims.contains(where: { $0.unfitStaging != nil }) {
            // A mover of an earlier run would hold on to it.
            try await removeMovers(of: progress.unit)
        }
        try await advanceAll(&progress) { state, action in
            if case .blocked(let why) = action { throw why }
            if let staging = state.unfitStaging { return try await removeUnfit(staging, of: state) }
            var state = state
            switch action {
            case .reserveForStaging:
                guard let volume = state.givenDestination else { return nil }
                state.destination = try await client.reserve(volume, for: state.stagingName)
                return state
            case .awaitAvailable where state.sourceClaim != nil: return try await awaitAvailable(state)
            case .stage:
                guard let namespace = state.name.namespace else { return nil }
                try checkKept(state)
                let manifest = try Self.stagingManifest(of: state, class: options.destinationClass)
                state.staging = try await client.create(PersistentVolumeClaim.self, in: namespace, manifest)
                return state
            case .recordStaging: return try await record(stagingOf: state)
            case .awaitStaging: return try await awaitBound(staging: state)
            case .awaitDeletion where state.sourceClaim?.metadata.isTerminating == false:
                // A staging claim that is going.
                return try await awaitDeletion(state, of: [state.ownStaging].compactMap(\.self))
            default: return nil
            }
        }
        try await makeReady(&progress)
        // Before passes of hours.
        if options.makesPasses { try await checkNodes(&progress, isStopped: !progress.unit.isRunning) }
    }

    /// Writes on the source volume which claim is the staging claim.
    private func record(stagingOf state: ClaimState) async throws -> ClaimState {
        guard let source = state.source, let staging = state.staging else { return state }
        var state = state
        state.source = try await client.annotate(source, [Marks.stagingUID: .string(staging.metadata.uid)])
        let what = state.givenDestination.map { "on the volume \($0.metadata.name)" }
        journal.info(
            state.title,
            "staging claim \(staging.metadata.name) \(what ?? "of \(state.size?.text ?? "?")") created"
        )
        return state
    }

    /// Removes a staging claim of the wrong size, so that it is made anew.
    private func removeUnfit(_ staging: PersistentVolumeClaim, of state: ClaimState) async throws -> ClaimState {
        journal.info(
            state.title,
            "the staging claim \(state.stagingName.name) of an earlier run is "
                + "\(staging.spec.resources?.requests?["storage"]?.text ?? "?") and is to be \(state.size?.text ?? "?"): "
                + "it is made anew"
        )
        return try await awaitDeletion(try await unstage(state), of: [staging])
    }

    /// The staging claim: as large as the source volume or as is asked for, on the destination class; or what fits a
    /// volume that is given.
    ///
    /// - Throws: `Refusal` where the claim's annotation asks for an access mode that does not exist.
    static func stagingManifest(of state: ClaimState, class destinationClass: String) throws(Refusal) -> JSON {
        let given = state.givenDestination
        var modes: [AccessMode]
        if let given {
            modes = given.spec.accessModes ?? []
        } else {
            modes = try state.accessModes()
            // The destination has to be written to while it is filled. Not with both modes: external attachers refuse
            // volumes that have them (kubernetes-csi/external-attacher#153).
            if modes == [.readOnlyMany] { modes = [.readWriteOnce] }
        }
        let size = given?.spec.capacity?["storage"] ?? state.size
        var annotations: JSON = [:]
        annotations[Marks.claim] = .string(state.name.name)
        annotations[Marks.kind] = .string(Marks.Kind.staging)
        annotations[Marks.nonce] = .string(state.nonce)
        if given == nil { annotations[Marks.size] = state.sizeWanted.map { .string($0.text) } }
        annotations[Marks.sourceUID] = (state.claim?.metadata.uid ?? state.seal?.uid).map(JSON.string)
        var spec: JSON = [
            "accessModes": .array(modes.map { JSON($0) }),
            "resources": ["requests": ["storage": .string(size?.text ?? "0")]],
            "storageClassName": .string(destinationClass),
            "volumeMode": JSON(state.claim?.volumeMode ?? .filesystem),
        ]
        spec["volumeName"] = given.map { .string($0.metadata.name) }
        return [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": [
                "name": .string(state.stagingName.name), "namespace": state.name.namespace.map(JSON.string) ?? .null,
                "annotations": annotations,
            ],
            "spec": spec,
        ]
    }

    /// A rollback goes to the volume that was kept, and never to a new one, which is empty.
    func checkKept(_ state: ClaimState) throws(Refusal) {
        guard !options.rollsBack || state.givenDestination?.isKept == true else {
            throw Refusal("the volume that was kept for the claim is gone")
        }
    }

    private func awaitBound(staging state: ClaimState) async throws -> ClaimState {
        var state = state
        let name = state.stagingName
        do {
            let bound: PersistentVolumeClaim = try await client.wait(
                for: PersistentVolumeClaim.self,
                in: name.namespace,
                named: name.name,
                limit: limits.provisioning,
                what: "PersistentVolumeClaim \(name) to be Bound"
            ) { snapshot in
                guard let claim = snapshot.object(named: name.name), claim.metadata.uid == state.staging?.metadata.uid
                else { throw Refusal("the staging claim \(name) was deleted by somebody") }
                return claim.phase == .bound ? claim : nil
            }
            state.staging = bound
        } catch let timeout as WaitTimeout {
            let why = await client.lastWarning(about: "PersistentVolumeClaim", name)
            throw Failure(place: state.title, reason: "\(timeout)\(why.map { ": \($0)" } ?? "")")
        }
        return try await client.observe(state, [.claim, .destination])
    }

    /// Removes the staging claim, and with it its volume, where the unit goes back. A volume that was given is kept: it
    /// was there before.
    func unstage(_ state: ClaimState) async throws -> ClaimState {
        var state = state
        guard state.seal == nil, let staging = state.ownStaging else { return state }
        if let volume = state.destination, !volume.isKept { _ = try await makeDisposable(volume, of: staging) }
        try await client.delete(.claims, state.stagingName, uid: staging.metadata.uid)
        state.staging = nil
        state.destination = nil
        return state
    }

    /// Has a volume go with a claim that this or an earlier run has made, whatever the class says: it holds nothing but a
    /// copy that nobody wants. A volume that was there before the claim is left as it is.
    ///
    /// - Parameter claim: one that is proven to be ours.
    func makeDisposable(_ volume: PersistentVolume, of claim: PersistentVolumeClaim) async throws -> PersistentVolume {
        guard volume.reclaimPolicy != .delete else { return volume }
        guard volume.isProvisioned(for: claim) else {
            journal.info(
                volume.title,
                "was not made for \(claim.title), and keeps its policy \(volume.reclaimPolicy); it is Released now"
            )
            return volume
        }
        return try await client.patch(
            PersistentVolume.self,
            volume.name,
            .merge(
                onto: volume.metadata,
                [
                    "metadata": ["annotations": .object([Marks.reclaimPolicy: JSON(volume.reclaimPolicy)])],
                    "spec": ["persistentVolumeReclaimPolicy": JSON(ReclaimPolicy.delete)],
                ]
            )
        )
    }
}

extension ClaimState {
    /// The claim as messages name it.
    var title: String { "PersistentVolumeClaim \(name)" }
}

extension Client {
    /// Writes marks on a volume that are right for each of its versions.
    func annotate(_ volume: PersistentVolume, _ marks: [String: JSON]) async throws -> PersistentVolume {
        try await patch(
            PersistentVolume.self,
            volume.name,
            .merge(["metadata": ["uid": .string(volume.metadata.uid), "annotations": .object(marks)]])
        )
    }

    /// The newest warning that the cluster's controllers gave about an object, as a reason for an error's message.
    ///
    /// Events may be forbidden or gone; the message then does without.
    func lastWarning(about kind: String, _ name: ObjectName) async -> String? {
        do {
            let events = try await list(
                Event.self,
                in: name.namespace,
                field: "involvedObject.name=\(name.name)"
            )
            return events.filter { $0.type == "Warning" && $0.involvedObject.kind == kind }
                .max { ($0.metadata.creationTimestamp ?? "") < ($1.metadata.creationTimestamp ?? "") }
                .map { "\($0.reason ?? "Warning"): \($0.message ?? "")" }
        } catch {
            return "(its events could not be read: \(error))"
        }
    }
}
