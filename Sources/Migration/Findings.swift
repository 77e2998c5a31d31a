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
        var locks: [ObjectName: HeldLock] = [:]
        /// The names of the stand-ins that passes read last.
        var standIns: [Transfer.ID: ObjectName] = [:]
    }

    private let mutex = Mutex(All())

    var all: All { mutex.withLock { $0 } }
    func note(_ change: (inout All) -> Void) { mutex.withLock { change(&$0) } }
}

extension Migrator {
    /// What a claim's movers copy, as far as it is known what the image has.
    func content(of state: ClaimState) -> any MoverContent { state.content(options, found: findings.all) }

    /// Says that the owner of the movers' image can have another one run as root over the data.
    func warnOfTag(before discovery: Discovery) {
        guard !options.rsyncImage.contains("@sha256:"), !discovery.units.isEmpty else { return }
        journal.warn(
            "image \(options.rsyncImage)",
            "is named by a tag, which whoever may push it can change: --rsync-image with its digest (NAME@sha256:…) names "
                + "this one only"
        )
    }

    /// Remembers, and says once, that the image has no shell.
    func noteMissingShell() {
        var isNew = false
        findings.note { found in
            isNew = !found.lacksShell
            found.lacksShell = true
        }
        guard isNew else { return }
        journal.warn(
            "image \(options.rsyncImage)",
            "has no shell: a copy is one plain rsync, which shows nothing meanwhile and flushes nothing at its end, so that "
                + "source volumes are kept"
        )
    }
}
