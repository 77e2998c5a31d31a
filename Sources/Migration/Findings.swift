import Kubernetes
import Synchronization

/// Facts that a run finds out on its way, for the rest of the run.
final class Findings: Sendable {
    /// A node, as pods of one namespace see it.
    struct NodeOfNamespace: Hashable, Sendable {
        var node: String
        var namespace: String
    }

    struct All: Sendable {
        /// True where the movers' image has no shell.
        var lacksShell = false
        /// The nodes that have the movers' image.
        var nodesWithImage: Set<String> = []
        /// The nodes where SELinux labels no files, each as a pod of the namespace has shown. A tenant can have a pod of his
        /// show anything, which must not decide for others.
        var nodesWithoutLabels: Set<NodeOfNamespace> = []
        /// True where commands may be run in movers.
        var runsCommands = false
        /// The namespaces where a mover did not hear what it was told. A tenant can bring that about, too.
        var deafNamespaces: Set<String> = []
        /// The nodes as they were last listed.
        var sites: Sites?
        /// True where nodes may not be listed.
        var hidesNodes = false
        /// The attachments of volumes before their pods were stopped, by the volumes' names.
        var attachments: [String: [VolumeAttachment]] = [:]
        /// The destination class at discovery.
        var destinationClass: StorageClass?
        /// The largest number of movers that run at once.
        var movers = 1
        /// The locks that this run holds, each with its last known renewal.
        var locks: [ClassLock.ID: HeldLock] = [:]
        /// The trial claims of preflight that are gone, while their volumes may not be yet.
        var trials: [PersistentVolumeClaim] = []
        /// The names of the stand-ins that passes read last.
        var standIns: [Transfer.ID: ObjectName] = [:]
    }

    private let mutex = Mutex(All())

    var all: All { mutex.withLock { $0 } }
    func note(_ change: (inout All) -> Void) { mutex.withLock { change(&$0) } }

    /// Notes a fact that is to be reported once.
    ///
    /// - Returns: True where it is new.
    func isNew(_ fact: WritableKeyPath<All, Bool>) -> Bool {
        mutex.withLock { found in
            defer { found[keyPath: fact] = true }
            return !found[keyPath: fact]
        }
    }
}
