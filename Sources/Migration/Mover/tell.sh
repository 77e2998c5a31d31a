# shellcheck shell=sh
# Tells a mover that stands what to do, and prints how that ended. Its arguments: the number of the command, and the command
# itself; nothing where the mover is only to stay. A command that was told before is not performed again, but asked for.
set -u
number=$1 command=$2 reply=reply.$$
cd /work && { [ -p words ] || mkfifo words 2>/dev/null || [ -p words ]; } && exec 8<>words || exit
rm -f "$reply" && mkfifo "$reply" && exec 9<>"$reply" || exit
if [ "$command" ] && [ ! -e "$number.command" ]; then
  printf '%s\n' "$command" >"new.$$" && mv "new.$$" "$number.command" || exit
fi
echo "$number $reply" >&8
# An answer may be one to somebody else who had this reply's name.
until read -r _ <&9 && { [ -z "$command" ] || [ -e "$number.code" ]; }; do :; done
rm "$reply"
[ "$command" ] || exit 0
echo "$number $(cat "$number.code") $(wc -c <"$number.output")"
cat "$number.output"
