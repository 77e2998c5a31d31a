import Kubernetes

/// The meaning of an exit code of a mover's container, and what to do about it.
struct MoverExit: Equatable {
    var code: Int
    /// The meaning in words, after rsync(1), "EXIT VALUES".
    var meaning: String
    /// True where another attempt may succeed, from where this one stopped.
    var isWorthRepeating = false

    /// Files were deleted while they were copied, which is normal where the workload runs.
    static let vanished = 24

    init(rsync code: Int) {
        self.code = code
        switch code {
        case 1: meaning = "syntax or usage error; check --rsync-flags"
        case 2: meaning = "protocol incompatibility"
        case 3: meaning = "errors selecting input or output files"
        case 4: meaning = "an action that this rsync was not built for; check --rsync-flags and --rsync-image"
        case 5: meaning = "error starting the client-server protocol"
        case 10: (meaning, isWorthRepeating) = ("error in socket I/O", true)
        case 11: meaning = "error in file I/O"
        case 12: (meaning, isWorthRepeating) = ("error in the rsync protocol data stream", true)
        case 13: meaning = "errors with program diagnostics"
        case 14: meaning = "error in interprocess communication"
        case 20: (meaning, isWorthRepeating) = ("ended by SIGUSR1 or SIGINT", true)
        case 21: meaning = "some error returned by waitpid()"
        case 22: meaning = "error allocating core memory buffers"
        case 23: meaning = "partial transfer due to an error"
        case 24: (meaning, isWorthRepeating) = ("files vanished while they were copied", true)
        case 25: meaning = "the --max-delete limit stopped deletions"
        case 30: (meaning, isWorthRepeating) = ("timeout in data send/receive", true)
        case 35: (meaning, isWorthRepeating) = ("timeout waiting for a daemon connection", true)
        case 127: meaning = "rsync was not found in the image"
        case 128: meaning = "the container could not be started; is rsync in the image?"
        case 137: (meaning, isWorthRepeating) = ("killed, by a lack of memory or from outside", true)
        case 255: (meaning, isWorthRepeating) = ("the connection between the two pods of the copy failed", true)
        case 143: (meaning, isWorthRepeating) = ("ended from outside (SIGTERM)", true)
        default: meaning = "unknown exit code"
        }
    }

    /// Returns the lines that tell what went wrong, at most eight and each shortened: rsync's own complaints, which its
    /// statistics may follow; without any, the last lines.
    static func complaints(in output: String) -> [String] {
        let lines = output.split(whereSeparator: \.isNewline).map(String.init)
        let complaints = lines.filter {
            $0.hasPrefix("rsync") || $0.hasPrefix("@ERROR") || $0.hasPrefix("ssh:") || $0.contains("cannot ")
        }
        return (complaints.isEmpty ? lines.suffix(5) : complaints.prefix(8)).map { $0.shortened(to: 1000) }
    }

    /// Returns advice that depends on the output.
    static func advice(output: String) -> String? {
        let text = output.lowercased()
        if text.contains("no space left on device") || text.contains("disk quota exceeded") {
            return "the destination volume is full: it needs more room than the source volume's capacity"
        }
        if text.contains("operation not permitted") || text.contains("permission denied") {
            return
                "the mover may not keep owners or read all files: the storage maps root to nobody (NFS root squash: export "
                + "it with no_root_squash for the time of the migration), or a policy keeps the mover from being root"
        }
        if text.contains("read-only file system") { return "the destination volume is mounted read-only" }
        if text.contains("exec format error") { return "the image was built for another processor; see --rsync-image" }
        return nil
    }

    /// Returns true where a policy refuses a mover that is root.
    static func refusesRoot(_ refusal: String) -> Bool {
        ["violates PodSecurity", "security context constraint", "denied the request"].contains { refusal.contains($0) }
    }

    /// Returns the way to make a namespace admit a mover that is root, and the way back.
    static func adviceOnRoot(in namespace: String) -> String {
        "for the time of the migration let the mover be root: \(adviceOnLabel(in: namespace)). On OpenShift: oc adm policy "
            + "add-scc-to-user anyuid -z default -n \(namespace), which holds for every pod of that ServiceAccount; "
            + "afterwards: oc adm policy remove-scc-from-user anyuid -z default -n \(namespace)"
    }

    private static func adviceOnLabel(in namespace: String) -> String {
        "kubectl label namespace \(namespace) --overwrite pod-security.kubernetes.io/enforce=baseline, which holds for every "
            + "pod there; afterwards give the label the value that it has now, or where it is not set: "
            + "kubectl label namespace \(namespace) pod-security.kubernetes.io/enforce-"
    }

    /// Returns true where the missing room, on the node or in a quota, may exist once the workload's pods are gone.
    static func isWantOfRoom(_ reason: String) -> Bool {
        ["Insufficient ", "Too many pods", "exceed max volume count", "exceeded quota"].contains(where: reason.contains)
    }

    /// Returns advice on a mover that the API server refuses.
    static func advice(refusal: String, namespace: String) -> String? {
        if refusal.contains("violates PodSecurity") {
            return "a mover has to be root, to read all files and keep their owners. For the time of the migration: "
                + adviceOnLabel(in: namespace)
        }
        if refusal.contains("security context constraint") {
            return "the mover's user is not in the namespace's range (annotation openshift.io/sa.scc.uid-range); "
                + adviceOnRoot(in: namespace)
        }
        if refusal.contains("exceeded quota") { return "make room in the quota for one more pod for each claim" }
        if refusal.contains("failed quota") {
            return "the quota wants requests and limits: give them with --mover-template, or give the namespace a "
                + "LimitRange with defaults"
        }
        if refusal.contains("is being terminated") { return "the namespace is being deleted" }
        return nil
    }

    /// Returns flags without the metadata that the file systems or this rsync cannot hold, where nothing else failed.
    static func unsupported(in output: String, flags: RsyncFlags) -> RsyncFlags? {
        var reduced = flags
        var others = false
        for line in output.lowercased().split(whereSeparator: \.isNewline) {
            let isError =
                line.hasPrefix("rsync:") || line.hasPrefix("rsync_xal") || line.contains("not supported on this")
            guard isError else { continue }
            let unsupported = line.contains("operation not supported") || line.contains("not supported on this")
            if unsupported, line.contains("acl") {
                reduced.accessControlLists = false
            } else if unsupported, line.contains("xattr") || line.contains("xal_set") {
                reduced.extendedAttributes = false
            } else {
                others = true
            }
        }
        return others || reduced == flags ? nil : reduced
    }
}
