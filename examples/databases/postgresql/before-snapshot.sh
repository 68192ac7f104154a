#!/bin/sh
# Waits until all that is committed now stands in the workspace's copy of the log, and holds the copy still while it is read:
# after-snapshot.sh lets it go on. The server does not notice. Leaves workspaces without a copy alone.
# Connects as PGHOST, PGPORT, PGUSER … say. node-daemon runs it in the workspace's folder and ends it when it takes too long.
set -eu
slot="${SLOT:-node_daemon}"
here="$(dirname "$0")"
[ -d postgresql ] || exit 0
if [ -z "$(ls -d postgresql/base-* 2>/dev/null | grep -v '\.new$')" ]; then
  echo "there is no base backup yet: run base-backup.sh" >&2
  exit 1
fi

# Where a snapshot was cut short, it may still be held.
"$here/after-snapshot.sh"
now="$(psql -XAtc 'SELECT pg_current_wal_flush_lsn()')"
until [ "$(psql -XAtc "SELECT restart_lsn >= '$now' FROM pg_replication_slots WHERE slot_name = '$slot' AND active")" = t ]; do
  echo "waiting for receive-wal.sh to have the log up to $now"
  sleep 0.1
done
"$here/after-snapshot.sh" STOP
