#!/bin/sh
# A new base in the workspace. The one before it stays, so that every snapshot has a whole one; what is older goes, with the
# log from before it.
# usage: base-backup.sh WORKSPACE_FOLDER [OPTIONS OF mariadb …]      such as --defaults-extra-file=… (first) or --socket=…
set -eu
# One name a line, whatever stands in it.
IFS='
'
mkdir -p "$1/mariadb/binlog"
cd "$1/mariadb"
shift

new="base-$(date -u +%Y%m%dT%H%M%S.%NZ).sql"
rm -f base-*.new
# --master-data: says in a comment where in the log it stands.
mariadb-dump "$@" --all-databases --single-transaction --routines --events --master-data=2 --result-file="$new.new"
tail -n 1 "$new.new" | grep -q '^-- Dump completed'
sync "$new.new"
mv "$new.new" "$new"

for old in $(ls base-*.sql | head -n -2); do rm -f "$old"; done

oldest="$(ls base-*.sql | head -n 1)"
first="$(sed -n "s/^-- CHANGE MASTER TO MASTER_LOG_FILE='\([^']*\)'.*/\1/p" "$oldest" | head -n 1)"
[ -n "$first" ]
# Names of the log sort in the order of time.
for file in $(ls binlog | LC_ALL=C awk -v first="$first" '$0 "" < first ""'); do rm -f "binlog/$file"; done
