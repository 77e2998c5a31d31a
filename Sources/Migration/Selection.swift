public import Kubernetes

/// The selection of claims: those that pass every filter.
public struct Selection: Sendable, Equatable {
    /// The selected namespaces; empty for all. Each is listed by itself, so permissions in them suffice.
    public var namespaces: Set<String> = []
    public var excludedNamespaces: Set<String> = []
    /// The only selected claims; empty for all.
    public var claims: Set<ObjectName> = []
    public var excludedClaims: Set<ObjectName> = []
    /// A label selector, which the API server evaluates.
    public var labels: String?

    /// Selects everything.
    public init() {}

    /// The selected namespaces, in the order of their names; only nil for all.
    var places: [String?] {
        namespaces.isEmpty ? [nil] : namespaces.subtracting(excludedNamespaces).sorted()
    }

    /// Returns true where a namespace is selected.
    func includes(namespace: String?) -> Bool {
        guard let namespace else { return namespaces.isEmpty }
        return (namespaces.isEmpty || namespaces.contains(namespace)) && !excludedNamespaces.contains(namespace)
    }

    /// True where the filters name namespaces only.
    var choosesNamespacesOnly: Bool { claims.isEmpty && excludedClaims.isEmpty && labels == nil }

    /// Returns the phrase of the filter that leaves a claim out by its name; nil where none does.
    public func whatLeavesOut(_ claim: ObjectName) -> String? {
        let namespace = claim.namespace ?? ""
        if !namespaces.isEmpty, !namespaces.contains(namespace) { return "outside of --namespace" }
        if excludedNamespaces.contains(namespace) { return "left out by --exclude-namespace" }
        if !claims.isEmpty, !claims.contains(claim) { return "not named by --pvc" }
        if excludedClaims.contains(claim) { return "left out by --exclude" }
        return nil
    }

    /// The flags of the selection, namespaces apart from the rest.
    public var flags: (namespaces: [String], others: [String]) {
        var others = excludedNamespaces.sorted().map { "--exclude-namespace \($0)" }
        others += claims.sorted().map { "--pvc \($0)" } + excludedClaims.sorted().map { "--exclude \($0)" }
        // The quotes protect a selector that a shell would read otherwise: `tier in (web,db)`.
        others += (labels.map { ["--selector '\($0)'"] } ?? [])
        return (namespaces.sorted().map { "--namespace \($0)" }, others)
    }
}

/// The error of a label selector that the API server cannot read.
public struct UnreadableSelector: Error, CustomStringConvertible {
    public var description: String
}

extension Inventory {
    /// Returns the phrase of the filter that leaves a claim out; nil for a chosen claim.
    func whatLeavesOut(_ claim: ObjectName, _ selection: Selection) -> String? {
        if let filter = selection.whatLeavesOut(claim) { return filter }
        guard let labelled, !labelled.contains(claim) else { return nil }
        return "without the labels of --selector"
    }

    func includes(_ claim: ObjectName, _ selection: Selection) -> Bool { whatLeavesOut(claim, selection) == nil }

    /// Returns true where a claim is sealed on a volume and chosen.
    ///
    /// The server has no labels of a deleted claim. Finishing such a claim is right whatever its labels were.
    func includes(_ seal: Seal, on volume: PersistentVolume, _ selection: Selection) -> Bool {
        let claim = claims[seal.name]
        let isThere = claim.map { $0.metadata.uid == seal.uid || $0.spec.volumeName == volume.metadata.name } ?? false
        return isThere ? includes(seal.name, selection) : selection.whatLeavesOut(seal.name) == nil
    }

    /// Returns the claims whose swap has begun and is not finished. Their workloads cannot run.
    func limbo(among names: Set<ObjectName>) -> [ClaimState] {
        volumes.values.compactMap { volume in
            guard let seal = seal(of: volume), names.contains(seal.name) else { return nil }
            let state = state(of: seal.name, seal: seal, destination: volume, nil)
            return state.isInLimbo ? state : nil
        }
    }
}

extension Unit {
    /// Finds the claims of the unit's workloads that take no part and are between two volumes.
    mutating func nameLimbo(in inventory: Inventory) {
        let own = Set(claims.map(\.name))
        let mounted = Set(workloads.flatMap(\.mountedClaims))
        limbo = inventory.limbo(among: mounted.subtracting(own))
    }
}

extension Discovery {
    /// Adds the effects of the selection on the present cluster: the claims left out, and the names that match nothing.
    ///
    /// - Parameter states: The chosen claims.
    mutating func tell(of states: [ClaimState], in inventory: Inventory, _ options: Options) {
        let selection = options.selection
        let found = Set(states.map(\.name))
        for claim in inventory.candidates(options) where !found.contains(claim) {
            guard let filter = inventory.whatLeavesOut(claim, selection) else { continue }
            leftOut[filter, default: 0] += 1
        }
        for claim in selection.claims.sorted() where !found.contains(claim) {
            let title = "PersistentVolumeClaim \(claim)"
            if let made = inventory.transferred(claim, uid: inventory.claims[claim]?.metadata.uid, options) {
                if inventory.claims[claim] == nil {
                    let message = "is \(made.name) now; there is nothing to do for it"
                    notes.append(Obstacle(namespace: claim.namespace, resource: title, message: message))
                }
                continue
            }
            guard let why = inventory.whyNothingToDo(for: claim, options) else {
                let message =
                    "is of the StorageClass \(options.destinationClass) already; there is nothing to do for it"
                notes.append(Obstacle(namespace: claim.namespace, resource: title, message: message))
                continue
            }
            unmatched.append(Obstacle(namespace: claim.namespace, resource: title, message: why))
        }
        for claim in selection.excludedClaims.sorted() where inventory.isMissing(claim, selection) {
            notes.append(
                Obstacle(
                    namespace: claim.namespace,
                    resource: "PersistentVolumeClaim \(claim)",
                    message: "is named by --exclude, and does not exist"
                )
            )
        }
        for workload in inventory.workloads where workload.isMarked {
            guard !forgotten.contains(workload), !units.contains(where: { $0.workloads.contains(workload) }) else {
                continue
            }
            let names = workload.mountedClaims.filter { inventory.isHalfDone($0, options) }.map(\.name).sorted()
            guard !names.isEmpty else { continue }
            leftStopped.append(workload)
            notes.append(
                Obstacle(
                    namespace: workload.name.namespace,
                    resource: workload.title,
                    message: "was stopped by an earlier run for \(names.joined(separator: ", ")), which is not chosen "
                        + "now, and stays as it is: run again with that, or abort that"
                )
            )
        }
    }

