#!/bin/bash
# Runs php-fpm ($1) and nginx on the configurations in folder $2, and ends both when either ends or SIGTERM comes.
"$1" -R -F -y "$2/fpm.conf" &
fpm=$!
nginx -e stderr -p "$2" -c "$2/nginx.conf" &
nginx=$!
trap 'kill $fpm $nginx 2>/dev/null' EXIT
trap 'exit 0' TERM INT
wait -n $fpm $nginx
exit 1
