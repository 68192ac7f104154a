#!/bin/sh
# Puts the copy in the place of the database. The app must not run. What stood there is kept beside it as DATABASE.before.
# usage: restore.sh WORKSPACE_FOLDER DATABASE
set -eu
cd "$1"
database="$2"
copy="backup/$(basename "$database")"

[ "$(sqlite3 "$copy" 'PRAGMA integrity_check')" = ok ]
for part in "" -wal -shm -journal; do
  if [ -e "$database$part" ]; then mv "$database$part" "$database.before$part"; fi
done
cp -p "$copy" "$database.new"
sync "$database.new"
mv "$database.new" "$database"
