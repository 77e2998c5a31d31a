/// The script around rsync, `copy.sh`: it shows how far the copy is.
///
/// rsync's own arguments follow a `--`, so that nothing has to be quoted.
enum CopyScript {
    enum Mode: String {
        /// Only runs rsync.
        case plain
        /// Compares what other nodes may have written to.
        case compare
        /// The copy of a source that nobody writes to, before a check that finds what copiers have left out.
        case copy
        /// The same where no check follows: rsync looks at everything once more.
        case unchecked
        /// A copy while the source is written to, after which a later copy finds all that this one may have missed.
        ///
        /// rsync takes a file for unchanged that has the same size and time. One that is written to while it is copied
        /// can keep its time: when the clock hasn't ticked, and through a mapping, whose time is set when a page of it is
        /// first written, and again only after that page was flushed. So first of all the source is flushed (where it is
        /// served, by who serves it); and afterwards each copy whose time is of the last moments before that, or later,
        /// gets one that fits no file. A stamp at the destination says since when, until that is done; it is told for a
        /// copy of the source, such as a snapshot. The clocks of nodes and storage have to agree within two seconds; and a
        /// writer that sets times back is not seen.
        case pass
    }

    /// What is shown of rsync's output.
    enum Output: String {
        /// At most once a second a line of its `--info=progress2`, while it happens:
        ///
        ///     44,302,336  42%   21.11MB/s    0:00:02 (xfr#169, to-chk=1234/1404)
        ///
        /// That is: bytes transferred, how much of all that is, bytes a second, the time left (from the start, at the
        /// end), files transferred, and how many of all entries are yet to be looked at. It is `ir-chk` for as long as
        /// rsync has not seen all of them, and the bracket is missing while a file is on its way. A line that was cut is
        /// possible. What rsync says last, its statistics, follows whole.
        case progress
        case all
    }

    /// - Parameter streams: how many copiers fill an empty destination side by side before rsync runs; `auto` for as many
    ///   as there are processors, from 2 to 8.
    /// - Parameter moment: since when a pass may miss what was written, in seconds since 1970; nil for its beginning.
    static func command(
        _ mode: Mode,
        _ output: Output,
        streams: String,
        since moment: Int? = nil,
        _ rsync: [String]
    ) -> [String] {
        ["sh", "-c", text, "sh", mode.rawValue, output.rawValue, streams, moment.map(String.init) ?? "", "--"] + rsync
    }

    /// The name of the stamp, as it stands in the script: no file of anybody's. It must not be deleted by who can't settle
    /// what it stands for.
    static let stamp = ".pvmigrate-unsettled-4f9c1d7ab2e6"

    /// True where a container could not start because its image has no shell, in the words of runc and of crun.
    static func lacksShell(_ words: String) -> Bool {
        words.contains("executable file not found in $PATH") && words.contains("exec: \"sh\"")
            || words.contains("executable file `sh` not found")
    }

    static let text = MoverScript.text(PackageResources.copy_sh)
}
