#!/bin/sh
# Leaves a whole copy of an SQLite database in backup/, of a moment at which no transaction was half done.
# usage: before-snapshot.sh DATABASE      a file of the workspace, such as app.db; workspaces without it are left alone
# The copy is made in TMPDIR (/var/tmp) first: where nothing has changed, nothing in the workspace is touched, and the snapshot
# is as the one before. node-daemon runs it in the workspace's folder and ends it when it takes too long.
set -eu
if [ "$#" -ne 1 ]; then
  echo "usage: before-snapshot.sh DATABASE" >&2
  exit 2
fi
database="$1"
[ -e "$database" ] || exit 0
copy="backup/$(basename "$database")"

# What of the header says what is in the file; the rest of it counts its changes.
header() { od -An -v -tx1 -j28 -N64 "$1"; }
# Only to open a database that nobody has open would make files beside it, and remove them again.
if [ -e "$copy" ] && [ ! -e "$database-wal" ] && [ ! -e "$database-journal" ]; then
  if cmp -s -i 100 "$database" "$copy" && [ "$(header "$database")" = "$(header "$copy")" ]; then exit 0; fi
fi

name="node-daemon-sqlite-${WORKSPACE_ID:-$$}"
scratch="${TMPDIR:-/var/tmp}"
# Of a run that was ended: there is never more than one of a workspace.
find "$scratch" -maxdepth 1 -type d -user "$(id -u)" -name "$name.*" -exec rm -rf {} +
own="$(mktemp -d "$scratch/$name.XXXXXXXX")"
trap 'rm -rf "$own"' EXIT

sqlite3 -bail "$database" '.timeout 30000' ".backup '$own/copy'"
if ! cmp -s "$own/copy" "$copy"; then
  mkdir -p backup
  cp "$own/copy" "$copy.new"
  mv "$copy.new" "$copy"
fi
