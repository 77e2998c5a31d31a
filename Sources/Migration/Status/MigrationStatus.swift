public import Kubernetes

/// The traces of migrations in the cluster, of this tool and of the Go tool. It is derived from the cluster alone.
public struct MigrationStatus: Sendable {
    /// The objects to look at; nil stands for all.
    public struct Scope: Sendable {
        public var sourceClass: String?
        public var destinationClass: String?
        public var selection = Selection()

        /// Makes a scope of everything.
        public init() {}
    }

    /// A claim whose migration has begun and not ended.
    public struct Claim: Sendable, Equatable {
        public enum Stage: String, Sendable, CaseIterable {
            /// The data is on the source volume, and the claim can still go back.
            case begun
            /// The data is complete on the destination volume, and the claim only goes forward.
            case sealed
            /// The claim is bound to the destination volume, and only tidying up is left.
            case rebound
            /// A swap of the Go tool, or one with an unreadable seal, was cut off, and no rerun can finish it.
            case cutOff = "cut-off"
            /// An upload into the claim has begun and not finished.
            case halfFilled = "half-filled"
            /// A copy of the claim to or from a computer has begun and not ended.
            case treeBegun = "tree-begun"
        }

        public var name: ObjectName
        public var stage: Stage
        /// The state of the claim, as a phrase for a person.
        public var state: String
        /// The effect of a rerun, as a phrase that goes on from "a rerun".
        public var next: String
        /// True where a person has to act before a rerun goes on with the claim.
        public var isBlocked = false
        /// True where the claim is swapped back to a volume that was kept for it.
        public var isRollback = false
        /// True where the claim gets another class on the same storage.
        public var isRetype = false
        /// The claim that the destination volume is for, where that is not the claim itself.
        public var destination: ObjectName?
        /// The command that finishes the transfer to that claim.
        var transferCommand: String?
        /// The classes, as the flags name them. For a rollback they are those of the way there.
        public var sourceClass: String?
        public var destinationClass: String?
        public var sourceVolume: String?
        public var destinationVolume: String?
    }

    /// A workload that bears the mark of a stop.
    public struct Stopped: Sendable, Equatable {
        public var kind: String
        public var name: ObjectName
        /// The scale to be restored; nil where the mark is no number.
        public var scale: Int?
        /// The present scale. It is above zero where somebody else started the workload.
        public var replicas: Int
        public var state: String
        /// True where a person has to act before a rerun starts the workload.
        public var isBlocked = false

        public var title: String { "\(kind) \(name)" }
    }

    /// A source volume that is kept for a rollback.
    public struct Kept: Sendable, Equatable {
        public var kept: KeptVolume
        /// True while the claim's successor exists.
        public var hasSuccessor: Bool
    }

    /// The Lease of a class. Its holder migrates from or to the class, or did until it was cut off.
    public struct Lock: Sendable, Equatable {
        public var name: ObjectName
        public var storageClass: String
        /// The classes of the holder's run, as the flags name them, also for a rollback; nil where the Lease does not
        /// name them.
        public var sourceClass: String?
        public var destinationClass: String?
        public var holder: String
        public var since: String?
        public var renewed: String?
        /// The age of the last renewal by this machine's clock, which may differ from the holder's.
        public var age: Duration?
        /// False where the last renewal is so old that the holder seems dead.
        public var seemsAlive: Bool
    }

    /// The claims whose migration is under way, in the order of their names.
    public internal(set) var claims: [Claim] = []
    public internal(set) var workloads: [Stopped] = []
    /// The objects of migrations that no rerun uses, each with what to do about it.
    public internal(set) var leftovers: [Obstacle] = []
    public internal(set) var kept: [Kept] = []
    public internal(set) var locks: [Lock] = []
    /// Further notes for a person.
    public internal(set) var notes: [Obstacle] = []
    /// The objects that could not be looked at, each with the server's reason.
    public internal(set) var unseen: [Obstacle] = []
    /// The number of claims of the source class that are not begun; nil without a source class.
    public internal(set) var toMigrate: Int?
    /// The number of claims that are bound on the destination class; nil without one.
    public internal(set) var onDestination: Int?
    /// The commands that finish the open migrations.
    public internal(set) var commands: [String] = []

    /// True while something needs a rerun, or a person.
    public var isOpen: Bool { !claims.isEmpty || !workloads.isEmpty }
    /// The size of all kept volumes together, in bytes.
    public var keptBytes: Int64 { kept.compactMap(\.kept.size?.bytes).sum() }
}
