#!/usr/bin/env python3
"""Records golden captures: see README.md beside this file."""

import datetime
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE = 20.0


class Recorder:
    """A proxy for one connection to `port` that notes what passes."""

    def __init__(self, port):
        self.target = port
        self.operations = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        client, _ = self.listener.accept()
        self.listener.close()
        server = socket.create_connection(("127.0.0.1", self.target))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = threading.Thread(target=self.pump, args=(client, server, "request"), daemon=True)
        up.start()
        self.pump(server, client, "response")
        up.join(DEADLINE)

    def pump(self, source, sink, direction):
        try:
            while data := source.recv(65536):
                with self.lock:
                    self.operations.append([direction, data.decode("latin-1")])
                    sink.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.operations.append(["end", direction])
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


def version(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0]


def curl(recorder, *arguments):
    base = f"http://127.0.0.1:{recorder.port}"
    command = ["curl", "-sS", "--max-time", "10", *(a.replace("BASE", base) for a in arguments)]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=DEADLINE)


def node_client(script):
    def run(recorder, work):
        subprocess.run(["node", "-e", script, str(recorder.port)], check=True, timeout=DEADLINE)
    return run


# ---- servers: each takes (work directory, port) and returns a command -------------------------------------------

def python_server(work, port):
    (work / "index.html").write_text("hello\n")
    return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(work), str(port)]


