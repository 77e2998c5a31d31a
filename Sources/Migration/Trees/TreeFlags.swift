/// The arguments of this computer's rsync for one claim.
struct TreeFlags: Equatable, Sendable {
    /// The directory on this computer, an absolute path.
    var directory: String
    var direction: LocalTree.Direction
    var target: TreeTarget
    /// False where a file system cannot hold them, as for the next flag.
    var accessControlLists = true
    var extendedAttributes = true
    /// False where this computer's user cannot give files away: rsync then keeps owners and devices as attributes.
    var isRootHere = true
    /// The bytes per second that it may copy.
    var bandwidthLimit: Int64?
    var verification = Options.Verification.quick
    /// The place of files that are not whole yet, at the end that is written to.
    var partial: String
    /// The person's own flags.
    var further: [String] = []

    /// The name of that place in a claim. No file of anybody has it.
    static let partialName = ".pvmigrate-partial-4f9c1d7ab2e6"
    /// The name in a tree of what is known of it.
    static let records = ".pvmigrate"
    /// The place of the claim's volume in its mover.
    static func mount(_ direction: LocalTree.Direction) -> String { direction == .upload ? "dest" : "source" }

    private var common: [String] {
        let archive = "-aHS" + (accessControlLists ? "A" : "") + (extendedAttributes ? "X" : "")
        // Names go to the other side as data, not as words of a command.
        var flags = [archive, "--protect-args", "--numeric-ids"]
        flags += LocalTree.kept.map { "--filter=- /\($0)" }
        // An SELinux label belongs to the volume's mount.
        if extendedAttributes { flags.append("--filter=-x security.selinux") }
        if !isRootHere { flags.append("--fake-super") }
        return flags
    }

    /// Source and target. A path that begins with a slash is never taken for a flag or a host.
    private var ends: [String] {
        let (here, there) = (directory + "/", "pod:/\(Self.mount(direction))/")
        return direction == .upload ? [here, there] : [there, here]
    }

    /// The arguments of a copy.
    var copying: [String] {
        common + ["--modify-window=-1", "--stats", "--info=progress2"]
            + ["--partial-dir=\(partial)", "--temp-dir=\(partial)"]
            + (target == .replaced ? ["--delete"] : [])
            + (verification == .checksum ? ["--checksum"] : [])
            + (bandwidthLimit.map { ["--bwlimit=\(max(1, $0 >> 10))"] } ?? []) + further + ends
    }

    /// The arguments of a dry run, which says what differs. Those of the person do not silence it.
    ///
    /// - Parameter isCheck: True after a copy. Of a merge the target may then have more.
    func comparing(isCheck: Bool) -> [String] {
        common + further + (isCheck && target == .merged ? [] : ["--delete"])
            + (verification == .checksum ? ["--checksum"] : [])
            + ["--dry-run", "--itemize-changes", "--out-format=%i %n%L", "--info=none,stats2"] + ends
    }

    /// Returns the flags without metadata that the file systems cannot hold, where nothing else failed.
    func reduced(after output: String) -> TreeFlags? {
        var flags = RsyncFlags()
        (flags.accessControlLists, flags.extendedAttributes) = (accessControlLists, extendedAttributes)
        guard let less = MoverExit.unsupported(in: output, flags: flags) else { return nil }
        var reduced = self
        (reduced.accessControlLists, reduced.extendedAttributes) = (less.accessControlLists, less.extendedAttributes)
        return reduced
    }
}
