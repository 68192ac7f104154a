#!/bin/sh
# Waits until all that is committed now stands in the workspace's copy of the log. Leaves workspaces without one alone.
# usage: before-snapshot.sh [OPTIONS OF mariadb …]
# node-daemon runs it in the workspace's folder and ends it when it takes too long.
set -eu
[ -d mariadb ] || exit 0
if [ -z "$(ls mariadb/base-*.sql 2>/dev/null)" ]; then
  echo "there is no base yet: run base-backup.sh" >&2
  exit 1
fi

now="$(mariadb "$@" --skip-column-names --batch -e 'SHOW MASTER STATUS')"
file="$(echo "$now" | cut -f 1)"
position="$(echo "$now" | cut -f 2)"
until [ "$(stat -c %s "mariadb/binlog/$file" 2>/dev/null || echo 0)" -ge "$position" ]; do
  echo "waiting for receive-binlog.sh to have $file up to $position"
  sleep 0.1
done
