#!/usr/bin/env bash
# A coordinator and two instances on one machine, without the demo: an invite, a user, a file in, a drain, the file out.
# usage: examples/one-machine.sh [FOLDER]        with node-daemon on the PATH, or NODE_DAEMON=/path/to/main.js
set -euo pipefail

nd="${NODE_DAEMON:-node-daemon}"
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1; }
wait_for() { # FILE WORD
  for _ in $(seq 300); do grep -q "$2" "$1" 2>/dev/null && return; sleep 0.1; done
  echo "no '$2' in $1" >&2
  cat "$1" >&2
  exit 1
}

folder="${1:-$(mktemp -d)}"
mkdir -p "$folder"
children=()
# The instances end before the coordinator into which they drain.
end() { for ((i = ${#children[@]} - 1; i >= 0; i--)); do kill "${children[i]}" 2>/dev/null && wait "${children[i]}" || true; done; }
trap end EXIT

"$nd" coordinator --data "$folder/main" --listen /ip4/127.0.0.1/tcp/0 --http 127.0.0.1:0 --admin 127.0.0.1:0 --json \
  >"$folder/main.out" 2>"$folder/main.log" &
children+=($!)
wait_for "$folder/main.out" '"ready"'
http="$(field http <"$folder/main.out")"

invite="$("$nd" invite --uses 2 --data "$folder/main" --json | field link)"
for name in alpha beta; do
  "$nd" join "$invite" --name "$name" --data "$folder/$name" --json >"$folder/$name.out" 2>"$folder/$name.log" &
  children+=($!)
done
for name in alpha beta; do wait_for "$folder/$name.out" '"serving"'; done

token="$("$nd" users add ada --data "$folder/main" --json | field token)"
echo "written once" | curl -sS -f -T - -H "Authorization: Bearer $token" "$http/note.txt"

home="$("$nd" workspaces ls --data "$folder/main" --json | field homeName)"
echo "ada's home is $home; it drains"
"$nd" drain --data "$folder/$home"
"$nd" receipts verify "$folder/$home"/certificates/*.json

echo "read back: $(curl -sS -f -H "Authorization: Bearer $token" "$http/note.txt")"
