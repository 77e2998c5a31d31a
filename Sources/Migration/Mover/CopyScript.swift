/// The script around rsync, for a POSIX shell with the programs of busybox or GNU: it shows how far the copy is.
///
/// rsync's own arguments follow a `--`, so that nothing has to be quoted.
enum CopyScript {
    enum Mode: String {
        /// Only runs rsync.
        case plain
        /// The copy of a source that nobody writes to.
        case copy
        /// A copy while the source is written to, after which a later copy finds all that this one may have missed.
        ///
        /// rsync takes a file for unchanged that has the same size and time. One that is written to while it is copied
        /// can keep its time: when the clock hasn't ticked, and through a mapping, whose time is set when a page of it is
        /// first written, and again only after that page was flushed. So first of all the source is flushed (where it is
        /// served, by who serves it); and afterwards each copy whose time is of the last moments before that, or later,
        /// gets one that fits no file. A stamp at the destination says since when, until that is done. The clocks of
        /// nodes and storage have to agree within two seconds; and a writer that sets times back is not seen.
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

    static func command(_ mode: Mode, _ output: Output, _ rsync: [String]) -> [String] {
        ["sh", "-c", text, "sh", mode.rawValue, output.rawValue, "--"] + rsync
    }

    /// The name of the stamp: no file of anybody's. It must not be deleted by who can't settle what it stands for.
    static let stamp = ".pvmigrate-unsettled-4f9c1d7ab2e6"

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
        mode=$1 output=$2 stamp=/dest/\#(stamp); shift 3
        run() {
          # The second is writable where the image's own files are not.
          [ "$output" = progress ] && work=$(mktemp -d 2>/dev/null || mktemp -d -p /dev/shm 2>/dev/null) &&
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
        settle() {
          find /dest -type f -newer "$stamp" -exec touch -c -d @1234567 {} + && rm "$stamp" && return
          echo "copy: cannot mark what was copied while it was written to" >&2
          return 23
        }
        case $mode in
          plain) exec rsync "$@" ;;
          copy)
            [ ! -e "$stamp" ] || settle || exit
            run "$@" ;;
          pass)
            [ -e "$stamp" ] || touch -d "@$(($(date +%s) - 2))" "$stamp" || exit 23
            [ ! -d /source ] || sync -f /source 2>/dev/null || sync
            run "--filter=P /${stamp##*/}" "--filter=H /${stamp##*/}" "$@"
            code=$?
            settle || exit
            [ "$code" -eq 24 ] || exit "$code" ;;
        esac
        """#
}
