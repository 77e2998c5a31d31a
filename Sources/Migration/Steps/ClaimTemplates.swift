import Kubernetes

/// Makes StatefulSets name the destination class in their claim templates, after all units.
struct ClaimTemplates: Sendable {
    private let source: Client
    private let options: Options
    private let journal: Journal
    private let lists: SelectedObjects
    private let workloads: Workloads
    private let restore: Restore

    init(_ context: Context) {
        (source, options, journal) = (context.source, context.options, context.journal)
        lists = SelectedObjects(context.source, context.options.selection)
        workloads = Workloads(context)
        restore = Restore(context)
    }

    /// Makes StatefulSets name the destination class in their claim templates, where all their claims are migrated.
    ///
    /// Claim templates cannot be changed. So each set is deleted without its pods and created again, and then adopts
    /// them (transcript statefulset_recreate). Before, the new manifest is written on the volume of one of its claims.
    ///
    /// - Returns: The failures, each as a message. Nothing else waits for them.
    func update() async -> [String] {
        var failures: [String] = []
        do {
            let claims = try await lists.listReadable(PersistentVolumeClaim.self)
            let labelled = try await lists.labelled()
            let sets = try await lists.listReadable(WorkloadObject.self, of: .statefulSets)
            for set in sets.unreadable {
                journal.warn(set.title, "keeps its claim templates: it can't be read (\(set.why))")
            }
            let names = claims.items.map(\.name) + claims.unreadable.map(\.name)
            for workload in sets.items.map({ Workload(statefulSet: $0) }).naming(names) {
                let mounted = Set(workload.mountedClaims)
                let own = claims.items.filter { mounted.contains($0.name) }
                let unreadable = claims.unreadable.filter { mounted.contains($0.name) }
                let isChosen = (own.map(\.name) + unreadable.map(\.name)).allSatisfy { claim in
                    options.selection.whatLeavesOut(claim) == nil && labelled?.contains(claim) != false
                }
                guard isChosen, !own.isEmpty || options.selection.choosesNamespacesOnly,
                    isToBeUpdated(workload, own)
                else { continue }
                if let claim = unreadable.first {
                    journal.warn(
                        workload.title,
                        "keeps its claim templates: \(claim.title) can't be read (\(claim.why))"
                    )
                    continue
                }
                do {
                    try await update(workload, own)
                } catch {
                    failures.append("the claim templates of \(workload.title) were not updated: \(error)")
                }
            }
        } catch {
            failures.append("the claim templates could not be looked at: \(error)")
        }
        return failures
    }

    private func isToBeUpdated(_ workload: Workload, _ own: [PersistentVolumeClaim]) -> Bool {
        guard workload.templateClasses.values.contains(options.sourceClass), !workload.isMarked else { return false }
        if let owner = workload.metadata.controller {
            journal.warn(
                workload.title,
                "keeps its claim templates: it belongs to the \(owner.kind) \(owner.name), which is to be changed"
            )
            return false
        }
        if let left = own.first(where: options.sources.admits) {
            journal.warn(workload.title, "keeps its claim templates: \(left.title) is not migrated")
            return false
        }
        return true
    }

    /// Returns the volume of the first of a set's claims that has one.
    private func bearer(of own: [PersistentVolumeClaim]) async throws -> PersistentVolume? {
        for claim in own.sorted(by: { $0.name < $1.name }) {
            guard let name = claim.spec.volumeName,
                let volume = try await source.find(PersistentVolume.self, ObjectName(name, in: nil)),
                volume.spec.claimRef?.uid == claim.metadata.uid, !volume.metadata.isTerminating
            else { continue }
            return volume
        }
        return nil
    }

    private func update(_ found: Workload, _ own: [PersistentVolumeClaim]) async throws {
        guard let bearer = try await bearer(of: own) else {
            journal.warn(
                found.title,
                "keeps its claim templates: while it is created again, its manifest has to be written on the volume of one "
                    + "of its claims, and it has none. To change them, delete it without its pods (kubectl delete statefulset "
                    + "\(found.name.name) -n \(found.name.namespace ?? "") --cascade=orphan), and create it again"
            )
            return
        }
        let object = try await source.get(.statefulSets, found.name)
        let manifest = Workload.withoutIdentity(object).naming(options.destinationClass, insteadOf: options.sourceClass)
        var workload = found
        workload.brake = .removal(manifest: manifest)
        workload.claimNames = Set(own.map(\.metadata.name))
        workload.bearer = bearer
        if let why = try workload.hindrance(to: bearer) { throw Refusal(why) }
        // A set at zero is recreated like any other.
        workload.replicas = max(1, found.replicas)
        journal.info(workload.title, "is created again, without its pods being touched, to name the new class")
        let stopped = try await workloads.change(workload) { try await workloads.stop($0) }
        guard let stopped else { return }
        _ = try await workloads.change(stopped) { try await workloads.start($0) }
        guard let now = try await source.find(WorkloadObject.self, of: .statefulSets, found.name),
            let again = Workload(now, of: .statefulSets)
        else { throw Refusal("it is gone; its manifest was \(manifest)") }
        try await restore.awaitReady(again)
        journal.info(workload.title, "its claim templates name the class \(options.destinationClass) now")
    }
}

extension Workload {
    /// Returns the note on a StatefulSet whose next replicas would get claims of the old class.
    func noteOfTemplates(_ options: Options, defaultClass: String?) -> Obstacle? {
        guard !options.updatesClaimTemplates, options.hasClasses else { return nil }
        let named = templateClasses.filter { $0.value == options.sourceClass }.keys.sorted()
        if let first = named.first {
            return Obstacle(
                namespace: name.namespace,
                resource: title,
                message:
                    "names the class \(options.sourceClass) in its claim templates (\(named.joined(separator: ", "))), so "
                    + "that its next replicas get claims of that class; --update-claim-templates changes that. In a "
                    + "manifest under version control, for \(first):\n"
                    + "  -      storageClassName: \(options.sourceClass)\n"
                    + "  +      storageClassName: \(options.destinationClass)"
            )
        }
        let unnamed = templateClasses.filter(\.value.isEmpty).keys.sorted()
        guard !unnamed.isEmpty, defaultClass == options.sourceClass, !options.setDefaults else { return nil }
        return Obstacle(
            namespace: name.namespace,
            resource: title,
            message:
                "names no class in its claim templates (\(unnamed.joined(separator: ", "))), so that its next replicas "
                + "get claims of the default class \(options.sourceClass); --set-defaults changes that"
        )
    }
}

extension JSON {
    /// Returns a StatefulSet's manifest with another class in its claim templates.
    fileprivate func naming(_ new: String, insteadOf old: String) -> JSON {
        var manifest = self
        let path = ["spec", "volumeClaimTemplates"]
        manifest[path: path] = .array(
            (self[path: path]?.array ?? []).map { template in
                guard template[path: ["spec", "storageClassName"]]?.string == old else { return template }
                var template = template
                template[path: ["spec", "storageClassName"]] = .string(new)
                template["status"] = nil
                return template
            }
        )
        return manifest
    }
}
