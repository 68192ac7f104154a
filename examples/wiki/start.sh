#!/bin/sh
# Runs DokuWiki, as Debian installs it, on the files of one workspace. usage: start.sh PORT
set -eu
umask 022
dir=$NODE_DAEMON_DIR
here=$(dirname "$0")

for name in attic index media media_attic media_meta meta pages; do mkdir -p "$dir/data/$name"; done
mkdir -p "$dir/conf" /tmp/cache /tmp/locks /tmp/tmp /tmp/log
[ -e "$dir/conf/local.php" ] || cp "$here/local.php" "$dir/conf/local.php"

export PHP_CLI_SERVER_WORKERS=4
exec php -d session.save_path=/tmp -S "127.0.0.1:$1" -t /usr/share/dokuwiki "$here/router.php"
