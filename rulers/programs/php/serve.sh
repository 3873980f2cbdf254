#!/bin/sh
# Runs php-fpm ($1) and nginx on the configurations in $2, and ends both when either ends or SIGTERM comes.
trap 'kill $fpm $nginx 2>/dev/null; wait; exit 0' TERM INT
"$1" -R -F -y "$2/fpm.conf" &
fpm=$!
nginx -e stderr -p "$2" -c "$2/nginx.conf" &
nginx=$!
while kill -0 $fpm 2>/dev/null && kill -0 $nginx 2>/dev/null; do
    sleep 1 &
    wait $!
done
kill $fpm $nginx 2>/dev/null
wait
exit 1
