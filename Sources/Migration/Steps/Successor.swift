import Kubernetes

/// The claim that takes the source claim's place.
struct Successor: Sendable {
    private let source: Client
    private let destination: Client
    private let journal: Journal
    private let destinationClass: String

    init(_ context: Context) {
        (source, destination) = (context.source, context.destination)
        (journal, destinationClass) = (context.journal, context.options.destinationClass)
    }

    /// Creates the claim of the old name.
    func create(_ state: ClaimState) async throws -> ClaimState {
        guard let seal = state.seal, let volume = state.destination else { return state }
        let owners = try await owners(of: seal)
        for owner in owners.gone {
            journal.warn(
                state.title,
                "its owner \(owner["kind"]?.string ?? "?") \(owner["name"]?.string ?? "?") is gone; reference dropped"
            )
        }
        let manifest = Self.manifest(
            of: seal,
            name: state.transfer.destination,
            volume: volume,
            class: destinationClass,
            attributesClass: volume.spec.volumeAttributesClassName,
            owners: owners.valid
        )
        var state = state
        state.claim = try await destination.create(
            PersistentVolumeClaim.self,
            in: state.transfer.destination.namespace,
            manifest
        )
        return state
    }

    /// Returns the claim of the old name as it was, except for the class, the volume, a requested size, and the
    /// binder's own fields. It requests no more than the volume has.
    ///
    /// - Parameters:
    ///   - volume: The destination volume; nil where it is not made yet.
    ///   - attributesClass: The VolumeAttributesClass of the destination volume.
    static func manifest(
        of seal: Seal,
        name: ObjectName,
        volume: PersistentVolume?,
        class destinationClass: String,
        attributesClass: String? = nil,
        owners: [JSON]
    ) -> JSON {
        var claim = seal.manifest
        claim[path: ["metadata", "uid"]] = nil
        claim[path: ["metadata", "name"]] = .string(name.name)
        claim[path: ["metadata", "namespace"]] = name.namespace.map(JSON.string)
        claim[path: ["metadata", "ownerReferences"]] = owners.isEmpty ? nil : .array(owners)
        let binders = [
            "pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
            "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner",
            "volume.kubernetes.io/selected-node", PersistentVolumeClaim.betaClassAnnotation, Marks.wake,
        ]
        for key in binders { claim[path: ["metadata", "annotations", key]] = nil }
        let finalizers = (claim[path: ["metadata", "finalizers"]]?.array ?? []).filter {
            $0.string != PersistentVolumeClaim.protection
        }
        claim[path: ["metadata", "finalizers"]] = finalizers.isEmpty ? nil : .array(finalizers)
        let modes = seal.laterAccessModes
        claim[path: ["spec", "accessModes"]] = .array(modes.map { JSON($0) })
        if let offered = volume?.spec.accessModes, !Set(modes).isSubset(of: offered) {
            claim[path: ["spec", "accessModes"]] = .array(offered.map { JSON($0) })
        }
        let request = ["spec", "resources", "requests", "storage"]
        if let size = seal.size { claim[path: request] = .string(size.text) }
        if let capacity = volume?.spec.capacity?["storage"],
            let wanted = claim[path: request]?.string.flatMap({ Quantity($0) }), wanted > capacity
        {
            claim[path: request] = .string(capacity.text)
        }
        claim[path: ["spec", "storageClassName"]] = .string(destinationClass)
        claim[path: ["spec", "volumeName"]] = volume.map { .string($0.metadata.name) }
        // The binder refuses a volume of another attributes class.
        claim[path: ["spec", "volumeAttributesClassName"]] = attributesClass.map(JSON.string)
        return claim
    }

    /// Returns the claim's owners, apart those that still exist from those that are gone. With a gone owner the garbage
    /// collector would delete the claim.
    private func owners(of seal: Seal) async throws -> (valid: [JSON], gone: [JSON]) {
        var (valid, gone): ([JSON], [JSON]) = ([], [])
        for owner in seal.manifest[path: ["metadata", "ownerReferences"]]?.array ?? [] {
            if try await destination.exists(owner: owner, in: seal.name.namespace) {
                valid.append(owner)
            } else {
                gone.append(owner)
            }
        }
        return (valid, gone)
    }

    // MARK: As long as it can go back

    /// Returns the reason why a claim could not be made anew in its own place; nil where there is none.
    ///
    /// A dry run asks the API server under the claim's own name. The server reports the taken name last, after
    /// validation and admission. A full quota is reported before that, and has room once the claim is deleted
    /// (transcript dry_run_of_a_successor).
    ///
    /// - Throws: `APIError` where the claim and its owners cannot be read.
    func hindrance(of state: ClaimState) async throws -> String? {
        guard let uid = state.sourceClaim?.metadata.uid else { return nil }
        let claim: JSON
        do {
            claim = try await source.get(.claims, state.name)
        } catch let error as APIError where error.reason == .notFound {
            return nil
        }
        guard claim[path: ["metadata", "uid"]]?.string == uid else { return nil }
        if let why = Self.hold(of: claim[path: ["metadata", "finalizers"]]?.array?.compactMap(\.string)) { return why }
        let seal = Seal(manifest: Seal.manifest(of: claim), reclaimPolicy: .retain, size: state.transfer.sizeWanted)
        let manifest = Self.manifest(
            of: seal,
            name: state.transfer.destination,
            volume: state.givenDestination,
            class: destinationClass,
            attributesClass: state.attributesClass,
            owners: try await owners(of: seal).valid
        )
        do {
            try await destination.create(.claims, in: state.transfer.destination.namespace, manifest, dryRun: true)
            return nil
        } catch let error as APIError where error.reason == .alreadyExists {
            return nil
        } catch let error as APIError where error.reason == .forbidden && error.message.contains("exceeded quota") {
            return nil
        } catch let error as APIError {
            let isOfOwners = error.message.contains("blockOwnerDeletion")
            return "the API server refuses the claim that is to take its place: \(error.message)"
                + (isOfOwners
                    ? "; who runs this must be allowed to update the finalizers of its owners, as `pvmigrate rbac` prints it for "
                        + "StatefulSets" : "")
        }
    }

    /// Returns the reason why the deletion of a claim with these finalizers would wait for somebody else; nil where it
    /// would not.
    static func hold(of finalizers: [String]?) -> String? {
        let foreign = (finalizers ?? []).filter {
            $0 != PersistentVolumeClaim.protection && !Seal.passingFinalizers.contains($0)
        }
        guard !foreign.isEmpty else { return nil }
        return
            "it bears the finalizers \(foreign.joined(separator: ", ")), so that its deletion would wait for whoever set "
            + "them; have them removed first"
    }
}

extension PersistentVolumeClaim {
    /// The finalizer of the controller that keeps a claim as long as pods use it.
    static let protection = "kubernetes.io/pvc-protection"
}
