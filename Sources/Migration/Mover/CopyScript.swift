/// The script around rsync, for a POSIX shell with the programs of busybox or GNU: it shows how far the copy is.
///
/// rsync's own arguments follow a `--`, so that nothing has to be quoted.
enum CopyScript {
    enum Mode: String {
        /// Runs rsync, and prints a line of its `--info=progress2` at most once a second, while it happens:
        ///
        ///     44,302,336  42%   21.11MB/s    0:00:02 (xfr#169, to-chk=1234/1404)
        ///
        /// That is: bytes transferred, how much of all that is, bytes a second, the time left (from the start, at the
        /// end), files transferred, and how many of all entries are yet to be looked at. It is `ir-chk` for as long as
        /// rsync has not seen all of them, and the bracket is missing while a file is on its way. A line that was cut is
        /// possible. What rsync says last, its statistics, follows whole.
        case copy
        /// Runs rsync, and prints all it says.
        case verbose
    }

    static func command(_ mode: Mode, _ rsync: [String]) -> [String] {
        ["sh", "-c", text, "sh", mode.rawValue, "--"] + rsync
    }

    /// True where a container could not start because its image has no shell, in the words of runc and of crun.
    static func lacksShell(_ words: String) -> Bool {
        words.contains("executable file not found in $PATH") && words.contains("exec: \"sh\"")
            || words.contains("executable file `sh` not found")
    }

    /// rsync ends its lines of progress with carriage returns, one for each file, and a log passes lines on only with
    /// their newline. Nothing that a shell does keeps up with that many, and `tr` alone writes when its buffer is full: so
    /// each second's output goes to a file, of which the last line is shown. What fails here only costs the progress.
    static let text = #"""
        set -u
        mode=$1; shift 2
        shown() {
          # The second is writable where the image's own files are not.
          work=$(mktemp -d 2>/dev/null || mktemp -d -p /dev/shm 2>/dev/null) &&
            [ "$(echo x | timeout -s KILL 9 cat 2>/dev/null)" = x ] || { rsync "$@"; return; }
          { rsync --info=progress2 "$@"; echo $? >"$work/code"; } | {
            cd "$work" && : >before
            until timeout -s KILL 1 cat >now; do
              tr '\r' '\n' <now | tail -n 1 | grep %
              mv now before
            done
            cat before now | tr '\r' '\n' | tail -n 40
          } 2>/dev/null
          code=137
          read -r code <"$work/code"; rm -r "$work"
          return "$code"
        }
        case $mode in
          copy) shown "$@" ;;
          verbose) exec rsync "$@" ;;
        esac
        """#
}
