#!/bin/bash
# Fills an empty MariaDB server, which runs already, from what a workspace holds. The workspace is only read.
# usage: restore.sh WORKSPACE_FOLDER [OPTIONS OF mariadb …]
set -euo pipefail
cd "$1/mariadb"
shift

base="$(ls base-*.sql | tail -n 1)"
master="$(grep -m 1 '^-- CHANGE MASTER TO' "$base")"
file="$(sed "s/.*MASTER_LOG_FILE='\([^']*\)'.*/\1/" <<<"$master")"
position="$(sed 's/.*MASTER_LOG_POS=\([0-9]*\).*/\1/' <<<"$master")"
later=()
for log in binlog/*; do
  if [[ ! "$(basename "$log")" < "$file" ]]; then later+=("$log"); fi
done
if [ "${#later[@]}" -eq 0 ] || [ "$(basename "${later[0]}")" != "$file" ]; then
  echo "the log from $file on is missing" >&2
  exit 1
fi
# Only the end of the newest file may be torn: it was still being written.
for log in "${later[@]::${#later[@]}-1}"; do mariadb-binlog "$log" >/dev/null; done

mariadb "$@" <"$base"
# The start position counts for the first of the files.
{ mariadb-binlog --start-position="$position" "${later[@]}" || echo "-- the log ends here"; } | mariadb "$@"
mariadb "$@" -e 'FLUSH PRIVILEGES'
