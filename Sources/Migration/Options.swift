/// What the person asked for.
public struct Options: Sendable {
    public enum Goal: Sendable, Equatable {
        case migrate
        /// Copies while the workloads run, and leaves the rest to a later migration.
        case stage
        /// Swaps claims back to the source volumes that a migration has kept. Source and destination class are those
        /// of the way back. What was written since the migration is given up only where that was asked for.
        case rollback(discardingChanges: Bool)
    }

    /// How a copy is checked before its source may be given up.
    public enum Verification: String, Sendable, CaseIterable {
        /// Not at all: it counts that the copy did not fail.
        case none
        /// Nothing is left to transfer, by names, sizes, times and all other metadata.
        case quick
        /// By the contents of all files too.
        case checksum
    }

    public var sourceClass: String
    public var destinationClass: String
    public var goal = Goal.migrate
    /// Which claims; all of the source class, unless told otherwise.
    public var selection = Selection()
    /// How large the destination volumes are to be, of the source volumes' capacity; nil for as large.
    public var destinationSize: Percentage?
    /// Keep each source volume, so that a rollback can swap its claim back to it.
    public var keepSource = false
    public var rsyncImage = "eeacms/rsync:2.3"
    /// How many copiers fill an empty volume side by side, before rsync completes it; nil for as many as suit the node.
    public var streams: Int?
    public var verification = Verification.quick
    /// How many bytes a second all movers together may copy.
    public var bandwidthLimit: Int64?
    /// Appended to rsync's own flags.
    public var rsyncFlags: [String] = []
    /// Merged into every mover and into preflight's pods.
    public var moverTemplate: MoverTemplate?
    /// How many units are migrated side by side. Each makes the controller manager write, which it does at most 20 times
    /// a second for the whole cluster: with many more each of them is down for longer.
    public var parallel = 4
    /// How many of them have their pods, and so their movers, on the same node.
    public var parallelPerNode = 4
    /// Copy while the workloads run, and stop them only for what has changed since.
    public var isLive = false
    /// What is copied while the workloads run.
    public var copyFrom = CopyFrom.auto
    /// How long the copy after the stop may take, as far as passes before it can make it so.
    public var maxOutage: Duration = .seconds(10)
    public var setDefaults = false
    public var verboseCopy = false
    public var skipSourceValidation = false
    /// How long the pods of stopped workloads may take to be gone; nil for as long as their grace periods ask for.
    public var stopTimeout: Duration?
    /// How custom resources are paused that own workloads and have no scale.
    public var pauses: [Pause] = []
    /// Delete pods that nothing owns, and create them again afterwards.
    public var recreatesPods = false
    /// Recreate the StatefulSets whose claim templates name the source class.
    public var updatesClaimTemplates = false
    /// Tell what happens to claims and workloads by Events of the cluster, which `kubectl describe` shows.
    public var recordsEvents = false
    /// How long a pod of preflight may take to run.
    public var podReadyTimeout: Duration = .seconds(60)
    /// How long the volume of a temporary claim may take to go.
    public var deleteVolumeTimeout: Duration = .seconds(300)

    public init(sourceClass: String, destinationClass: String) {
        self.sourceClass = sourceClass
        self.destinationClass = destinationClass
    }

    /// True where volumes are to become smaller, and so nobody but the kubelets can tell whether that does.
    var makesSmaller: Bool { destinationSize.map { $0.value < 100 } ?? false }

    /// True where passes are made while the workloads run.
    var makesPasses: Bool { pipeline.makesPasses }

    /// True where passes over a claim may read something in its source's place.
    func mayStandIn(for state: ClaimState) -> Bool {
        makesPasses && (copyFrom == .auto ? state.isExclusive : copyFrom != .volume)
    }

    /// The classes of the migration itself, for the way back too.
    public var wayThere: (source: String, destination: String) {
        pipeline.goesToKept ? (destinationClass, sourceClass) : (sourceClass, destinationClass)
    }

    /// What a rollback of this migration is asked for.
    ///
    /// - Parameter discardingChanges: whether what was written since may be given up.
    public func back(discardingChanges: Bool) -> Options {
        var options = self
        (options.sourceClass, options.destinationClass) = (destinationClass, sourceClass)
        options.goal = .rollback(discardingChanges: discardingChanges)
        return options
    }
}

/// How long each wait may last before it is given up with an error or a warning that names what it waited for.
public struct Limits: Sendable {
    /// Until a staging claim is bound; some storage takes minutes to provision.
    public var provisioning: Duration = .seconds(300)
    /// Until the last pod of a stopped workload is gone.
    public var stopping: Duration = .seconds(600)
    /// Until a volume is detached from the node of a pod that is gone; from a lost node it is taken after six minutes.
    public var detaching: Duration = .seconds(480)
    /// Until a mover runs: scheduling, attaching, pulling the image.
    public var moverStart: Duration = .seconds(300)
    /// Until a deleted claim is gone, a volume Available, a claim Bound.
    public var rebinding: Duration = .seconds(120)
    /// Until a workload is ready again; a later one is a warning.
    public var readiness: Duration = .seconds(300)
    /// How often a copy is repeated because something touched the source, or the mover died.
    public var copyAttempts = 3

    public init() {}
}
