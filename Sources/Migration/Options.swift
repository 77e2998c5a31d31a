/// The options of a command.
public struct Options: Sendable {
    public enum Goal: Sendable, Equatable {
        case migrate
        /// Copies while the workloads run, and leaves the rest to a later migration.
        case stage
        /// Swaps claims back to the source volumes that a migration kept. Source and destination class are those of the
        /// way back. Data that was written since the migration is given up only on request.
        case rollback(discardingChanges: Bool)
        /// Gives the same storage a volume object of the destination class, and copies nothing.
        case retype
    }

    /// The check of a copy before its source may be given up.
    public enum Verification: String, Sendable, CaseIterable {
        /// No check: a copy that did not fail counts.
        case none
        /// A check that nothing is left to transfer, by names, sizes, times and all other metadata.
        case quick
        /// A check by the contents of all files too.
        case checksum
    }

    public var sourceClass: String
    public var destinationClass: String
    public var goal = Goal.migrate
    /// The transfer to another namespace; nil where claims keep their names. Its claims are of any class.
    public var handover: Handover?
    /// The copy between claims and directories on this computer; nil for all else. Its claims are of any class.
    public var tree: LocalTree?
    /// The chosen claims; all of the source class by default.
    public var selection = Selection()
    /// The size of destination volumes as a share of the source volumes' capacity; nil for the same size.
    public var destinationSize: Percentage?
    /// True where each source volume is kept, so that a rollback can swap its claim back to it.
    public var keepSource = false
    public var rsyncImage = "eeacms/rsync:2.3"
    /// The number of copiers that fill an empty volume side by side, before rsync completes it; nil for eight.
    public var streams: Int?
    public var verification = Verification.quick
    /// The bytes per second that all movers together may copy.
    public var bandwidthLimit: Int64?
    /// Flags that are appended to rsync's own.
    public var rsyncFlags: [String] = []
    /// The template that is merged into every mover and into preflight's pods.
    public var moverTemplate: MoverTemplate?
    /// The number of units that are migrated side by side. Each makes the controller manager write, which does at most
    /// 20 writes a second for the whole cluster. With many more units each of them is down for longer.
    public var parallel = 4
    /// The number of these units that have their pods, and so their movers, on the same node.
    public var parallelPerNode = 4
    /// True where passes copy while the workloads run, so that the stop is only for later changes.
    public var isLive = false
    /// True where one pass copies while the workloads run, so that the stop is only for later changes.
    public var passesEarly = true
    /// The object that is copied while the workloads run.
    public var copyFrom = CopyFrom.auto
    /// The time that the copy after the stop may take, as far as earlier passes can achieve it.
    public var maxOutage: Duration = .seconds(10)
    /// The differences between a volume and the destination class that a retype may leave (`RetypeComparison.Difference.key`).
    public var accepted: Set<String> = []
    public var setDefaults = false
    public var verboseCopy = false
    public var skipSourceValidation = false
    /// The time that the pods of stopped workloads may take to be gone; nil for their grace periods.
    public var stopTimeout: Duration?
    /// The patches that pause custom resources which own workloads and have no scale.
    public var pauses: [Pause] = []
    /// True where pods that nothing owns are deleted and created again.
    public var recreatesPods = false
    /// True where StatefulSets are recreated whose claim templates name the source class.
    public var updatesClaimTemplates = false
    /// True where Events report on claims and workloads, which `kubectl describe` shows.
    public var recordsEvents = false
    /// The time that a pod of preflight may take to run.
    public var podReadyTimeout: Duration = .seconds(60)
    /// The time that the volume of a temporary claim may take to be deleted.
    public var deleteVolumeTimeout: Duration = .seconds(300)

    public init(sourceClass: String, destinationClass: String) {
        self.sourceClass = sourceClass
        self.destinationClass = destinationClass
    }

    /// True where claims are chosen by a class, and go to another.
    var hasClasses: Bool { handover == nil && tree == nil }

    /// True where volumes are to become smaller. Only the kubelets can then tell whether the data fits.
    var makesSmaller: Bool { destinationSize.map { $0.value < 100 } ?? false }

    /// True where passes are made while the workloads run.
    var makesPasses: Bool { pipeline.makesPasses }

    /// Returns true where passes over a claim may read a stand-in.
    func mayStandIn(for state: ClaimState) -> Bool {
        makesPasses && (copyFrom == .auto ? state.isExclusive : copyFrom != .volume)
    }

    /// The classes of the migration itself, also where these options are those of its way back.
    public var wayThere: (source: String, destination: String) {
        pipeline.goesToKept ? (destinationClass, sourceClass) : (sourceClass, destinationClass)
    }

    /// The longest time in which an interrupted run brings everything to a safe state.
    public var wayBack: Duration { Limits().wayBack }

    /// Returns the options of a rollback of this migration.
    ///
    /// - Parameter discardingChanges: True where data that was written since may be given up.
    public func back(discardingChanges: Bool) -> Options {
        var options = self
        (options.sourceClass, options.destinationClass) = (destinationClass, sourceClass)
        options.goal = .rollback(discardingChanges: discardingChanges)
        return options
    }
}

/// The limits of waits. A wait that reaches its limit ends with an error or a warning that names it.
public struct Limits: Sendable {
    /// The time until a staging claim is bound. Some storage takes minutes to provision.
    public var provisioning: Duration = .seconds(300)
    /// The time until the last pod of a stopped workload is gone.
    public var stopping: Duration = .seconds(600)
    /// The time until a volume is detached from the node of a pod that is gone. From a lost node it is detached after
    /// six minutes.
    public var detaching: Duration = .seconds(480)
    /// The time until a mover runs: scheduling, attaching, pulling the image.
    public var moverStart: Duration = .seconds(300)
    /// The time until a deleted claim is gone, a volume Available, or a claim Bound.
    public var rebinding: Duration = .seconds(120)
    /// The time until a workload is ready again. A later one is a warning.
    public var readiness: Duration = .seconds(300)
    /// The time until the objects are there that a transfer waits for.
    public var awaitedObjects: Duration = .seconds(3600)
    /// The number of attempts to copy, where something touched the source or the mover died.
    public var copyAttempts = 3

    public init() {}

    /// The longest time in which an interrupted run brings its units to a safe state. What is past the point of no return
    /// takes longest: it is finished, and once more where that fails.
    var wayBack: Duration { (rebinding * 4 + readiness) * 2 + .seconds(60) }
}
