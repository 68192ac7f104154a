#!/bin/sh
# nginx with TLS in front of node-daemon, in the foreground.
#   start.sh FOLDER LISTEN BEHIND [NAME]
# FOLDER  where its configuration and certificate are put
# LISTEN  its own host and port, such as 0.0.0.0:443
# BEHIND  host and port of the front door, such as 127.0.0.1:9480
# NAME    the host name that users type; localhost unless it is said
# A certificate.pem and key.pem that lie in FOLDER are used; else it makes its own, which browsers warn of.
set -eu
folder=$1 listen=$2 behind=$3 name=${4:-localhost}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if [ ! -e "$folder/certificate.pem" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$name" \
    -addext "subjectAltName=DNS:$name,IP:127.0.0.1" -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>"$folder/openssl.log"
fi
here=$(cd "$(dirname "$0")" && pwd)
sed -e "s|@FOLDER@|$folder|g" -e "s|@LISTEN@|$listen|g" -e "s|@BEHIND@|$behind|g" "$here/nginx.conf" >"$folder/nginx.conf"
exec nginx -e "$folder/error.log" -p "$folder" -c "$folder/nginx.conf"
