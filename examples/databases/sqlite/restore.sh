#!/bin/sh
# Puts the copy in the place of the database. The app must not run. What stood there is kept beside it as DATABASE.before.
# usage: restore.sh WORKSPACE_FOLDER DATABASE
set -eu
refuse() {
  echo "$1" >&2
  exit 1
}
if [ "$#" -ne 2 ]; then
  echo "usage: restore.sh WORKSPACE_FOLDER DATABASE" >&2
  exit 2
fi
cd "$1"
database="$2"
copy="backup/$(basename "$database")"

[ -s "$copy" ] || refuse "there is no copy at $1/$copy: nothing was changed"
[ "$(sqlite3 -readonly "$copy" 'PRAGMA integrity_check')" = ok ] || refuse "$1/$copy is damaged: nothing was changed"
for part in "" -wal -shm -journal; do
  if [ -e "$database.before$part" ]; then
    refuse "$1/$database.before$part is there from a restore before: move it away first; nothing was changed"
  fi
done

cp -p "$copy" "$database.new"
sync "$database.new"
for part in "" -wal -shm -journal; do
  if [ -e "$database$part" ]; then mv "$database$part" "$database.before$part"; fi
done
mv "$database.new" "$database"
