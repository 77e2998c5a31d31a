import Kubernetes

/// Leaves the unit's workloads stopped, without marks, so that no later run starts them.
///
/// - Before: the claims of the destinations are bound.
/// - After: no workload bears a mark. The messages name each with its former scale.
/// - Safe to repeat because: a workload without a mark is left as it is.
/// - Undone by: nothing.
struct Leave: UnitAction {
    private let journal: Journal
    private let workloads: Workloads
    private let copiedMarks: CopiedMarks

    init(_ context: Context) {
        journal = context.journal
        workloads = Workloads(context)
        copiedMarks = CopiedMarks(context)
    }

    func perform(_ progress: inout Progress) async throws {
        for index in progress.unit.workloads.indices {
            let workload = progress.unit.workloads[index]
            guard let now = try await workloads.current(workload) else { continue }
            progress.unit.workloads[index] = now
            guard now.isMarked else {
                await copiedMarks.remove(of: now)
                continue
            }
            let left = try await workloads.change(now) { try await workloads.leave($0) }
            progress.unit.workloads[index] = left ?? now
            await copiedMarks.remove(of: now)
            guard now.replicas == 0 else { continue }
            progress.left.append(now.title)
            journal.warn(now.title, "stays stopped; \(now.wayBack)")
        }
    }
}

extension Workloads {
    /// Removes the mark of a stopped workload, and leaves it stopped.
    fileprivate func leave(_ workload: Workload) async throws -> Workload {
        // Somebody may have started it.
        guard workload.replicas == 0 else { return try await start(workload) }
        var marks: [String: JSON] = [Marks.scale: .null]
        if workload.metadata.annotation(Marks.whenScaled) != nil { marks[Marks.whenScaled] = .null }
        let patch = Patch.merge(onto: workload.metadata, ["metadata": ["annotations": .object(marks)]])
        let object = try await client.patch(WorkloadObject.self, of: workload.resource, workload.name, patch)
        return Workload(object, of: workload.resource) ?? workload
    }
}

extension Workload {
    /// What starts the stopped workload again, for people.
    fileprivate var wayBack: String {
        let policy =
            metadata.annotation(Marks.whenScaled) == nil
            ? "" : ", and its persistentVolumeClaimRetentionPolicy.whenScaled was Delete"
        switch brake {
        case .nodeSelector: return "to start it, remove \(Marks.nowhere) from the node selector of its pods"
        case .suspension: return "to start it, set spec.suspend to false"
        case .replicas, .scale, .pause, .removal: return "its scale was \(mark ?? "?")\(policy)"
        }
    }
}
