import Kubernetes

/// What is said of the movers' image.
struct Image: Sendable {
    private let name: String
    private let journal: Journal
    private let findings: Findings

    init(_ context: Context) {
        (name, journal, findings) = (context.options.rsyncImage, context.journal, context.findings)
    }

    /// Says that the owner of the image can have another one run as root over the data.
    func warnOfTag() {
        guard !name.contains("@sha256:") else { return }
        journal.warn(
            "image \(name)",
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
            "image \(name)",
            "has no shell: a copy is one plain rsync, which shows nothing meanwhile and flushes nothing at its end, so that "
                + "source volumes are kept"
        )
    }
}
