# shellcheck shell=sh
# The script around rsync, for a POSIX shell with the programs of busybox or GNU: it shows how far the copy is. Its arguments:
# mode, output, streams, since (CopyScript.swift says what they mean), and after a `--` those of rsync; or `stand` and the
# seconds after which it ends when nobody tells it anything.
set -u
stamp=/dest/.pvmigrate-unsettled-4f9c1d7ab2e6
# rsync ends its lines of progress with carriage returns, one for each file, and a log passes lines on only with their
# newline. Nothing that a shell does keeps up with that many, and `tr` alone writes when its buffer is full: so each second's
# output goes to a file, of which the last line is shown. What fails here only costs the progress.
run() {
  # The second is writable where the image's own files are not.
  if [ "$output" != progress ] || ! work=$(mktemp -d 2>/dev/null || mktemp -d -p /dev/shm 2>/dev/null) ||
    [ "$(echo x | timeout -s KILL 9 cat 2>/dev/null)" != x ]; then rsync "$@"; return; fi
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
isEmpty() {
  [ -z "$(find /dest -mindepth 1 -maxdepth 1 ! -name lost+found ! -name "${stamp##*/}" | head -n 1)" ]
}
# A node remembers for up to a minute what files of a network file system looked like, though another one has
# written to them since; to open a file is to ask again. That costs two requests a file, eight at a time.
refresh() {
  for tree; do
    [ -d "$tree" ] || continue
    case $(stat -f -c %T "$tree" 2>/dev/null) in ext* | xfs | btrfs | zfs | f2fs | tmpfs | overlay*) continue ;; esac
    # shellcheck disable=SC2016 # The inner shell expands it.
    opened='for file; do true <"$file"; done'
    if echo | xargs -0 -r -P 2 true; then find "$tree" -type f -print0 | xargs -0 -r -n 500 -P 8 sh -c "$opened" sh
    else find "$tree" -type f -exec sh -c "$opened" sh {} +; fi
  done 2>/dev/null
}
# Fills an empty destination, several copiers at once, each with a part of the tree. What they leave out rsync copies:
# files with several names, and whatever is no file. What was cut off has no time of its source yet. Ends with 9 where
# it does nothing.
fill() (
  export LC_ALL=C
  failed=0
  [ "$streams" = 1 ] || [ -z "$(find /source -maxdepth 0 -links +0)" ] || ! echo | xargs -0 -r -P 2 true && exit 9
  isEmpty || exit 9
  # Also of few processors: each file of a cold cache is waited for.
  [ "$streams" != auto ] || streams=8
  each() { count=$1; shift; xargs -0 -r -n "$count" -P "$streams" "$@"; }
  cd /source && find . -type d -print0 | (cd /dest && xargs -0 -r mkdir -p) || exit 1
  # Of 16 MiB and more, one by one.
  large() { find . -type f -links 1 -size +32767 -print0; }
  case $(cp --version 2>/dev/null) in
    *GNU*)
      large | each 1 cp -a --parents -t /dest || failed=1
      # Of whole directories, each name of a file would become a file, for which there may be no room.
      if [ "$(find . -type f -links +1 | head -c 1)" ]; then
        find . -type f -links 1 ! -size +32767 -print0 | each 500 cp -a --parents -t /dest || failed=1
        exit "$failed"
      fi
      # The first level that has enough directories to share them out; and the files above it.
      level=1
      while
        count=$(find . -mindepth $level -maxdepth $level -type d -print0 | tr -cd '\0' | wc -c)
        [ "$count" -lt $((streams * 8)) ] && [ $level -lt 4 ]
      do
        level=$((level + 1))
      done
      find . -mindepth $level -maxdepth $level -type d -print0 |
        each $((count / streams / 16 + 1)) cp -au --parents -t /dest || failed=1
      find . -maxdepth $((level - 1)) -type d -exec sh -c '
        streams=$1 failed=0; shift
        for folder; do
          find "$folder" -maxdepth 1 -type f -links 1 -print0 |
            xargs -0 -r -n 500 -P "$streams" cp -au -t "/dest/$folder" || failed=1
        done
        exit "$failed"' sh "$streams" {} + || failed=1 ;;
    *)
      # The cp of others keeps neither holes nor whole times.
      case $archive in *X*) labels="--filter=-x security.selinux" ;; *) labels=--numeric-ids ;; esac
      export archive labels
      # With -W, sparse files are cut to nothing before they are written, and what was cut ext4 writes to the disk when it
      # is closed: one by one.
      # shellcheck disable=SC2016 # The inner shell expands it.
      some='printf "%s\0" "$@" | rsync "$archive" "$labels" --no-W --numeric-ids --inplace --no-implied-dirs \
        --omit-dir-times --modify-window=-1 --ignore-missing-args --files-from=- --from0 ./ /dest'
      large | each 1 sh -c "$some" sh || failed=1
      find . -type f -links 1 ! -size +32767 -print0 | each 1000 sh -c "$some" sh || failed=1 ;;
  esac
  exit "$failed"
)
# Runs rsync on what is listed, which may be gone a moment later while others write.
some() {
  for word; do
    shift
    # Nothing else is to be deleted, and statistics would be those of a part.
    case $word in --delete | --stats) ;; *) set -- "$@" "$word" ;; esac
  done
  run --files-from=- --from0 --ignore-missing-args "$@"
}
# Copies what copiers leave out. Whether that was all, the check says: for rsync to look at each file twice would take
# as long as to copy them.
rest() { (cd /source && find . \( ! -type f -o -links +1 \) -print0) | some "$@"; }
# rsync writes a changed file beside the old one. Of those for which there may be no room twice, the old one is written
# over; not where it has several names, which may be different files by now. One that is cut off has no time of its
# source yet. What fails here fails again.
overwrite() (
  left=$(df -Pk /dest | tail -n 1 | tr -s ' ')
  left=${left%\%*} left=${left% *} left=${left##* }
  large() { find . -type f -links 1 -size +$((left / 2)) -print0; }
  cd /dest && [ "$left" -ge 0 ] 2>/dev/null && [ "$(large | head -c 1)" ] && large | some --existing --inplace "$@"
)
# Shows how far that is, in lines of the same look; du is not to take more than a tenth of the time.
measure() {
  # What goes on when nobody measures any more must not hold the output open.
  exec 2>/dev/null
  pause=1
  while sleep "$pause" >/dev/null; do
    began=$(date +%s)
    : "${total:=$(du -sk /source | cut -f 1)}"
    now=$(du -sk /dest | cut -f 1)
    pause=$((1 + 9 * ($(date +%s) - began)))
    [ "$total" -gt 0 ] || continue
    [ "$now" -le "$total" ] || continue
    echo "$((now * 1024)) $((now * 100 / total))% 0.00kB/s 0:00:00"
  done
}
copy() {
  isEmpty || overwrite "$@"
  meter=
  [ "$output" != progress ] || { measure & meter=$!; }
  told=$({ fill 2>&1; echo "=$?"; } | grep -v -e ': No such file or directory$' -e '^file has vanished: ' \
    -e '^rsync warning: some files vanished' -e 'as it was replaced while being copied$' | tail -n 20)
  filled=${told##*=}
  # While others write, files vanish, and no more than that need have failed; the next copy sees what is missing.
  [ "$mode:$told" != pass:=1 ] || filled=0
  # SIGKILL, since whoever starts a container may have blocked the others; `wait` needs one of those.
  [ -z "$meter" ] || kill -9 "$meter"
  case $filled:$mode in
    9:* | 0:unchecked) run "$@" ;;
    0:*) rest "$@" ;;
    # Where a copier failed, at the end of a file even, rsync compares contents.
    *) run --checksum "$@" ;;
  esac
}
# What is copied has to outlive its node: the source may be freed moments after the swap.
flush() {
  sync -f /dest 2>/dev/null && return
  # One that doesn't know of file systems can't fail.
  ! sync -f /proc 2>/dev/null && sync && return
  echo "copy: what was copied cannot be flushed to the volume" >&2
  return 11
}
settle() {
  find /dest -type f -newer "$stamp" -exec touch -c -d @1234567 {} + && rm "$stamp" && return
  echo "copy: cannot mark what was copied while it was written to" >&2
  return 23
}
perform() {
  mode=$1 output=$2 streams=$3 since=$4; shift 5
  archive=$1
  case $mode in
    plain) exec rsync "$@" ;;
    compare)
      refresh /source /dest
      exec rsync "$@" ;;
    copy | unchecked)
      [ ! -e "$stamp" ] || settle || exit
      # What is to be copied is opened anyway.
      isEmpty || refresh /source /dest
      copy "$@"
      code=$?
      flush && exit "$code" ;;
    pass)
      touch -d "@${since:-$(($(date +%s) - 2))}" "$stamp.new" || exit 23
      # The earlier of two: one is there where a pass was cut off.
      if [ -e "$stamp" ] && [ -z "$(find "$stamp" -newer "$stamp.new")" ]; then rm "$stamp.new"
      else mv "$stamp.new" "$stamp"; fi || exit 23
      [ ! -d /source ] || sync -f /source 2>/dev/null || sync
      copy "--filter=P /${stamp##*/}" "--filter=H /${stamp##*/}" "$@"
      code=$?
      settle && flush || exit
      [ "$code" -eq 24 ] || exit "$code" ;;
  esac
}
# Waits for the words of tell.sh, and performs each command once, one after the other. What a command prints goes to the
# container's log, and its end to a file, which tell.sh reads.
stand() {
  for program in cat date find mkfifo mv rm sleep tail tee touch wc; do
    command -v "$program" >/dev/null || { echo "copy: $program is not in the image"; exit 127; }
  done
  start=$PWD
  cd /work && { [ -p words ] || mkfifo words 2>/dev/null || [ -p words ]; } && mkfifo output && exec 8<>words || exit
  # The first process of a container ignores signals that it does not handle.
  trap 'exit 143' TERM
  told=0
  while { sleep "$1"; echo "end $told" 1<>words; } & read -r number reply <&8; do
    if [ "$number" = end ]; then
      [ "$reply" != "$told" ] || exit 0
      continue
    fi
    told=$((told + 1))
    if [ -e "$number.command" ] && [ ! -e "$number.code" ]; then
      rm -f code
      # shellcheck disable=SC1090 # It is one call of `perform`.
      { (cd "$start" && . "/work/$number.command") 2>&1; echo $? >/work/code; } | tee output &
      # Its end is that of all before it. `wait` would need signals that whoever starts a container may have blocked.
      tail -n 1000 <output >"$number.output"
      [ -e code ] || echo 137 >code
      mv code "$number.code"
    fi
    # Nobody may be left to read it.
    echo ended 1<>"$reply"
  done
}
case $1 in
  stand) stand "$2" ;;
  *) perform "$@" ;;
esac
