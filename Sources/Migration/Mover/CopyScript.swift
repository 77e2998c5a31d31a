/// The script around rsync, `copy.sh`. It shows the progress of the copy.
///
/// rsync's own arguments follow a `--`, so nothing has to be quoted.
enum CopyScript {
    enum Mode: String {
        /// Only runs rsync.
        case plain
        /// Compares with a volume that other nodes may have written to.
        case compare
        /// Copies a source that nobody writes to. A check follows that finds what copiers left out.
        case copy
        /// Copies like `copy`, without a check that follows: rsync looks at everything once more.
        case unchecked
        /// Copies while the source is written to. A later copy finds everything that this one may have missed.
        ///
        /// rsync takes a file of the same size and time for unchanged. A file that is written to while it is copied can
        /// keep its time: when the clock has not ticked, or through a mapping. A mapping sets the time when a page is
        /// first written, and again only after that page was flushed. So the source is flushed first; a served source
        /// is flushed by its server. Afterwards every copied file whose time is later than a few moments before that
        /// gets a time that fits no file. Until that is done, a stamp at the destination holds the moment; for a copy
        /// of a stand-in the caller names the moment. The clocks of nodes and storage must agree within two seconds. A
        /// writer that sets times back is not noticed.
        case pass
    }

    /// The part of rsync's output that is shown.
    enum Output: String {
        /// At most once a second a line of its `--info=progress2`, as it happens:
        ///
        ///     44,302,336  42%   21.11MB/s    0:00:02 (xfr#169, to-chk=1234/1404)
        ///
        /// The fields are: transferred bytes, their share of all, bytes a second, the time left (at the end: the time
        /// taken), transferred files, and the entries still to be looked at, of all entries. The last field is `ir-chk`
        /// until rsync has seen all entries. The bracket is missing while a file is being transferred. A line may be
        /// cut. The statistics, which rsync prints last, follow whole.
        case progress
        case all
    }

    /// - Parameter streams: The number of copiers that fill an empty destination side by side before rsync runs; `auto`
    ///   for eight.
    /// - Parameter moment: The moment since which a pass may miss writes, in seconds since 1970; nil for its beginning.
    static func command(
        _ mode: Mode,
        _ output: Output,
        streams: String,
        since moment: Int? = nil,
        _ rsync: [String]
    ) -> [String] {
        ["sh", "-c", text, "sh", mode.rawValue, output.rawValue, streams, moment.map(String.init) ?? "", "--"] + rsync
    }

    /// The name of the stamp, also in the script. No file of anybody has it. A mover that cannot settle the pass must
    /// not delete it.
    static let stamp = ".pvmigrate-unsettled-4f9c1d7ab2e6"

    /// Returns true where a container could not start because its image has no shell.
    static func lacksShell(_ words: String) -> Bool { lacks("sh", words) }

    /// Returns true where something could not be run because the image has no such program, in the words of runc and of crun.
    static func lacks(_ program: String, _ words: String) -> Bool {
        words.contains("executable file not found in $PATH") && words.contains("exec: \"\(program)\"")
            || words.contains("executable file `\(program)` not found")
    }

    static let text = MoverScript.text(PackageResources.copy_sh)

    // MARK: Standing

    /// The command line of a mover that stands.
    static let standing = ["sh", "-c", text, "sh", "stand", "\(StandingMover.idle.components.seconds)"]

    /// Returns the command line that tells a standing mover a command.
    ///
    /// - Parameter call: The command; nil to have it stay.
    static func telling(_ number: Int, _ call: String?) -> [String] {
        ["sh", "-c", tellText, "sh", "\(number)", call ?? ""]
    }

    static let tellText = MoverScript.text(PackageResources.tell_sh)

    /// Returns the call of the script's function that does what a command line of the script does.
    static func call(_ command: [String]) -> String {
        // The first four start the script.
        (["perform"] + command.dropFirst(4).map(quoted)).joined(separator: " ")
    }

    private static func quoted(_ word: String) -> String { "'\(word.replacing("'", with: #"'\''"#))'" }
}
