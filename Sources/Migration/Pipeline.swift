import Kubernetes

/// One step of the pipeline.
public struct Step: Sendable {
    public let name: String
    /// What it does, for `--help` and the plan.
    public let summary: String
    /// Whether a run takes it at all.
    var isTaken: @Sendable (Options) -> Bool = { _ in true }
    /// Brings a unit's claims and workloads past this step. Performing it twice has the effect of performing it once.
    let run: @Sendable (Migrator, inout Progress) async throws -> Void
}

/// The pipeline, in order: the list that runs is the list that `--help` prints.
public enum Pipeline {
    /// Before the units: over everything.
    public static let first: [(name: String, summary: String)] = [
        ("discover", "lists volumes, claims, pods and workloads, recognises half-done runs, builds the units"),
        ("preflight", "checks everything that could fail, and changes nothing"),
    ]

    /// For each unit, while its workloads run: all that `pvmigrate stage` does.
    static let whileRunning: [Step] = [
        Step(name: "protect", summary: "sets the source volumes' reclaim policy to Retain") {
            try await $0.protect(&$1)
        },
        Step(name: "stage", summary: "creates the staging claims on the destination class") { try await $0.stage(&$1) },
        Step(
            name: "pre-copy",
            summary: "with --live, copies while the workloads run, until little is left",
            isTaken: \.makesPasses
        ) { try await $0.preCopy(&$1) },
    ]

    /// For each unit, up to the point from which it only goes forward.
    static let beforeSeal: [Step] =
        whileRunning + [
            Step(
                name: "quiesce",
                summary: "writes down the scale and sets it to zero; waits until no pod mounts the claims"
            ) {
                try await $0.quiesce(&$1)
            },
            Step(name: "copy", summary: "copies with rsync, then checks that nothing is left to transfer") {
                try await $0.copy(&$1)
            },
        ]

    private static let seal = Step(
        name: "seal",
        summary: "keeps the destination volumes, with the source claims' manifests written on them"
    ) { try await $0.seal(&$1) }

    /// From the point on from which it only goes forward; performed once more where a unit failed in between.
    static let finishing: [Step] = [
        seal,
        Step(name: "rebind", summary: "deletes the claims and creates the old names anew on the destination volumes") {
            try await $0.rebind(&$1)
        },
    ]

    private static let restore = Step(
        name: "restore",
        summary: "gives the workloads their scale back and waits until they are ready on the new volumes"
    ) { try await $0.restore(&$1) }

    private static let release = Step(
        name: "release",
        summary: "gives the new volumes their reclaim policy, frees the old ones of which a workload became ready"
    ) { try await $0.release(&$1) }

    /// With the claims bound to their new volumes.
    static let onNewVolumes: [Step] = [restore, release]

    /// For each unit, from the seal on.
    static let fromSeal: [Step] = finishing + onNewVolumes

    public static var unitSteps: [Step] { beforeSeal + fromSeal }

    /// What a timeline calls the work on a unit that could not be migrated.
    static let wayBack = "go back"

    /// After all units.
    public static let last: [(name: String, summary: String)] = [
        ("claim templates", "with --update-claim-templates, makes StatefulSets name the destination class"),
        ("default class", "with --set-defaults, makes the destination class the default one"),
    ]
}
