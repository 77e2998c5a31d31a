import Kubernetes

/// One step of a pipeline.
public struct Step: Sendable {
    public let name: String
    /// What it does, for `--help` and the plan.
    public let summary: String
    /// Brings a unit's claims and workloads past this step. Performing it twice has the effect of performing it once.
    let run: @Sendable (Migrator, inout Progress) async throws -> Void
}

/// What is done with each unit, for one goal: the list that runs is the list that `--help` prints.
public struct Pipeline: Sendable {
    /// While its workloads run.
    let whileRunning: [Step]
    /// From the stop of its workloads up to the point from which it only goes forward.
    let stopped: [Step]
    /// From that point on; performed once more where a unit failed in between.
    let finishing: [Step]
    /// With the claims bound to their new volumes.
    let onNewVolumes: [Step]
    /// What a claim is when nothing is left to do for it.
    let result: Report.Result

    /// All that can be taken back.
    var undoable: [Step] { whileRunning + stopped }
    /// All that can't. Where there is nothing of it, a unit goes back at its end.
    var forwardOnly: [Step] { finishing + onNewVolumes }
    public var steps: [Step] { undoable + forwardOnly }
}

extension Pipeline {
    /// A migration that copies while the workloads run, too.
    public static let live = Pipeline(
        whileRunning: [.protect, .stage, .preCopy],
        stopped: [.quiesce, .copy],
        finishing: [.seal, .rebind],
        onNewVolumes: [.restore, .release],
        result: .migrated
    )

    static let migration = Pipeline(
        whileRunning: [.protect, .stage],
        stopped: live.stopped,
        finishing: live.finishing,
        onNewVolumes: live.onNewVolumes,
        result: .migrated
    )

    /// A migration to the volumes that were kept.
    static let rollback = Pipeline(
        whileRunning: migration.whileRunning,
        stopped: live.stopped,
        finishing: live.finishing,
        onNewVolumes: live.onNewVolumes,
        result: .rolledBack
    )

    /// Copies while the workloads run, and leaves the rest to a later migration.
    static let staging = Pipeline(
        whileRunning: live.whileRunning,
        stopped: [],
        finishing: [],
        onNewVolumes: [],
        result: .staged
    )

    /// Before the units: over everything.
    public static let first: [(name: String, summary: String)] = [
        ("discover", "lists volumes, claims, pods and workloads, recognises half-done runs, builds the units"),
        ("preflight", "checks everything that could fail, and changes nothing"),
    ]

    /// After all units.
    public static let last: [(name: String, summary: String)] = [
        ("claim templates", "with --update-claim-templates, makes StatefulSets name the destination class"),
        ("default class", "with --set-defaults, makes the destination class the default one"),
    ]

    /// What a timeline calls the work on a unit that could not be migrated.
    static let wayBack = "go back"
}

extension Options {
    /// What a run of these options does with each unit.
    var pipeline: Pipeline {
        switch goal {
        case .migrate: isLive ? .live : .migration
        case .stage: .staging
        case .rollback: .rollback
        }
    }
}

extension Step {
    fileprivate static let protect = Step(
        name: "protect",
        summary: "sets the source volumes' reclaim policy to Retain"
    ) { try await $0.protect(&$1) }

    fileprivate static let stage = Step(
        name: "stage",
        summary: "creates the staging claims on the destination class"
    ) { try await $0.stage(&$1) }

    fileprivate static let preCopy = Step(
        name: "pre-copy",
        summary: "with --live, copies while the workloads run, until little is left"
    ) { try await $0.preCopy(&$1) }

    fileprivate static let quiesce = Step(
        name: "quiesce",
        summary: "writes down the scale and sets it to zero; waits until no pod mounts the claims"
    ) { try await $0.quiesce(&$1) }

    fileprivate static let copy = Step(
        name: "copy",
        summary: "copies with rsync, then checks that nothing is left to transfer"
    ) { try await $0.copy(&$1) }

    fileprivate static let seal = Step(
        name: "seal",
        summary: "keeps the destination volumes, with the source claims' manifests written on them"
    ) { try await $0.seal(&$1) }

    fileprivate static let rebind = Step(
        name: "rebind",
        summary: "deletes the claims and creates the old names anew on the destination volumes"
    ) { try await $0.rebind(&$1) }

    fileprivate static let restore = Step(
        name: "restore",
        summary: "gives the workloads their scale back and waits until they are ready on the new volumes"
    ) { try await $0.restore(&$1) }

    fileprivate static let release = Step(
        name: "release",
        summary: "gives the new volumes their reclaim policy, frees the old ones of which a workload became ready"
    ) { try await $0.release(&$1) }
}
