#!/usr/bin/env python3
"""Records golden captures of FastCGI, uwsgi and SCGI: see README.md beside this file."""

import datetime
import glob
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import textwrap

from record import DEADLINE, HERE, Recorder, free_port, version, wait_for

SCRIPT = """<?php
$path = strtok($_SERVER['REQUEST_URI'], '?');
switch (explode('/', $path)[1]) {
case 'items': header('X-A: b'); echo "an item\\n"; break;
case 'echo': echo strlen(file_get_contents('php://input')), "\\n"; break;
case 'large': echo str_repeat('large ', 20000); break;
case 'go': header('Location: /items/1'); break;
case 'gone': http_response_code(404); echo 'no'; break;
case 'warn': error_log('it was "s3cret"'); echo 'warned'; break;
case 'fail': throw new RuntimeException("no such 'order' 7");
case 'stream': echo 'first '; flush(); usleep(30000); echo 'second'; break;
case 'die': echo 'half'; flush(); usleep(30000); posix_kill(getmypid(), 9); break;
case 'close': echo 'done'; fastcgi_finish_request(); usleep(10000); break;
}
"""
APPLICATION = """
def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if path.startswith("/fail"):
        raise RuntimeError("no")
    status = "404 Not Found" if path.startswith("/gone") else "200 OK"
    answer = b"large " * 20000 if path.startswith("/large") else b"got %d" % len(body)
    head = [("Content-Type", "text/plain")]
    if not path.startswith("/stream"):
        head.append(("Content-Length", str(len(answer))))
    start_response(status, head)
    return [answer[:3], answer[3:]]
"""
VARIABLES = ["REQUEST_METHOD $request_method", "REQUEST_URI $request_uri", "QUERY_STRING $query_string", "CONTENT_TYPE $content_type",
             "CONTENT_LENGTH $content_length", "PATH_INFO $document_uri", "SERVER_PROTOCOL $server_protocol", "REQUEST_SCHEME $scheme",
             "REMOTE_ADDR $remote_addr", "SERVER_NAME $server_name", "SERVER_PORT $server_port", "SCRIPT_FILENAME @"]


def php_fpm(work, port):
    (work / "script.php").write_text(SCRIPT)
    (work / "fpm.conf").write_text(textwrap.dedent(f"""
        [global]
        error_log = {work}/fpm.log
        daemonize = no
        [www]
        user = root
        group = root
        listen = 127.0.0.1:{port}
        pm = static
        pm.max_children = 1
        catch_workers_output = no
        """))
    program = max(glob.glob("/usr/sbin/php-fpm*"))
    return [program, "-n", "-R", "-F", "-d", "log_errors=1", "-d", "display_errors=0", "-d", "extension=posix", "-y", str(work / "fpm.conf")]


def uwsgi(protocol):
    def server(work, port):
        (work / "application.py").write_text(APPLICATION)
        return ["uwsgi", "--plugins", "python3", f"--{protocol}-socket", f"127.0.0.1:{port}", "--wsgi-file", str(work / "application.py"),
                "--processes", "1", "--die-on-term"]
    return server


def nginx(kind, keep):
    """nginx that passes all to `port` by `kind`, over one connection if `keep`."""
    def front(work, port):
        own = free_port()
        lines = "".join(f"{kind}_param {v.replace('@', str(work / 'script.php')) if v.endswith(' @') else v};\n" for v in VARIABLES)
        keeping = ("keepalive 1;", "fastcgi_keep_conn on;") if keep else ("", "")
        (work / "nginx.conf").write_text(f"""
            daemon off; master_process off; pid {work}/pid; error_log {work}/error.log;
            events {{}}
            http {{ access_log off; client_body_temp_path {work}/b; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;
                scgi_temp_path {work}/s; proxy_temp_path {work}/p;
                upstream app {{ server 127.0.0.1:{port}; {keeping[0]} }}
                server {{ listen 127.0.0.1:{own}; server_name shop.test; {keeping[1]}
                    location / {{ {kind}_pass app; {lines} }} }} }}""")
        return own, ["nginx", "-p", str(work), "-c", str(work / "nginx.conf")]
    return front


def apache(work, port):
    own = free_port()
    modules = "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n"
                      for m in ("mpm_event", "authz_core", "proxy", "proxy_fcgi"))
    (work / "apache.conf").write_text(f"""
ServerName shop.test
Listen 127.0.0.1:{own}
PidFile {work}/httpd.pid
ErrorLog {work}/error.log
{modules}
ProxyPass / fcgi://127.0.0.1:{port}{work}/script.php/ enablereuse=on max=1
""")
    return own, ["apache2", "-X", "-d", str(work), "-f", str(work / "apache.conf")]


def curl(base, *arguments):
    command = ["curl", "-sS", "--max-time", "10", "-H", "User-Agent: curl", *(a.replace("BASE", base) for a in arguments)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE)


def calls(*all_of_them):
    def run(base):
        for arguments in all_of_them:
            curl(base, *arguments)
    return run


TRACED = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
COOKIE = "Cookie: c=" + "x" * 6000
ALL = calls(["BASE/items/1?key=v"], ["-d", "some=body", "BASE/echo"], ["BASE/go"], ["BASE/gone/7"], ["BASE/warn"], ["BASE/fail"],
            ["-X", "PURGE", "BASE/items/3"], ["BASE/stream"], ["BASE/close"], ["-I", "BASE/items/2"])