    /// Returns the reason why there is nothing to do: the number of claims, and the filters that leave them out.
    public func emptiness(_ options: Options) -> String {
        let count = leftOut.values.reduce(0, +)
        if copiedBefore > 0 {
            let claims = copiedBefore == 1 ? "1 claim" : "\(copiedBefore) claims"
            return "there is a copy already of \(claims), as said above"
        }
        guard count > 0 else {
            return options.pipeline.goesToKept
                ? "no volume of the StorageClass \(options.destinationClass) is kept for a claim"
                : options.hasClasses
                    ? "there are no claims of the StorageClass \(options.sourceClass)"
                    : "there are no claims in the namespace \(options.selection.namespaces.sorted().joined(separator: ", "))"
        }
        let claims = count == 1 ? "1 claim" : "\(count) claims"
        let what =
            options.pipeline.goesToKept
            ? "\(claims) with a kept volume of the StorageClass \(options.destinationClass)"
            : options.hasClasses ? "\(claims) of the StorageClass \(options.sourceClass)" : claims
        let filters = leftOut.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        return "of \(what) none is chosen: \(filters.joined(separator: ", "))"
    }
}

extension Workload {
    var mountedClaims: [ObjectName] { claimNames.map { ObjectName($0, in: name.namespace) } }

    /// Returns the note for a workload that mounts chosen claims and others.
    func cut(between chosen: Set<ObjectName>, and others: Set<ObjectName>) -> Obstacle {
        func words(_ claims: Set<ObjectName>) -> String { claims.map(\.name).sorted().joined(separator: ", ") }
        return Obstacle(
            namespace: name.namespace,
            resource: title,
            message: "mounts \(words(chosen)), which \(chosen.count == 1 ? "is" : "are") chosen, and \(words(others)), "
                + "which \(others.count == 1 ? "is" : "are") not: it is stopped, and only what is chosen is migrated"
        )
    }

    /// Returns the reason why a workload cannot be started after its claims are migrated.
    func waits(for state: ClaimState) -> Obstacle {
        Obstacle(
            namespace: name.namespace,
            resource: title,
            message:
                "also mounts \(state.name.name), which an earlier run has left in the middle of its swap and which "
                + "is not chosen: finish that first (pvmigrate status says how), or choose it too"
        )
    }
}

extension Inventory {
    /// Returns the claims that a run of these options concerns, chosen or not. Claims of unlisted namespaces are
    /// included as far as volumes name them.
    func candidates(_ options: Options) -> Set<ObjectName> {
        if options.pipeline.goesToKept {
            let kept = volumes.values.filter(options.destinations.admits)
                .compactMap { KeptVolume($0) }
            return Set(
                kept.filter {
                    !options.selection.includes(namespace: $0.claim.namespace)
                        || hindrance(to: $0, from: options.sources) == nil
                }.map(\.claim)
            )
        }
        let seen = claims.values.filter {
            options.sources.admits($0) && $0.metadata.annotation(Marks.kind) == nil
                && $0.metadata.controller?.kind != "Pod"
        }
        let unseen = volumes.values.filter { volume in
            options.sources.admits(volume) && volume.phase == .bound
                && !options.selection.includes(namespace: volume.claim?.namespace)
        }
        return Set(seen.map(\.name) + unseen.compactMap(\.claim))
    }

    /// Returns the reason why a requested claim cannot be migrated; nil where it is migrated already.
    fileprivate func whyNothingToDo(for name: ObjectName, _ options: Options) -> String? {
        guard let claim = claims[name] else {
            return unreadable(.claims, name).map { "can't be read: \($0.why)" } ?? "does not exist"
        }
        if let labelled, !labelled.contains(name) { return "does not have the labels of --selector" }
        if options.sources.admits(claim) {
            return options.pipeline.goesToKept
                ? "has no volume that was kept for it" : "can't be migrated; see the notes"
        }
        if options.destinations.admits(claim) { return nil }
        return claim.storageClassName.map { "is of the StorageClass \($0), not of \(options.sourceClass)" }
            ?? "has no StorageClass"
    }

    fileprivate func isMissing(_ claim: ObjectName, _ selection: Selection) -> Bool {
        selection.includes(namespace: claim.namespace) && claims[claim] == nil && unreadable(.claims, claim) == nil
            && !volumes.values.contains { seal(of: $0)?.name == claim }
    }

    /// Returns true where an earlier run of the same migration began with the claim.
    fileprivate func isHalfDone(_ name: ObjectName, _ options: Options) -> Bool {
        if volumes.values.contains(where: {
            guard let seal = seal(of: $0) else { return false }
            return seal.name == name && options.sources.admits(seal)
        }) {
            return true
        }
        let state = state(of: name, seal: nil, destination: nil, options)
        return options.sources.admits(state.claim?.storageClassName) && (state.isProtected || state.ownStaging != nil)
    }
}
