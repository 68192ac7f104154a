#!/bin/bash
# Fills an empty MariaDB server, which runs already, from what a workspace holds. The workspace is only read.
# usage: restore.sh WORKSPACE_FOLDER [OPTIONS OF mariadb …]
set -euo pipefail
refuse() {
  echo "$1: nothing was done" >&2
  exit 1
}
if [ "$#" -eq 0 ]; then
  echo "usage: restore.sh WORKSPACE_FOLDER [OPTIONS OF mariadb …]" >&2
  exit 2
fi
cd "$1/mariadb"
shift

base="$(ls base-*.sql 2>/dev/null | tail -n 1 || true)"
[ -n "$base" ] || refuse "there is no base in $PWD"
tail -n 1 "$base" | grep -q '^-- Dump completed' || refuse "$base is not whole"
master="$(grep -m 1 '^-- CHANGE MASTER TO' "$base")" || refuse "$base does not say where in the log it stands"
file="$(sed "s/.*MASTER_LOG_FILE='\([^']*\)'.*/\1/" <<<"$master")"
position="$(sed 's/.*MASTER_LOG_POS=\([0-9]*\).*/\1/' <<<"$master")"
later=()
for log in binlog/*; do
  if [[ ! "$(basename "$log")" < "$file" ]]; then later+=("$log"); fi
done
if [ "${#later[@]}" -eq 0 ] || [ "$(basename "${later[0]}")" != "$file" ]; then
  refuse "the log from $file on is missing"
fi
# Only the end of the newest file may be torn: it was still being written.
for log in "${later[@]::${#later[@]}-1}"; do mariadb-binlog "$log" >/dev/null; done
own="'mysql', 'sys', 'information_schema', 'performance_schema'"
tables="SELECT count(*) FROM information_schema.tables WHERE table_schema NOT IN ($own)"
[ "$(mariadb "$@" --skip-column-names --batch -e "$tables")" = 0 ] || refuse "the server is not empty: it has tables already"

mariadb "$@" <"$base"
# The start position counts for the first of the files.
{ mariadb-binlog --start-position="$position" "${later[@]}" || echo "-- the log ends here"; } | mariadb "$@"
mariadb "$@" -e 'FLUSH PRIVILEGES'
