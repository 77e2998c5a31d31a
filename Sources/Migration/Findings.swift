import Kubernetes
import Synchronization

/// What is found out while a run goes on, for the rest of it.
final class Findings: Sendable {
    struct All: Sendable {
        /// Of the movers' image.
        var lacksShell = false
        /// The nodes that have the movers' image.
        var nodesWithImage: Set<String> = []
        /// As they were listed last.
        var sites: Sites?
        /// True where nodes may not be listed.
        var hidesNodes = false
        /// What volumes were attached to before their pods were stopped, by the volumes' names.
        var attachments: [String: [VolumeAttachment]] = [:]
        /// The class to migrate to, as it was discovered.
        var destinationClass: StorageClass?
        /// How many movers there are at once, at most.
        var movers = 1
        /// When the locks that this run holds were renewed last, as far as it knows.
        var locks: [ClassLock.ID: HeldLock] = [:]
        /// The names of the stand-ins that passes read last.
        var standIns: [Transfer.ID: ObjectName] = [:]
    }

    private let mutex = Mutex(All())

    var all: All { mutex.withLock { $0 } }
    func note(_ change: (inout All) -> Void) { mutex.withLock { change(&$0) } }
}
