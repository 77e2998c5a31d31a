public import Kubernetes

/// What the cluster says of one claim's migration: the objects that take part in it, as they were last read.
public struct ClaimState: Sendable, Equatable {
    /// The name of the source claim, which its successor bears too.
    public let name: ObjectName
    /// What has this name now: the source claim, its successor, or a stranger.
    public var claim: PersistentVolumeClaim?
    public var staging: PersistentVolumeClaim?
    public var source: PersistentVolume?
    public var destination: PersistentVolume?
    /// The seal that the destination volume carries.
    public var seal: Seal?
    /// Another volume that an earlier run has sealed for the claim, and whose staging claim is gone. Its seal goes before
    /// anything else is done: later it would look like that of a swap.
    var staleSeal: PersistentVolume?
    /// What a pass reads instead of the source volume, and has in its place as `source`.
    var copy: SourceCopy?
    /// A pod that mounts the claim, or will: on which nodes it can run, its new volume has to be.
    public var consumer: PodSpec?
    /// True where another volume object is the source volume's storage, too: then nothing may free that.
    var sharesSource = false
    /// As whom the pods use it that were there when it was discovered.
    var ownerOfPods: DataOwner?
    /// True when this process has seen a complete copy since the workloads stopped. It is not written down: before the
    /// source claim is deleted, a process that resumes copies again, since it can't know what ran in the meantime.
    public var copied = false
    /// What a staging claim bears that this process makes, and nobody knows before: by it the claim is known whose creation
    /// was not answered.
    let nonce = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 16) }.joined()
    /// True when this process has dropped the last mark: nothing is left to do.
    public var isReleased = false

    /// The name of the staging claim: its own, or the first one that is free.
    public var stagingName: ObjectName
    /// The class that is asked for; nil for any.
    var destinationClass: String?

    init(name: ObjectName, claim: PersistentVolumeClaim? = nil, seal: Seal? = nil, destinationClass: String? = nil) {
        (self.name, self.claim, self.seal, self.destinationClass) = (name, claim, seal, destinationClass)
        stagingName = ObjectName(Marks.stagingName(of: name.name), in: name.namespace)
    }

    /// The destination volume where it is there already and need not be provisioned: a source volume that was kept for a
    /// rollback, or one that is sealed.
    var givenDestination: PersistentVolume? {
        guard let destination, seal != nil || destination.isKept else { return nil }
        return destination
    }

    /// The claim that is to be migrated, where it still exists.
    public var sourceClaim: PersistentVolumeClaim? {
        guard let claim else { return nil }
        if let seal { return claim.metadata.uid == seal.uid ? claim : nil }
        return claim
    }

    /// The size that is asked for, where it is; discovery writes it down.
    var sizeWanted: Quantity?

    /// The size that the destination must have.
    public var size: Quantity? { sizeWanted ?? sourceSize }

    /// The size that it has now: no smaller than the volume, nor than what the claim asks for.
    public var sourceSize: Quantity? {
        let sizes = [source?.spec.capacity?["storage"], claim?.spec.resources?.requests?["storage"]]
        return sizes.compactMap(\.self).max()
    }

    /// The access modes that the claim shall have afterwards.
    ///
    /// - Throws: `Refusal` where its owner's annotation names none that exists.
    public func accessModes() throws(Refusal) -> [AccessMode] {
        guard let claim else { return seal?.accessModes ?? [] }
        guard let wanted = claim.wantedAccessMode else { return claim.spec.accessModes ?? [] }
        guard Self.knownAccessModes.contains(wanted) else {
            throw Refusal(
                "the annotation \(Marks.accessMode) is \"\(wanted.rawValue.shortened(to: 100))\"; it must be one of "
                    + Self.knownAccessModes.map(\.rawValue).joined(separator: ", ")
            )
        }
        return [wanted]
    }

    static let knownAccessModes: [AccessMode] = [.readWriteOnce, .readWriteMany, .readOnlyMany, .readWriteOncePod]

    /// The reclaim policy that the source volume had before it was protected.
    public var originalPolicy: ReclaimPolicy {
        guard let source else { return seal?.reclaimPolicy ?? .retain }
        // The UID is that of the claim that was protected; one that was deleted and got back has another one.
        if source.reclaimPolicy == .retain, source.metadata.annotation(Marks.sourceUID) != nil,
            let policy = source.markedPolicy
        {
            return policy
        }
        if let seal { return seal.reclaimPolicy }
        // The Go tool keeps it on the volume that it migrates to.
        if source.reclaimPolicy == .retain, let destination,
            destination.metadata.annotation(Marks.sourceClaim) == name.name,
            destination.metadata.annotation(Marks.sourceNamespace) == name.namespace,
            let policy = destination.markedPolicy
        {
            return policy
        }
        return source.reclaimPolicy
    }

    /// The reclaim policy that the destination volume is to have at last: the source volume's, where it was made for the
    /// migration. One that was there before keeps its own.
    var destinationPolicy: ReclaimPolicy {
        if let kept = destination.flatMap({ KeptVolume($0) }) { return kept.reclaimPolicy }
        if let seal { return seal.reclaimPolicy }
        guard let destination, let staging, !destination.isProvisioned(for: staging) else { return originalPolicy }
        return destination.reclaimPolicy
    }

    /// True when nothing will reclaim the source volume, and its former policy is written down.
    public var isProtected: Bool {
        guard let source, let uid = sourceClaim?.metadata.uid ?? seal?.uid else { return false }
        return source.reclaimPolicy == .retain && source.metadata.annotation(Marks.sourceUID) == uid
            && source.markedPolicy != nil
    }
}

extension PersistentVolumeClaim {
    /// The access mode that its owner asks for, be it one that exists or not.
    var wantedAccessMode: AccessMode? { metadata.annotation(Marks.accessMode).map(AccessMode.init(rawValue:)) }
}

/// A plain reason why something is not done.
public struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}

/// What a destination volume carries so that the migration can be finished without the source claim.
public struct Seal: Sendable, Equatable {
    /// The source claim as it was, less what the server sets anew.
    public var manifest: JSON
    /// The reclaim policy that the destination volume is to have at last.
    public var reclaimPolicy: ReclaimPolicy
    /// What the successor is to ask for, where that is another size than the source claim's.
    public var size: Quantity?
    /// True once a run has set about deleting the source claim.
    var isDeleting = false
    /// The workloads that were stopped for the claim, as messages name them: one has to be seen ready on the destination
    /// volume before the source volume may go.
    var users: [String] = []

    public var uid: String { manifest[path: ["metadata", "uid"]]?.string ?? "" }
    /// Nil where it can't be told any more.
    public var sourceVolume: String? { manifest[path: ["spec", "volumeName"]]?.string }
    public var sourceClass: String {
        let annotation = ["metadata", "annotations", PersistentVolumeClaim.betaClassAnnotation]
        return (manifest[path: ["spec", "storageClassName"]] ?? manifest[path: annotation])?.string ?? ""
    }
    var accessModes: [AccessMode] {
        (manifest[path: ["spec", "accessModes"]]?.array ?? []).compactMap(\.string).map(AccessMode.init(rawValue:))
    }
    /// Those that the claim has afterwards: its own, or the one that its owner asks for.
    var laterAccessModes: [AccessMode] {
        manifest[path: ["metadata", "annotations", Marks.accessMode]]?.string.map { [AccessMode(rawValue: $0)] }
            ?? accessModes
    }
    public var name: ObjectName {
        ObjectName(
            manifest[path: ["metadata", "name"]]?.string ?? "",
            in: manifest[path: ["metadata", "namespace"]]?.string
        )
    }
}
