public import Kubernetes

/// What migrations have left in the cluster, of this tool and of the Go tool: told from the cluster alone.
public struct MigrationStatus: Sendable {
    /// What to look at; nil stands for all.
    public struct Scope: Sendable {
        public var sourceClass: String?
        public var destinationClass: String?
        public var selection = Selection()

        /// Everything.
        public init() {}
    }

    /// A claim whose migration was begun and has not ended.
    public struct Claim: Sendable, Equatable {
        public enum Stage: String, Sendable, CaseIterable {
            /// Its data is on the source volume; it can still go back.
            case begun
            /// Its data is complete on the destination volume; it only goes forward.
            case sealed
            /// It is bound to the destination volume; what is left is tidying up.
            case rebound
            /// A swap was cut off, of the Go tool or with a seal that can't be read, and no rerun can go on with it.
            case cutOff = "cut-off"
        }

        public var name: ObjectName
        public var stage: Stage
        /// How things stand, as a phrase for a person.
        public var state: String
        /// What a rerun does, as a phrase that goes on from "a rerun".
        public var next: String
        /// True where a person has to do something before a rerun goes on with it.
        public var isBlocked = false
        /// True where it is swapped back to a volume that was kept for it.
        public var isRollback = false
        /// The classes, as the flags name them: those of the way there, for a rollback too.
        public var sourceClass: String?
        public var destinationClass: String?
        public var sourceVolume: String?
        public var destinationVolume: String?
    }

    /// A workload that bears the mark of having been stopped.
    public struct Stopped: Sendable, Equatable {
        public var kind: String
        public var name: ObjectName
        /// What it is to have again; nil where the mark is no number.
        public var scale: Int?
        /// What it has now: above zero where somebody else has started it.
        public var replicas: Int
        public var state: String
        /// True where a person has to do something before a rerun starts it.
        public var isBlocked = false

        public var title: String { "\(kind) \(name)" }
    }

    /// A source volume that is kept for a rollback.
    public struct Kept: Sendable, Equatable {
        public var kept: KeptVolume
        /// True while the claim exists that took its claim's place.
        public var hasSuccessor: Bool
    }

    /// The Lease of a class: who migrates from or to it, or did when it was cut off.
    public struct Lock: Sendable, Equatable {
        public var name: ObjectName
        public var storageClass: String
        /// The classes of its holder's run, as the flags name them, for a rollback too; nil where it does not say.
        public var sourceClass: String?
        public var destinationClass: String?
        public var holder: String
        public var since: String?
        public var renewed: String?
        /// How long ago that was by this machine's clock, which need not agree with the holder's.
        public var age: Duration?
        /// False where it has not been renewed for so long that its holder seems dead.
        public var seemsAlive: Bool
    }

    /// What is under way, in order of the claims' names.
    public internal(set) var claims: [Claim] = []
    public internal(set) var workloads: [Stopped] = []
    /// Objects of a migration that no rerun goes on with; each with what to do about it.
    public internal(set) var leftovers: [Obstacle] = []
    public internal(set) var kept: [Kept] = []
    public internal(set) var locks: [Lock] = []
    /// What a person should know besides.
    public internal(set) var notes: [Obstacle] = []
    /// What could not be looked at; each with the server's reason.
    public internal(set) var unseen: [Obstacle] = []
    /// How many claims are of the source class, and not begun; nil where no source class was given.
    public internal(set) var toMigrate: Int?
    /// How many claims are bound on the destination class; nil where none was given.
    public internal(set) var onDestination: Int?
    /// The commands that finish what is open.
    public internal(set) var commands: [String] = []

    /// True while something needs a rerun, or a person.
    public var isOpen: Bool { !claims.isEmpty || !workloads.isEmpty }
    /// How much the kept volumes hold, in bytes.
    public var keptBytes: Int64 { kept.compactMap(\.kept.size?.bytes).sum() }
}
