#!/bin/sh
# Makes a data folder for PostgreSQL from what a workspace holds. The workspace is only read.
# usage: restore.sh WORKSPACE_FOLDER NEW_DATA_FOLDER     then start a server on it: it replays the log by itself
set -eu
from="$1/postgresql"
data="$2"
base="$(ls -d "$from"/base-* | grep -v '\.new$' | tail -n 1)"

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
