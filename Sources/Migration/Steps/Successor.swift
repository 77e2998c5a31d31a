import Kubernetes

/// The claim that takes the source claim's place.
struct Successor: Sendable {
    private let source: Client
    private let destination: Client
    private let journal: Journal

    init(_ context: Context) {
        (source, destination, journal) = (context.source, context.destination, context.journal)
    }

    /// Creates the claim of the destination's name.
    func create(_ state: ClaimState) async throws -> ClaimState {
        guard let seal = state.seal, let volume = state.destination else { return state }
        let owners = try await owners(of: seal)
        for owner in owners.gone {
            journal.warn(
                state.title,
                "its owner \(owner["kind"]?.string ?? "?") \(owner["name"]?.string ?? "?") "
                    + (seal.target == nil ? "is gone" : "does not own the new claim") + "; reference dropped"
            )
        }
        let manifest = Self.manifest(
            of: seal,
            name: state.transfer.destination,
            volume: volume,
            class: state.transfer.storageClass ?? "",
            attributesClass: volume.spec.volumeAttributesClassName,
            owners: owners.valid
        )
        var state = state
        state.target = try await destination.create(
            PersistentVolumeClaim.self,
            in: state.transfer.destination.namespace,
            manifest
        )
        state.memory.madeTarget = state.target?.metadata.uid
        return state
    }

    /// Returns the claim of the destination's name as the source claim was, except for the class, the volume, a requested
    /// size, and the binder's own fields. It requests no more than the volume has.
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
            PersistentVolumeClaim.selectedNode, PersistentVolumeClaim.betaClassAnnotation, Marks.wake,
        ]
        for key in binders { claim[path: ["metadata", "annotations", key]] = nil }
        let finalizers = (claim[path: ["metadata", "finalizers"]]?.array ?? []).filter {
            $0.string != PersistentVolumeClaim.protection
        }
        claim[path: ["metadata", "finalizers"]] = finalizers.isEmpty ? nil : .array(finalizers)
        if seal.target != nil { removeOwnMatters(from: &claim) }
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

    /// Removes what has a meaning only for the claim in its own place.
    private static func removeOwnMatters(from claim: inout JSON) {
        claim[path: ["metadata", "finalizers"]] = nil
        for key in ["dataSource", "dataSourceRef"] { claim[path: ["spec", key]] = nil }
        OwnMatters.remove(from: &claim)
    }

    /// Returns the claim's owners, apart those that still exist from those that are gone. With a gone owner the garbage
    /// collector would delete the claim.
    ///
    /// To another name none goes along: the collector looks for an owner in the claim's namespace, and what owned the
    /// source claim knows nothing of the new one (Kubernetes, Owners and Dependents).
    private func owners(of seal: Seal) async throws -> (valid: [JSON], gone: [JSON]) {
        var (valid, gone): ([JSON], [JSON]) = ([], [])
        let owners = seal.manifest[path: ["metadata", "ownerReferences"]]?.array ?? []
        guard seal.target == nil else { return ([], owners) }
        for owner in owners {
            if try await destination.exists(owner: owner, in: seal.destination.namespace) {
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
    /// - Parameter namespaceComes: True where the destination's namespace may still be missing.
    /// - Throws: `APIError` where the claim and its owners cannot be read.
    func hindrance(of state: ClaimState, namespaceComes: Bool = false) async throws -> String? {
        guard let uid = state.sourceClaim?.metadata.uid else { return nil }
        let claim: JSON
        do {
            claim = try await source.get(.claims, state.name)
        } catch let error as APIError where error.reason == .notFound {
            return nil
        }
        guard claim[path: ["metadata", "uid"]]?.string == uid else { return nil }
        if state.transfer.ending != .copy,
            let why = Self.hold(of: claim[path: ["metadata", "finalizers"]]?.array?.compactMap(\.string))
        {
            return why
        }
        var seal = Seal(manifest: Seal.manifest(of: claim), reclaimPolicy: .retain, size: state.transfer.sizeWanted)
        if !state.transfer.isInPlace {
            (seal.ending, seal.target) = (state.transfer.ending, state.transfer.destination)
        }
        let manifest = Self.manifest(
            of: seal,
            name: state.transfer.destination,
            volume: state.givenDestination,
            class: state.transfer.storageClass ?? "",
            attributesClass: state.attributesClass,
            owners: try await owners(of: seal).valid
        )
        do {
            try await destination.create(.claims, in: state.transfer.destination.namespace, manifest, dryRun: true)
            return nil
        } catch let error as APIError where namespaceComes && error.reason == .notFound {
            return nil
        } catch let error as APIError where error.reason == .alreadyExists {
            // A claim that has another name is looked at by itself.
            return nil
        } catch let error as APIError
            where state.transfer.isInPlace && error.reason == .forbidden && error.message.contains("exceeded quota")
        {
            return nil
        } catch let error as APIError {
            let isOfOwners = error.message.contains("blockOwnerDeletion")
            let what = state.transfer.isInPlace ? "that is to take its place" : state.transfer.destination.description
            return "the API server refuses the claim \(what): \(error.message)"
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
    /// The annotation with the node that the scheduler has chosen for the first pod of a claim.
    static let selectedNode = "volume.kubernetes.io/selected-node"
    /// The finalizer of the controller that keeps a claim as long as pods use it.
    static let protection = "kubernetes.io/pvc-protection"
}
