/// A part of a step that acts on a unit. Performing it twice has the effect of performing it once.
protocol UnitAction: Sendable {
    func perform(_ progress: inout Progress) async throws
}

/// One step of a pipeline.
public struct Step: Sendable {
    public let name: String
    /// The summary of the step, for `--help` and the plan.
    public let summary: String
    /// The actions of the step, in order.
    let actions: @Sendable (Context) -> [any UnitAction]
}

/// The steps for each unit, for one goal. The list that runs is the list that `--help` prints.
public struct Pipeline: Sendable {
    /// The goal as Events name it.
    let title: String
    /// The steps while the unit's workloads run.
    let whileRunning: [Step]
    /// The steps from the stop of the workloads up to the point from which the unit only goes forward.
    let stopped: [Step]
    /// The steps from that point on. They are performed once more where a unit failed in between.
    let finishing: [Step]
    /// The steps with the claims bound to their new volumes.
    let onNewVolumes: [Step]
    /// The result of a claim when nothing is left to do for it.
    let result: Report.Result
    /// True where the steps while the workloads run may run before a unit's turn.
    var preparesAhead = false
    /// True where passes are made while the workloads run.
    var makesPasses = false
    /// The way of its claims to their destination volumes.
    var method = Transfer.Method.copy

    /// True where claims go to the volumes that were kept for them, and no volume is made.
    public var goesToKept: Bool { method == .kept }
    /// True where the storage stays, and only the volume objects are made anew.
    public var retypes: Bool { method == .retype }
    /// True where the storage stays, and nothing is copied.
    var keepsStorage: Bool { method.keepsStorage }
    /// True where the unit's workloads stay stopped once their claims have what they are to have.
    var leavesStopped = false

    /// True where claims get what they are to have, and not only copies for later.
    var makesTargets: Bool { !forwardOnly.isEmpty }

    /// The steps that can be taken back.
    var undoable: [Step] { whileRunning + stopped }
    /// The steps that cannot. Where there are none, a unit goes back at its end.
    var forwardOnly: [Step] { finishing + onNewVolumes }
    public var steps: [Step] { undoable + forwardOnly }
}

extension Pipeline {
    /// A migration that also copies while the workloads run.
    public static let live = Pipeline(
        title: "Migration",
        whileRunning: [
            .protect, .stage { [Stage($0), PlacementCheck($0), MakeReady($0)] },
            .preCopy("copies once while the workloads run; with --live until little is left") {
                [PreCopy($0, copiesAtRest: false), LookAgain(context: $0), Hold($0, passes: false)]
            },
        ],
        stopped: [.quiesce, .copy],
        finishing: [.seal, .rebind],
        onNewVolumes: [.restore, .release],
        result: .migrated,
        makesPasses: true
    )

    static let migration = Pipeline(
        title: "Migration",
        whileRunning: [
            .protect, .stage { [Stage($0), MakeReady($0)] },
            .preCopy("copies once while the workloads run") {
                [EarlyPass($0), Hold($0, passes: $0.options.passesEarly)]
            },
        ],
        stopped: live.stopped,
        finishing: live.finishing,
        onNewVolumes: live.onNewVolumes,
        result: .migrated,
        preparesAhead: true
    )

    /// A pipeline that copies while the workloads run, and leaves the rest to a later migration.
    public static let staging = Pipeline(
        title: "Staging",
        whileRunning: [
            .protect, .stage { [Stage($0), PlacementCheck($0), MakeReady($0)] },
            .preCopy("copies while the workloads run, until little is left") { [PreCopy($0, copiesAtRest: true)] },
        ],
        stopped: [],
        finishing: [],
        onNewVolumes: [],
        result: .staged,
        makesPasses: true
    )

