import Kubernetes

/// Reports on the movers' image.
struct Image: Sendable {
    private let name: String
    private let journal: Journal
    private let findings: Findings

    init(_ context: Context) {
        (name, journal, findings) = (context.options.rsyncImage, context.journal, context.findings)
    }

    /// Warns that the image's owner can make another image run as root over the data.
    func warnOfTag() {
        guard !name.contains("@sha256:") else { return }
        journal.warn(
            "image \(name)",
            "is named by a tag, which whoever may push it can change: --rsync-image with its digest (NAME@sha256:…) names "
                + "this one only"
        )
    }

    /// Notes that the image has no shell, and reports it once.
    func noteMissingShell() {
        guard findings.isNew(\.lacksShell) else { return }
        journal.warn(
            "image \(name)",
            "has no shell: a copy is one plain rsync, which shows nothing meanwhile and flushes nothing at its end, so that "
                + "source volumes are kept"
        )
    }
}