def nginx_server(work, port):
    (work / "small.txt").write_text("hello\n")
    (work / "users").mkdir()
    for name in ("1", "2", "3"):
        (work / "users" / name).write_text(f"user {name}\n")
    (work / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {work}/pid; error_log stderr;
        events {{}}
        http {{ access_log off; server_tokens on; server {{ listen 127.0.0.1:{port}; root {work};
            location /teapot {{ return 418; }} }} }}""")
    return ["nginx", "-p", str(work), "-c", str(work / "nginx.conf")]


def php_server(work, port):
    (work / "index.php").write_text('<?php header("X-A: b"); echo str_repeat("php ", 20), $_POST["name"] ?? "";')
    return ["php", "-S", f"127.0.0.1:{port}", "-t", str(work)]


NODE_SERVER = """
const http = require('http');
const server = http.createServer((q, s) => {
  let n = 0;
  q.on('data', d => n += d.length);
  q.on('end', () => {
    if (q.url.startsWith('/stream')) {
      s.writeHead(200, {Trailer: 'X-Sum', 'Content-Type': 'text/plain'});
      s.write('first '); s.write('second ');
      setTimeout(() => { s.addTrailers({'X-Sum': '42'}); s.end('third'); }, 30);
    } else if (q.url.startsWith('/hints')) {
      s.writeEarlyHints({link: '</a.css>; rel=preload'});
      setTimeout(() => s.end('hinted'), 20);
    } else if (q.url.startsWith('/fail')) { s.statusCode = 500; s.end('no');
    } else if (q.url.startsWith('/break')) { s.writeHead(200, {'Content-Length': 100}); s.write('half'); setTimeout(() => q.socket.destroy(), 30);
    } else { s.setHeader('Content-Length', 3); s.end('ok\\n'); }
  });
});
server.on('upgrade', (q, sock) => { sock.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n'); sock.pipe(sock); });
server.on('connect', (q, sock) => { sock.write('HTTP/1.1 200 Connection Established\\r\\n\\r\\n'); sock.once('data', () => sock.end('HTTP/1.1 204 No Content\\r\\n\\r\\n')); });
server.listen(+process.argv[1], '127.0.0.1');
"""


def node_server(work, port):
    return ["node", "-e", NODE_SERVER, str(port)]


JAVA_SERVER = """
import com.sun.net.httpserver.*; import java.net.*;
public class Server { public static void main(String[] a) throws Exception {
  HttpServer s = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(a[0])), 0);
  s.createContext("/", x -> { x.getRequestBody().readAllBytes(); byte[] b = "from java".getBytes();
    if (x.getRequestURI().getPath().equals("/chunked")) x.sendResponseHeaders(201, 0); else x.sendResponseHeaders(200, b.length);
    x.getResponseBody().write(b); x.close(); });
  s.start(); } }
"""
JAVA_CLIENT = """
import java.net.*; import java.net.http.*;
public class Client { public static void main(String[] a) throws Exception {
  HttpClient c = HttpClient.newHttpClient(); URI base = URI.create("http://127.0.0.1:" + a[0]);
  c.send(HttpRequest.newBuilder(base.resolve("/orders/17?key=v")).build(), HttpResponse.BodyHandlers.ofString());
  c.send(HttpRequest.newBuilder(base.resolve("/chunked")).POST(HttpRequest.BodyPublishers.ofInputStream(
    () -> new java.io.ByteArrayInputStream("streamed".getBytes()))).build(), HttpResponse.BodyHandlers.ofString()); } }
"""


def java_server(work, port):
    (work / "Server.java").write_text(JAVA_SERVER)
    return ["java", str(work / "Server.java"), str(port)]


def java_client(recorder, work):
    (work / "Client.java").write_text(JAVA_CLIENT)
    subprocess.run(["java", str(work / "Client.java"), str(recorder.port)], check=True, timeout=60)


# ---- clients ---------------------------------------------------------------------------------------------------

def requests_client(recorder, work):
    import requests
    with requests.Session() as session:
        base = f"http://127.0.0.1:{recorder.port}"
        first = session.get(f"{base}/small.txt")
        session.get(f"{base}/small.txt", headers={"If-None-Match": first.headers["ETag"]})
        session.head(f"{base}/users/1")
        session.delete(f"{base}/users/2")
        session.get(f"{base}/missing/3f2504e0-4f89-11d3-9a0c-0305e82c3301")


def http_client_streams(recorder, work):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", recorder.port)
    for path in ("/upload/1", "/fail"):
        connection.request("POST", path, body=iter([b"one ", b"two ", b"three"]), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        connection.getresponse().read()
    connection.close()


def pipelining_client(recorder, work):
    """A bare socket: no common client library pipelines any more."""
    with socket.create_connection(("127.0.0.1", recorder.port)) as sock:
        sock.sendall(b"".join(b"GET /users/%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in (1, 2, 9, 3)))
        time.sleep(0.2)
        sock.sendall(b"HEAD /small.txt HTTP/1.1\r\nHost: h\r\n\r\nGET /teapot HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        while sock.recv(65536):
            pass


NODE_KEEPALIVE = """
const http = require('http'), agent = new http.Agent({keepAlive: true, maxSockets: 1});
const call = (path, method, body) => new Promise(done => { const q = http.request({port: process.argv[1], host: '127.0.0.1',
  path, method, agent}, s => { s.resume(); s.on('end', done); }); if (body) { q.write(body); setTimeout(() => q.end(body), 20); } else q.end(); });
(async () => { await call('/a', 'GET'); await call('/stream/7', 'POST', 'some body '); await call('/hints', 'GET'); await call('/fail?x=1', 'PUT', 'x'); agent.destroy(); })();
"""
NODE_UPGRADE = """
const http = require('http');
http.get({port: process.argv[1], host: '127.0.0.1', path: '/echo', headers: {Connection: 'Upgrade', Upgrade: 'echo'}})
  .on('upgrade', (s, sock) => { sock.write('ping'); sock.once('data', () => sock.end()); });
"""
NODE_BREAK = """
const http = require('http');
http.get({port: process.argv[1], host: '127.0.0.1', path: '/break'}, s => { s.resume(); s.on('error', () => {}); }).on('error', () => {});
"""

UPLOAD = "x" * 2000
SCENARIOS = {
    # name: (client, its version, server, its version, exchanges, leaves)
    "curl-python": (
        lambda r, w: curl(r, "BASE/index.html"), "curl", python_server, "python", ["GET /index.html 200"], False),
    "curl-http10-python": (
        lambda r, w: curl(r, "--http1.0", "BASE/"), "curl", python_server, "python", ["GET / 200"], False),
    "curl-keepalive-node": (
        lambda r, w: curl(r, "BASE/items/1", "BASE/items/2", "-X", "PURGE"), "curl", node_server, "node",
        ["HTTP /items/{id} 200", "HTTP /items/{id} 200"], False),
    "curl-expect-node": (
        lambda r, w: curl(r, "-H", "Expect: 100-continue", "-d", UPLOAD, "BASE/up"), "curl", node_server, "node",
        ["POST /up 200"], False),
    "curl-php": (
        lambda r, w: curl(r, "-d", "name=wire", "BASE/index.php?a=b"), "curl", php_server, "php",
        ["POST /index.php 200"], False),
    "curl-connect-node": (
        lambda r, w: curl(r, "-p", "-x", "BASE", "http://nowhere.test/inside"), "curl", node_server, "node",
        ["CONNECT 200"], True),
    "requests-nginx": (
        requests_client, "requests", nginx_server, "nginx",
        ["GET /small.txt 200", "GET /small.txt 304", "HEAD /users/{id} 200", "DELETE /users/{id} 405",
         "GET /missing/{uuid} 404"], False),
    "httpclient-chunked-node": (
        http_client_streams, "python", node_server, "node",
        ["POST /upload/{id} 200", "POST /fail 500 error 500"], False),
    "pipelined-nginx": (
        pipelining_client, "python", nginx_server, "nginx",
        ["GET /users/{id} 200", "GET /users/{id} 200", "GET /users/{id} 404", "GET /users/{id} 200",
         "HEAD /small.txt 200", "GET /teapot 418"], False),
    "node-node": (
        node_client(NODE_KEEPALIVE), "node", node_server, "node",
        ["GET /a 200", "POST /stream/{id} 200", "GET /hints 200", "PUT /fail 500 error 500"], False),
    "node-upgrade-node": (node_client(NODE_UPGRADE), "node", node_server, "node", ["GET /echo 101"], True),
    "node-broken-node": (
        node_client(NODE_BREAK), "node", node_server, "node", ["GET /break 200 error connection_closed"], False),
    "java-java": (
        java_client, "java", java_server, "java", ["GET /orders/{id} 200", "POST /chunked 201"], False),
}
VERSIONS = {
    "curl": lambda: version("curl", "--version"),
    "python": lambda: "Python " + sys.version.split()[0],
    "requests": lambda: "requests " + __import__("requests").__version__,
    "nginx": lambda: version("nginx", "-v").replace("nginx version: ", ""),
    "node": lambda: "Node " + version("node", "--version"),
    "php": lambda: version("php", "--version"),
    "java": lambda: version("java", "--version"),
}


def record(name, scenario, folder):
    client, client_name, server, server_name, exchanges, leaves = scenario
    with tempfile.TemporaryDirectory() as directory:
        work, port = pathlib.Path(directory), free_port()
        process = subprocess.Popen(server(work, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=work)
        try:
            wait_for(port)
            recorder = Recorder(port)
            client(recorder, work)
            recorder.thread.join(DEADLINE)
        finally:
            process.terminate()
            process.wait()
    capture = {
        "client": VERSIONS[client_name](), "server": VERSIONS[server_name](),
        "recorded": datetime.date.today().isoformat(), "leaves": leaves, "exchanges": exchanges,
        "operations": recorder.operations,
    }
    text = json.dumps(capture, indent=1).replace("[\n   ", "[").replace(",\n   ", ", ").replace("\n  ]", "]")
    (HERE / folder / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(recorder.operations)} operations", flush=True)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SCENARIOS:
        programs = [p for p in SCENARIOS[wanted][1::2][:2] if p not in ("python", "requests")]
        missing = [p for p in programs if not shutil.which(p)]
        if missing:
            print(f"{wanted}: skipped, there is no {' and no '.join(missing)}")
            continue
        record(wanted, SCENARIOS[wanted], "http1")