ALL_OF_THEM = ["GET /items/{id} 200", "POST /echo 200", "GET /go 302", "GET /gone/{id} 404", "GET /warn 200",
               "GET /fail 500 error 500", "HTTP /items/{id} 200", "GET /stream 200", "GET /close 200", "HEAD /items/{id} 200"]
SCENARIOS = {
    # folder/name: (front, its name, server, its name, what is asked, exchanges)
    "fastcgi/nginx-php": (nginx("fastcgi", False), "nginx", php_fpm, "php-fpm", calls(["-H", TRACED, "BASE/items/1?a=b"]),
                          ["GET /items/{id} 200"]),
    "fastcgi/nginx-php-keep": (nginx("fastcgi", True), "nginx", php_fpm, "php-fpm", ALL, ALL_OF_THEM),
    "fastcgi/nginx-php-cookies": (nginx("fastcgi", True), "nginx", php_fpm, "php-fpm",
                                  calls(["-H", COOKIE, "BASE/items/1"], ["-H", COOKIE, "BASE/items/2"]),
                                  ["GET /items/{id} 200", "GET /items/{id} 200"]),
    "fastcgi/nginx-php-large": (nginx("fastcgi", True), "nginx", php_fpm, "php-fpm",
                                calls(["BASE/large"], ["-d", "x" * 20000, "BASE/echo"]), ["GET /large 200", "POST /echo 200"]),
    "fastcgi/nginx-php-dies": (nginx("fastcgi", False), "nginx", php_fpm, "php-fpm", calls(["BASE/die"]),
                               ["GET /die 200 error connection_closed"]),
    "fastcgi/apache-php": (apache, "apache", php_fpm, "php-fpm", ALL, ALL_OF_THEM),
    "uwsgi/nginx-uwsgi": (nginx("uwsgi", False), "nginx", uwsgi("uwsgi"), "uwsgi", calls(["-H", TRACED, "BASE/items/1?a=b"]),
                          ["GET /items/{id} 200"]),
    "uwsgi/nginx-uwsgi-post": (nginx("uwsgi", False), "nginx", uwsgi("uwsgi"), "uwsgi", calls(["-d", "x" * 9000, "BASE/echo"]),
                               ["POST /echo 200"]),
    "uwsgi/nginx-uwsgi-gone": (nginx("uwsgi", False), "nginx", uwsgi("uwsgi"), "uwsgi", calls(["BASE/gone/7"]), ["GET /gone/{id} 404"]),
    "uwsgi/nginx-uwsgi-fail": (nginx("uwsgi", False), "nginx", uwsgi("uwsgi"), "uwsgi", calls(["BASE/fail"]),
                               ["GET /fail error connection_closed"]),
    "uwsgi/nginx-uwsgi-large": (nginx("uwsgi", False), "nginx", uwsgi("uwsgi"), "uwsgi", calls(["BASE/large"]), ["GET /large 200"]),
    "uwsgi/nginx-uwsgi-stream": (nginx("uwsgi", False), "nginx", uwsgi("uwsgi"), "uwsgi", calls(["BASE/stream"]), ["GET /stream 200"]),
    "scgi/nginx-uwsgi": (nginx("scgi", False), "nginx", uwsgi("scgi"), "uwsgi", calls(["-H", TRACED, "BASE/items/1?a=b"]),
                         ["GET /items/{id} 200"]),
    "scgi/nginx-uwsgi-post": (nginx("scgi", False), "nginx", uwsgi("scgi"), "uwsgi", calls(["-d", "x" * 9000, "BASE/echo"]),
                              ["POST /echo 200"]),
    "scgi/nginx-uwsgi-gone": (nginx("scgi", False), "nginx", uwsgi("scgi"), "uwsgi", calls(["BASE/gone/7"]), ["GET /gone/{id} 404"]),
    "scgi/nginx-uwsgi-large": (nginx("scgi", False), "nginx", uwsgi("scgi"), "uwsgi", calls(["BASE/large"]), ["GET /large 200"]),
}
VERSIONS = {
    "nginx": lambda: version("nginx", "-v").replace("nginx version: ", ""),
    "apache": lambda: version("apache2", "-v").replace("Server version: ", ""),
    "php-fpm": lambda: version(max(glob.glob("/usr/sbin/php-fpm*")), "-v"),
    "uwsgi": lambda: "uWSGI " + version("uwsgi", "--version"),
}


def record(path, scenario):
    front, front_name, server, server_name, ask, exchanges = scenario
    with tempfile.TemporaryDirectory() as directory:
        work, port, started = pathlib.Path(directory), free_port(), []

        def start(command):
            started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=work))
        try:
            start(server(work, port))
            wait_for(port)
            recorder = Recorder(port)
            own, command = front(work, recorder.port)
            start(command)
            wait_for(own)
            ask(f"http://127.0.0.1:{own}")
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()
        recorder.thread.join(DEADLINE)
    capture = {
        "client": VERSIONS[front_name](), "server": VERSIONS[server_name](), "recorded": datetime.date.today().isoformat(),
        "leaves": False, "exchanges": exchanges, "operations": recorder.operations,
    }
    text = json.dumps(capture, indent=1).replace("[\n   ", "[").replace(",\n   ", ", ").replace("\n  ]", "]")
    target = HERE / f"{path}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(text + "\n")
    print(f"{path}: {len(recorder.operations)} operations", flush=True)


if __name__ == "__main__":
    for prefix in sys.argv[1:] or [""]:
        for wanted in [path for path in SCENARIOS if path.startswith(prefix)]:
            record(wanted, SCENARIOS[wanted])