    /// Returns a pipeline that swaps claims back to the volumes that were kept.
    ///
    /// - Parameter discardingChanges: True where data that was written since may be given up.
    public static func rollback(discardingChanges: Bool) -> Pipeline {
        Pipeline(
            title: "Rollback",
            whileRunning: [
                .protect,
                .stage("creates staging claims for the volumes that were kept") {
                    [Stage($0), MakeReady($0), Hold($0, passes: false)]
                },
            ],
            stopped: [.quiesce, .compare(discardingChanges: discardingChanges)],
            finishing: live.finishing,
            onNewVolumes: live.onNewVolumes,
            result: .rolledBack,
            method: .kept
        )
    }

    /// A pipeline that gives the same storage a volume object of another class, and copies nothing.
    public static let retype = Pipeline(
        title: "Retype",
        whileRunning: [.protect],
        stopped: [.quiesce, .detach],
        finishing: [.sealAnew, .rebind],
        onNewVolumes: [.restore, .releaseOld],
        result: .retyped,
        method: .retype
    )

    /// A pipeline that gives volumes to claims of another namespace, and copies nothing.
    public static let move = Pipeline(
        title: "Transfer",
        whileRunning: [.protect],
        stopped: [.quiesce, .settle],
        finishing: [
            .sealForOther, .handOver("deletes the claims and creates those of the other namespace on their volumes"),
        ],
        onNewVolumes: [.leave, .releaseHandedOver],
        result: .moved,
        method: .handOver,
        leavesStopped: true
    )

    /// Returns a pipeline that copies claims to another namespace, and leaves the source as it is.
    ///
    /// - Parameter leavesStopped: True where the source's workloads are not started again.
    public static func copy(leavesStopped: Bool) -> Pipeline {
        let handOver = Step.handOver("gives the copies to the claims of the other namespace")
        return Pipeline(
            title: "Transfer",
            whileRunning: migration.whileRunning,
            stopped: [.quiesce, .copy],
            finishing: leavesStopped ? [.sealForOther, handOver] : [.sealForOther, .resume, handOver],
            onNewVolumes: leavesStopped ? [.leave, .releaseHandedOver] : [.releaseHandedOver],
            result: .copied,
            preparesAhead: true,
            leavesStopped: leavesStopped
        )
    }

    /// Returns a pipeline that copies between claims and directories on this computer.
    public static func tree(_ direction: LocalTree.Direction) -> Pipeline {
        let isUpload = direction == .upload
        return Pipeline(
            title: isUpload ? "Upload" : "Download",
            whileRunning: [.noteNodes],
            stopped: [
                .quiesce,
                .lookAtTrees(
                    isUpload ? "looks at what the claims hold, then marks them as begun" : "looks at both ends"
                ),
                .copyTrees,
            ],
            finishing: [.conclude],
            onNewVolumes: [.restartOnTrees],
            result: isUpload ? .uploaded : .downloaded,
            method: .tree
        )
    }

    /// The work before the units, over everything.
    public static let first: [(name: String, summary: String)] = [
        ("discover", "lists volumes, claims, pods and workloads, recognises half-done runs, builds the units"),
        ("preflight", "checks everything that could fail, and changes nothing"),
    ]

    /// The work after all units.
    public static let last: [(name: String, summary: String)] = [
        ("claim templates", "with --update-claim-templates, makes StatefulSets name the destination class"),
        ("default class", "with --set-defaults, makes the destination class the default one"),
    ]

    /// The name in a timeline for the work on a unit that could not be migrated.
    static let wayBack = "go back"
    /// The name of the step that copies while the workloads are stopped.
    public static let copyStep = "copy"
}

extension Options {
    /// The steps for each unit of a run of these options.
    public var pipeline: Pipeline {
        switch goal {
        case .migrate:
            if let tree {
                .tree(tree.direction)
            } else if let handover {
                handover.handsVolumesOver ? .move : .copy(leavesStopped: handover.leavesStopped)
            } else {
                isLive ? .live : .migration
            }
        case .stage: .staging
        case .retype: .retype
        case .rollback(let discardingChanges): .rollback(discardingChanges: discardingChanges)
        }
    }
}

extension Step {
    fileprivate static let protect = Step(
        name: "protect",
        summary: "sets the source volumes' reclaim policy to Retain"
    ) { [Protect($0)] }

