#!/bin/bash
# Runs in the guest (xtask/src/vm/smoke.rs): one request through nginx to Python, under the agent given as $1.
# Prints what the agent said in sections that begin with "==". Ports are fixed: the guest is alone.
set -u
agent=$1
home=$(mktemp -d)
cd "$home" || exit 1
mkdir site && echo hello >site/page

# Waits until "$@" succeeds; emulation is slow, so the deadline is far away.
await() {
    local deadline=$((SECONDS + 120))
    until "$@"; do
        if [ $SECONDS -ge $deadline ]; then
            echo "== failure"
            echo "waited 120 s for: $*"
            report
            exit 1
        fi
        sleep 0.2
    done
}

report() {
    echo "== log"
    cat agent.log 2>/dev/null
    echo "== spans"
    cat spans 2>/dev/null
}

cat >nginx.conf <<'CONF'
daemon off;
user root;
pid nginx.pid;
error_log stderr;
worker_processes 1;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:8080;
        location / { proxy_pass http://127.0.0.1:8081; }
    }
}
CONF
/usr/bin/python3 -m http.server 8081 --bind 127.0.0.1 --directory site >python.log 2>&1 &
nginx -p "$home" -c nginx.conf >nginx.log 2>&1 &
await curl -fs -o /dev/null http://127.0.0.1:8080/page

"$agent" --output json >spans 2>agent.log &
pid=$!
is_tracing() { grep -q tracing agent.log || ! kill -0 $pid 2>/dev/null; }
await is_tracing

curl -fs -o /dev/null "http://127.0.0.1:8080/page"
has_spans() { [ "$(grep -c /page spans)" -ge 4 ] || ! kill -0 $pid 2>/dev/null; }
await has_spans
if ! kill -0 $pid 2>/dev/null; then
    echo "== failure"
    echo "the agent ended by itself"
    report
    exit 1
fi

before=$(date +%s%N)
kill -TERM $pid
wait $pid
status=$?
echo "== stopped"
echo "$status $((($(date +%s%N) - before) / 1000000))"
report
echo "== doctor"
"$agent" doctor --output json 2>doctor.log
status=$?
echo "== doctor-status"
echo $status
cat doctor.log
