#!/bin/sh
# Leaves a whole copy of an SQLite database in backup/, of a moment at which no transaction was half done.
# usage: before-snapshot.sh DATABASE      a file of the workspace, such as app.db; workspaces without it are left alone
# node-daemon runs it in the workspace's folder and ends it when it takes too long.
set -eu
database="$1"
[ -e "$database" ] || exit 0
copy="backup/$(basename "$database")"

mkdir -p backup
rm -f "$copy.new"
sqlite3 -bail "$database" '.timeout 30000' ".backup '$copy.new'"
# Where nothing has changed, nothing is touched: the snapshot is then as the one before.
if cmp -s "$copy.new" "$copy"; then
  rm "$copy.new"
else
  mv "$copy.new" "$copy"
fi
