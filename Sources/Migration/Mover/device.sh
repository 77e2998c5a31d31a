# shellcheck shell=sh
# The copy of a block device, for a POSIX shell with the programs of busybox or GNU. Its argument: try, copy or check.
set -u
piece=4194304
fail() { code=$1; shift; echo "device: $*"; exit "$code"; }
# Neither busybox nor POSIX can tell a device's size; a byte is there or not. Devices refuse to seek beyond their end, as what
# would be written to, where some `dd` then read all that is before it, byte by byte.
has() {
  dd if=/dev/null bs=1 seek="$2" count=0 1<"$1" && [ "$(dd if="$1" bs=1 skip="$2" count=1 | wc -c)" -eq 1 ]
} 2>/dev/null
size() {
  low=0 high=$piece
  while has "$1" "$high"; do low=$((high + 1)) high=$((high * 2)); done
  while [ "$low" -lt "$high" ]; do
    middle=$(((low + high) / 2))
    if has "$1" "$middle"; then low=$((middle + 1)); else high=$middle; fi
  done
  echo "$low"
}
for program in sh dd cmp head wc sha256sum; do
  command -v "$program" >/dev/null || fail 127 "$program is not in the image"
done
# Held open, so that what is written is not flushed piece by piece.
case $1 in
  try) exec 9<>/dest; [ "$(size /dest)" -gt 0 ] || fail 65 "/dest holds nothing, or can't be read"; exit ;;
  copy) exec 8</source 9<>/dest ;;
  check) exec 8</source 9</dest ;;
esac
source=$(size /source) dest=$(size /dest)
[ "$source" -gt 0 ] || fail 65 "/source holds nothing, or can't be read"
if [ "$1" = check ]; then
  # What a smaller destination lacks counts as zeros.
  shared=$source
  [ "$dest" -ge "$source" ] || shared=$dest
  # Both sums at once: they are of different disks, and there are several processors.
  { head -c "$shared" /dest && head -c $((source - shared)) /dev/zero || echo failed; } | sha256sum | {
    sum=$(sha256sum </source) || fail 66 "/source can't be read to its end"
    read -r other _
    echo "size $source"; echo "source ${sum%% *}"; echo "dest $other"
  }
  exit
fi
[ "$dest" -ge "$source" ] || fail 67 "the destination has $dest bytes, the source $source"
i=0 written=0
while [ $((i * piece)) -lt "$source" ]; do
  length=$((source - i * piece))
  [ "$length" -lt "$piece" ] || length=$piece
  if ! dd if=/source bs=$piece skip=$i count=1 2>/dev/null | {
    dd if=/dest bs=$piece skip=$i count=1 2>/dev/null | head -c "$length" | cmp -s - /proc/self/fd/3
  } 3<&0; then
    said=$(dd if=/source of=/dest bs=$piece skip=$i seek=$i count=1 conv=notrunc 2>&1) || fail 66 "$said"
    written=$((written + length))
  fi
  i=$((i + 1))
  [ $((i % 64)) -ne 0 ] || echo "$((i * 4)) of $((source >> 20)) MiB compared, $((written >> 20)) MiB written"
done
said=$(dd if=/dev/null of=/dest conv=notrunc,fsync 2>&1) || fail 66 "$said"
echo "size $source"; echo "written $written"
