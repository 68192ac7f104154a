#!/bin/sh
# Writes the server's log into the workspace as it comes, for as long as it runs: let systemd start it again when it ends.
# usage: receive-wal.sh WORKSPACE_FOLDER      connects as PGHOST, PGPORT, PGUSER … say
set -eu
slot="${SLOT:-node_daemon}"
mkdir -p "$1/postgresql/wal"
pg_receivewal --slot="$slot" --create-slot --if-not-exists
echo $$ >"${RECEIVER_PID:-/run/node-daemon-receive-wal.pid}"
exec pg_receivewal --directory="$1/postgresql/wal" --slot="$slot" --synchronous --no-loop
