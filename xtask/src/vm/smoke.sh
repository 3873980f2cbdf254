#!/bin/bash
# Runs in the guest (xtask/src/vm/smoke.rs): one request through nginx to Python, and one to nginx by TLS, under the agent given as $1.
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
    echo "== sealed-log"
    cat sealed.log 2>/dev/null
    echo "== sealed"
    cat sealed 2>/dev/null
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout key.pem -out cert.pem \
    -subj /CN=localhost 2>openssl.log || cat openssl.log
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
    server {
        listen 127.0.0.1:8443 ssl;
        ssl_protocols TLSv1.3;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        location / { return 200 sealed; }
    }
}
CONF
/usr/bin/python3 -m http.server 8081 --bind 127.0.0.1 --directory site >python.log 2>&1 &
nginx -p "$home" -c nginx.conf >nginx.log 2>&1 &
await curl -fs -o /dev/null http://127.0.0.1:8080/page

"$agent" --output json >spans 2>agent.log &
pid=$!
# Whether "$@" succeeds, or the agent has ended.
or_ended() {
    "$@" || ! kill -0 $pid 2>/dev/null
}
must_run() {
    if ! kill -0 $pid 2>/dev/null; then
        echo "== failure"
        echo "the agent ended by itself"
        report
        exit 1
    fi
}
await or_ended grep -q tracing agent.log

curl -fs -o /dev/null "http://127.0.0.1:8080/page"
has_spans() { [ "$(grep -c /page spans)" -ge 4 ]; }
await or_ended has_spans
must_run

# Asks by TLS, once the library is read by the agent that logs to $1, and waits for both ends in $2.
ask_sealed() {
    await or_ended grep -q "a TLS library is read from now on" "$1"
    curl -fsk -o /dev/null "https://127.0.0.1:8443/sealed"
    has_both() { [ "$(grep -c /sealed "$2")" -ge 2 ]; }
    await or_ended has_both "$@"
    must_run
}
# Before Linux 6.11 probes need what the agent gives up: there, it is another one that keeps it.
probes_in_sandbox() { [ "$(printf '6.11\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.11 ]; }
if probes_in_sandbox; then
    ask_sealed agent.log spans
fi

before=$(date +%s%N)
kill -TERM $pid
wait $pid
status=$?
echo "== stopped"
echo "$status $((($(date +%s%N) - before) / 1000000))"
if probes_in_sandbox; then
    grep /sealed spans >sealed
else
    "$agent" --sandbox off --output json >sealed 2>sealed.log &
    pid=$!
    ask_sealed sealed.log sealed
    kill -TERM $pid
    wait $pid
fi
report
echo "== doctor"
"$agent" doctor --output json 2>doctor.log
status=$?
echo "== doctor-status"
echo $status
cat doctor.log
