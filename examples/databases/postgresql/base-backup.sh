#!/bin/sh
# A new base backup in the workspace. The one before it stays, so that every snapshot has a whole one; what is older goes,
# with the log from before it.
# usage: base-backup.sh WORKSPACE_FOLDER      connects as PGHOST, PGPORT, PGUSER … say
set -eu
# One name a line, whatever stands in it.
IFS='
'
mkdir -p "$1/postgresql/wal"
cd "$1/postgresql"

new="base-$(date -u +%Y%m%dT%H%M%S.%NZ)"
rm -rf base-*.new
pg_basebackup --pgdata="$new.new" --checkpoint=fast --wal-method=stream
# Durable by now. A name without .new stands for a whole base.
mv "$new.new" "$new"

for old in $(ls -d base-* | head -n -2); do rm -rf "$old"; done

oldest="$(ls -d base-* | head -n 1)"
first="$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "$oldest/backup_label")"
[ -n "$first" ]
# Names of the log sort in the order of time.
for segment in $(ls wal | grep -v history | LC_ALL=C awk -v first="$first" '$0 "" < first ""'); do rm -f "wal/$segment"; done
