public import Kubernetes

/// The result of a run, for the final table and for `--output json`.
public struct Report: Sendable {
    public enum Result: String, Sendable, CaseIterable {
        case migrated
        /// The claim was copied while its workload ran; the rest is for a later migration.
        case staged
        /// The claim was swapped back to the volume that was kept.
        case rolledBack = "rolled-back"
        /// The claim got another class, on the same storage.
        case retyped
        /// The claim was copied to another namespace.
        case copied
        /// The claim was given to another namespace.
        case moved
        /// The claim has what a directory on this computer has, or the other way round.
        case uploaded
        case downloaded
        case failed
        /// The claim was brought back to its state before a run that did not finish.
        case takenBack = "taken-back"
        /// The claim was left as it was, because of an interruption or an obstacle.
        case skipped
    }

    /// What became of the storage that a claim has left.
    public enum OldStorage: Sendable, Equatable {
        /// It is given back to its driver, to be freed.
        case freed
        /// The volume stays, for a rollback or since something may be on it alone.
        case kept(volume: String)
        /// The volume object is gone. The storage is its owner's, as the reclaim policy Retain wants it.
        case retained
    }

    public struct Claim: Sendable {
        public var name: ObjectName
        /// The name of the destination; nil where that is the claim's own.
        public var destination: ObjectName?
        public var size: String
        public var files: Int?
        public var bytes: Int64?
        /// The size of a volume whose data did not have to travel; nil where it did.
        public var bytesNotMoved: Int64?
        public var copyTime: Duration?
        /// From the moment at which the unit's first workload is asked to stop to that at which its last is asked to start
        /// again; nil where nothing has to stop.
        public var stop: Duration?
        /// From the same moment until all of the unit's workloads are ready again, as their users feel it; where nobody waits
        /// for that, until the last is asked to start.
        public var outage: Duration?
        /// The outage that was expected after the last pass while the workload ran; nil without such passes.
        public var predictedOutage: Duration?
        /// Nil where the claim has left none.
        public var oldStorage: OldStorage?
        public var result: Result
        public var reason: String?

        public init(
            name: ObjectName,
            size: String,
            files: Int? = nil,
            bytes: Int64? = nil,
            bytesNotMoved: Int64? = nil,
            copyTime: Duration? = nil,
            stop: Duration? = nil,
            outage: Duration? = nil,
            predictedOutage: Duration? = nil,
            result: Result,
            reason: String? = nil
        ) {
            self.name = name
            self.size = size
            self.files = files
            self.bytes = bytes
            self.bytesNotMoved = bytesNotMoved
            self.copyTime = copyTime
            self.stop = stop
            self.outage = outage
            self.predictedOutage = predictedOutage
            self.result = result
            self.reason = reason
        }

        /// True where the run did with the claim what was asked for.
        public var isDone: Bool { ![.failed, .skipped].contains(result) }
    }

    public var claims: [Claim] = []
    /// Workloads that a migration set to zero and did not start again, as messages name them.
    public var stopped: [String] = []
    /// Workloads that stay stopped because that was asked for, as messages name them.
    public var left: [String] = []
    /// Failures that concern no claim, such as that of the default class.
    public var failures: [String] = []
    public var wasInterrupted = false

    public init() {}

    /// The bytes that did not have to travel, of all claims.
    public var bytesNotMoved: Int64 { claims.compactMap(\.bytesNotMoved).reduce(0) { $0.addingSaturated($1) } }

    public var succeeded: Bool {
        !wasInterrupted && failures.isEmpty && stopped.isEmpty
            && claims.allSatisfy(\.isDone)
    }
}

extension Report {
    mutating func add(_ progress: Progress, _ result: Result, reason: String?) {
        for state in progress.unit.claims { add(state, of: progress, result, reason: reason) }
    }

    mutating func add(_ state: ClaimState, of progress: Progress, _ result: Result, reason: String?) {
        let copy = progress.copies[state.id]
        // A unit is down until the last of its claims is copied.
        let predicted = progress.unit.claims.compactMap { progress.passes[$0.id]?.predictedOutage }.max()
        claims.append(
            Claim(
                name: state.name,
                size: ((state.claim ?? state.target)?.status?.capacity?["storage"] ?? state.size)?.text ?? "",
                files: copy?.statistics?.files,
                bytes: copy?.statistics?.totalBytes,
                bytesNotMoved: [.retyped, .moved].contains(result)
                    ? state.destination?.spec.capacity?["storage"]?.bytes : nil,
                copyTime: copy?.duration,
                stop: progress.stop,
                outage: progress.outage,
                predictedOutage: predicted,
                result: result,
                reason: reason
            )
        )
        claims[claims.count - 1].oldStorage = state.oldStorage
        if !state.transfer.isInPlace { claims[claims.count - 1].destination = state.transfer.destination }
    }
}

extension ClaimState {
    /// What became of the source volume, where the claim is on another one now.
    fileprivate var oldStorage: Report.OldStorage? {
        guard transfer.isInPlace, [.copy, .kept].contains(method) else { return nil }
        if let source, KeptVolume(source) != nil, isReleased || isRebound { return .kept(volume: source.metadata.name) }
        guard isReleased else { return nil }
        guard let source else { return .retained }
        return source.reclaimPolicy == .delete ? .freed : nil
    }
}
