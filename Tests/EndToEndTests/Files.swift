/// What the tests' pods do: fill their volumes once, and print what is in them at each start.
///
/// For a POSIX shell with busybox's programs, or those of a whole system.
enum Files {
    /// The script of every pod. `APP` names the pod's own directory in each of the `VOLUMES`; where `STAYS` is set it
    /// runs until it is told to stop.
    static let script = #"""
        set -eu
        export LC_ALL=C
        umask 022

        fill() (
          mkdir "$1"; cd "$1"
          echo "written by $HOSTNAME into $1" > plain
          dd if=/dev/urandom of=random bs=1024 count=300 2>/dev/null
          : > empty
          : > "$(printf '%0251d' 0).txt"
          echo umlaut > 'Grüße aus 東京.txt'
          echo quote > ' "quoted" and $HOME '\''s'
          echo dash > ./-rf
          echo latin > "$(printf 'caf\351')"
          dd if=/dev/zero of=sparse bs=1 count=1 seek=33554431 2>/dev/null
          mkdir -p deep/er/and/deep/er private shared none
          echo one > hard; ln hard deep/hard-too; ln hard deep/er/hard-three
          ln -s plain link; ln -s ../nowhere deep/dangling; ln -s /data/plain absolute; ln -s deep link-to-deep
          mkfifo fifo
          # Only root may give files away, and a sandbox without root has nobody to give them to.
          if chown 1234:5678 plain 2>/dev/null; then
            chown 65534:65534 deep/er; chown -h 99:99 link; chown 4294967:1 hard
          else
            echo "owners cannot be kept here"
          fi
          chmod 4755 random; chmod 400 plain; chmod 1777 shared; chmod 2750 private; chmod 666 empty
          touch -t 197001020304.05 empty; touch -t 200102030405.06 random; touch -t 203012312359.59 sparse
          touch -t 199912312359.59 deep/er/and deep
        )

        print() (
          cd "$1"
          {
            find . ! -type d -exec stat -c '%n: %F %a %u:%g %s bytes at %Y, %h links' {} +
            find . -type d -exec stat -c '%n: %F %a %u:%g at %Y' {} +
            find . -type f -exec sha256sum {} +
            find . -type l -exec sh -c 'for link; do echo "$link -> $(readlink "$link")"; done' sh {} +
            [ hard -ef deep/hard-too ] && [ hard -ef deep/er/hard-three ] && echo 'hard is one file'
            [ "$(stat -c %b sparse)" -lt 1024 ] && echo 'sparse is sparse'
          } | sort
        )

        trap 'exit 0' TERM
        for volume in $VOLUMES; do
          # All or nothing, should the container be started twice.
          if [ ! -e "$volume/$APP" ]; then
            rm -rf "$volume/$APP.part"; fill "$volume/$APP.part"; mv "$volume/$APP.part" "$volume/$APP"
          fi
          echo "$HOSTNAME" >> "$volume/starts-of-$APP"
          echo "volume $volume"
          print "$volume/$APP"
          echo "start $(($(wc -l < "$volume/starts-of-$APP")))"
        done
        echo complete
        if [ -n "${STAYS-}" ]; then touch /tmp/ready; sleep 1000000 & wait; fi
        """#

    /// The script of a pod that writes without a pause until it is stopped: a line, and the last one in the end.
    static let writer = #"""
        set -eu
        cd "$VOLUMES"
        trap 'echo end >> lines; sync; exit 0' TERM
        if [ -e lines ]; then
          echo "volume $VOLUMES"; cat lines; echo "start $(($(grep -c '^end' lines) + 1))"; echo complete
          touch /tmp/ready; sleep 1000000 & wait
        fi
        touch /tmp/ready
        i=0
        while true; do i=$((i + 1)); echo "$i" >> lines; sleep 0.02; done
        """#

    /// The script of a pod that keeps two files which must agree: a log, each line of which is a checksum over the line
    /// before, and a page of a fixed size with the last line, which is overwritten in place. Beside them it fills a
    /// directory once. When it starts it says how many lines it has verified, or what is broken.
    static let ledger = #"""
        set -eu
        cd "$VOLUMES"
        trap 'exit 0' TERM
        next() { set -- $(printf '%s %s\n' "$1" "$2" | cksum); echo "$1"; }
        i=0 sum=0
        if [ -e log ]; then
          while read -r number found; do
            [ "$number" = $((i + 1)) ] && [ "$found" = "$(next "$number" "$sum")" ] || echo "broken: $number after $i"
            i=$number sum=$found
          done < log
          # It was stopped between the two files, perhaps before there was a page.
          number=0
          [ ! -s page ] || read -r number found < page
          [ "$number" = "$i" ] || [ "$number" = $((i - 1)) ] || echo "broken: the page says $number, the log $i"
          [ "$(cat bulk/* | cksum)" = "$(cat bulk.sum)" ] || echo "broken: the bulk"
          echo "verified $i lines"
        else
          # Its container may have been started before.
          mkdir -p bulk
          for file in 1 2 3 4 5 6 7 8; do dd if=/dev/urandom of=bulk/$file bs=65536 count=64 2>/dev/null; done
          cat bulk/* | cksum > bulk.sum
        fi
        touch /tmp/ready
        while true; do
          i=$((i + 1))
          sum=$(next "$i" "$sum")
          echo "$i $sum" >> log
          printf '%-63s\n' "$i $sum" | dd of=page conv=notrunc 2>/dev/null
        done
        """#
}

/// What a pod printed of one volume.
struct Contents: Equatable, Sendable {
    /// A line for each property of each file, sorted.
    var lines: [String] = []
    /// How often a pod was started on the volume.
    var starts = 0
}

extension Contents {
    /// Reads a pod's log: the contents of each volume, by its mount path.
    ///
    /// - Throws: `Surprise` where the pod did not come to its end.
    static func read(_ log: String) throws -> [String: Contents] {
        let lines = log.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.contains("complete") else { throw Surprise("a pod printed no whole list of its files:\n\(log)") }
        var contents: [String: Contents] = [:]
        var path = ""
        for line in lines.prefix(while: { $0 != "complete" }) {
            if line.hasPrefix("volume ") {
                path = String(line.dropFirst(7))
            } else if line.hasPrefix("start "), let count = Int(line.dropFirst(6)) {
                contents[path, default: Contents()].starts = count
            } else if !path.isEmpty {
                contents[path, default: Contents()].lines.append(line)
            }
        }
        return contents
    }
}
