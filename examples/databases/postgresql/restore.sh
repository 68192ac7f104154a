#!/bin/sh
# Makes a data folder for PostgreSQL from what a workspace holds. The workspace is only read.
# usage: restore.sh WORKSPACE_FOLDER NEW_DATA_FOLDER     then start a server on it: it replays the log by itself
set -eu
refuse() {
  echo "$1: nothing was done" >&2
  exit 1
}
if [ "$#" -ne 2 ]; then
  echo "usage: restore.sh WORKSPACE_FOLDER NEW_DATA_FOLDER" >&2
  exit 2
fi
from="$1/postgresql"
data="$2"
base="$(ls -d "$from"/base-* 2>/dev/null | grep -v '\.new$' | tail -n 1)"
[ -n "$base" ] || refuse "there is no base backup in $from"
[ -s "$base/backup_label" ] || refuse "$base is not whole"
first="$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "$base/backup_label")"
[ -e "$from/wal/$first" ] || [ -e "$from/wal/$first.partial" ] || refuse "the log from $first on is missing in $from/wal"
if [ -e "$data" ]; then refuse "$data is there already: name a new folder, or move it away"; fi

mkdir -m 700 "$data"
cp -a "$base/." "$data/"
mkdir "$data/received-wal"
cp -a "$from/wal/." "$data/received-wal/"
# The newest segment was still being written.
for partial in "$data"/received-wal/*.partial; do
  if [ -e "$partial" ]; then mv "$partial" "${partial%.partial}"; fi
done

echo "restore_command = 'cp \"received-wal/%f\" \"%p\"'" >>"$data/postgresql.auto.conf"
touch "$data/recovery.signal"
if [ "$(id -u)" -eq 0 ]; then chown -R "${OWNER:-postgres}:" "$data"; fi