    fileprivate static func stage(
        _ summary: String = "creates the staging claims on the destination class",
        _ actions: @escaping @Sendable (Context) -> [any UnitAction]
    ) -> Step {
        Step(name: "stage", summary: summary, actions: actions)
    }

    fileprivate static func preCopy(
        _ summary: String,
        _ actions: @escaping @Sendable (Context) -> [any UnitAction]
    ) -> Step {
        Step(
            name: "pre-copy",
            summary: summary,
            actions: actions
        )
    }

    fileprivate static let quiesce = Step(
        name: "quiesce",
        summary: "writes down the scale and sets it to zero; waits until no pod mounts the claims"
    ) { [Quiesce($0)] }

    fileprivate static let copy = Step(
        name: Pipeline.copyStep,
        summary: "copies with rsync, then checks that nothing is left to transfer"
    ) { [Copy($0)] }

    fileprivate static func compare(discardingChanges: Bool) -> Step {
        Step(name: Pipeline.copyStep, summary: "compares both volumes, and copies nothing") {
            [Copy($0, .compare(discardingChanges: discardingChanges))]
        }
    }

    fileprivate static let detach = Step(
        name: "detach",
        summary: "waits until no node has the source volumes attached"
    ) { [Detach($0)] }

    fileprivate static let settle = Step(
        name: "settle",
        summary: "notes that nothing uses the claims any more"
    ) { [Detach($0)] }

    fileprivate static let sealForOther = Step(
        name: "seal",
        summary: "keeps the volumes, with the claims that they are for written on them"
    ) { [Sealing($0)] }

    fileprivate static let resume = Step(
        name: "resume",
        summary: "gives the workloads of the source their scale back"
    ) { [Restore($0)] }

    fileprivate static func handOver(_ summary: String) -> Step {
        Step(name: "hand over", summary: summary) { [Rebind($0)] }
    }

    fileprivate static let leave = Step(
        name: "leave",
        summary: "leaves the workloads of the source stopped, and says which"
    ) { [Leave($0)] }

    fileprivate static let releaseHandedOver = Step(
        name: "release",
        summary: "gives all volumes the reclaim policy that the source volumes had"
    ) { [Release($0)] }

    fileprivate static let noteNodes = Step(
        name: "note nodes",
        summary: "notes on which node a volume is that is a node's own directory"
    ) { [NoteNodes($0)] }

    fileprivate static func lookAtTrees(_ summary: String) -> Step {
        Step(name: "look", summary: summary) { [LookAtTrees($0)] }
    }

    fileprivate static let copyTrees = Step(
        name: "copy",
        summary: "copies with this computer's rsync, then checks that nothing is left to transfer"
    ) { [CopyTrees($0)] }

    fileprivate static let conclude = Step(
        name: "conclude",
        summary: "removes the marks"
    ) { [Conclude($0)] }

    fileprivate static let restartOnTrees = Step(
        name: "restore",
        summary: "gives the workloads their scale back and waits until they are ready"
    ) { [Restore($0)] }

    fileprivate static let sealAnew = Step(
        name: "seal",
        summary: "creates volume objects of the same storage, with the source claims' manifests written on them"
    ) { [Sealing($0)] }

    fileprivate static let releaseOld = Step(
        name: "release",
        summary: "deletes the old volume objects, then gives the new ones their reclaim policy"
    ) { [Release($0)] }

    fileprivate static let seal = Step(
        name: "seal",
        summary: "keeps the destination volumes, with the source claims' manifests written on them"
    ) { [Sealing($0)] }

    fileprivate static let rebind = Step(
        name: "rebind",
        summary: "deletes the claims and creates the old names anew on the destination volumes"
    ) { [Rebind($0)] }

    fileprivate static let restore = Step(
        name: "restore",
        summary: "gives the workloads their scale back and waits until they are ready on the new volumes"
    ) { [Restore($0)] }

    fileprivate static let release = Step(
        name: "release",
        summary: "gives the new volumes their reclaim policy, frees the old ones of which a workload became ready"
    ) { [Release($0)] }
}
