#!/bin/sh
# Writes the server's binary log into the workspace as it comes, for as long as it runs: let systemd start it again when it ends.
# usage: receive-binlog.sh WORKSPACE_FOLDER [OPTIONS OF mariadb …]
set -eu
mkdir -p "$1/mariadb/binlog"
cd "$1/mariadb/binlog"
shift

# The newest file that is here is fetched once more from its start; at first, the one that the server writes now.
first="$(ls | tail -n 1)"
if [ -z "$first" ]; then first="$(mariadb "$@" --skip-column-names --batch -e 'SHOW MASTER STATUS' | cut -f 1)"; fi
exec mariadb-binlog "$@" --read-from-remote-server --raw --stop-never \
  --stop-never-slave-server-id="${SERVER_ID:-947000}" --result-file=./ "$first"
