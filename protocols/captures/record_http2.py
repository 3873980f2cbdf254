#!/usr/bin/env python3
"""Records golden captures of HTTP/2 and gRPC: see README.md beside this file."""

import sys
import threading
import time

import record
from record import curl, nginx_server, version

# ---- HTTP -------------------------------------------------------------------------------------------------------

HYPERCORN_APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    status = 500 if scope["path"] == "/fail" else 200
    body = b"x" * 20000 if scope["path"] == "/large" else b"%d bytes\\n" % size
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), (b"x-route", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": body})
"""


def hypercorn_server(work, port):
    (work / "served.py").write_text(HYPERCORN_APP)
    return [sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{port}", "--keep-alive", "5", "served:app"]


def nginx_http2_server(work, port):
    command = nginx_server(work, port)
    configuration = work / "nginx.conf"
    configuration.write_text(configuration.read_text().replace(f"127.0.0.1:{port};", f"127.0.0.1:{port} http2;"))
    return command


def nghttpd_server(work, port):
    for name in "ab":
        (work / name).write_text(name * 300)
    return ["nghttpd", "--no-tls", "-d", str(work), str(port)]


def h2load(*arguments):
    def run(recorder, work):
        record.subprocess.run(["h2load", *arguments, f"http://127.0.0.1:{recorder.port}/a",
                               f"http://127.0.0.1:{recorder.port}/b"], check=True, timeout=20,
                              stdout=record.subprocess.DEVNULL)
    return run


def nghttp_client(recorder, work):
    base = f"http://127.0.0.1:{recorder.port}"
    record.subprocess.run(["nghttp", "-n", *(base + path for path in ("/small.txt", "/users/1", "/users/2", "/teapot"))],
                          check=True, timeout=20, stdout=record.subprocess.DEVNULL)


def httpx_client(recorder, work):
    import httpx
    base = f"http://127.0.0.1:{recorder.port}"
    with httpx.Client(http1=False, http2=True) as client:
        client.get(f"{base}/users/1?token=secret")
        client.post(f"{base}/upload", content=b"y" * 40000)
        client.head(f"{base}/users/1")
        client.get(f"{base}/large")
        client.delete(f"{base}/fail", headers={"x-long": "z" * 3000})


NODE_SERVER = """
const http2 = require('http2');
http2.createServer({paddingStrategy: http2.constants.PADDING_STRATEGY_MAX}).on('stream', (s, h) => {
  s.on('error', () => {}); s.resume();
  const path = h[':path'];
  if (path === '/reset') return s.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  if (path === '/slow') return;
  if (path === '/continued') return s.respond({':status': 200, 'x-long': 'l'.repeat(20000)}, {endStream: true});
  if (path === '/hints') s.additionalHeaders({':status': 103, link: '</a.css>; rel=preload'});
  s.on('end', () => { s.respond({':status': path === '/teapot' ? 418 : 200}, {waitForTrailers: path === '/trailers'});
    s.on('wantTrailers', () => s.sendTrailers({'x-sum': '42'})); s.end('padded body of ' + path); });
}).listen(+process.argv[1], '127.0.0.1');
"""
NODE_CLIENT = """
const http2 = require('http2');
const session = http2.connect('http://127.0.0.1:' + process.argv[1], {paddingStrategy: http2.constants.PADDING_STRATEGY_MAX});
const call = (headers, body, cancel) => new Promise(done => {
  const s = session.request(headers, {endStream: body === undefined}); s.resume(); s.on('error', () => {}); s.on('close', done);
  if (body !== undefined) s.end(body); if (cancel) setTimeout(() => s.close(http2.constants.NGHTTP2_CANCEL), 40); });
(async () => {
  await call({':path': '/a'}); await call({':path': '/trailers', ':method': 'POST'}, 'body');
  await call({':path': '/reset'}); await call({':path': '/slow'}, undefined, true);
  await call({':path': '/hints'}); await call({':path': '/continued', 'x-long': 'r'.repeat(20000)});
  await Promise.all([1, 2, 3, 4].map(n => call({':path': '/users/' + n})));
  await call({':path': '/teapot', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'});
  session.close(); })();
"""


def node_http2_server(work, port):
    return ["node", "-e", NODE_SERVER, str(port)]


# ---- gRPC -------------------------------------------------------------------------------------------------------

GRPC_SERVER = """
import sys, time, grpc
from concurrent import futures
def one(request, context):
    if request == b"missing": context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    if request == b"break": raise RuntimeError("broken")
    if request == b"slow": time.sleep(0.5)
    return b"answer to " + request
def many(request, context):
    for n in range(5): yield b"item %d" % n
def gather(requests, context): return b"%d" % sum(1 for _ in requests)
def talk(requests, context):
    for request in requests: yield request
handlers = {"One": grpc.unary_unary_rpc_method_handler(one), "Many": grpc.unary_stream_rpc_method_handler(many),
            "Gather": grpc.stream_unary_rpc_method_handler(gather), "Talk": grpc.stream_stream_rpc_method_handler(talk)}
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Stock", handlers),))
server.add_insecure_port("127.0.0.1:" + sys.argv[1]); server.start(); server.wait_for_termination()
"""


def grpc_server(work, port):
    return [sys.executable, "-c", GRPC_SERVER, str(port)]


def ignoring(call):
    import grpc
    try:
        return call()
    except grpc.RpcError:
        return None


def grpc_calls(recorder, work):
    import grpc
    with grpc.insecure_channel(f"127.0.0.1:{recorder.port}") as channel:
        one = channel.unary_unary("/shop.v1.Stock/One")
        one(b"first", timeout=5, metadata=(("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),))
        list(channel.unary_stream("/shop.v1.Stock/Many")(b"all"))
        channel.stream_unary("/shop.v1.Stock/Gather")(iter([b"a", b"b", b"c"]))
        list(channel.stream_stream("/shop.v1.Stock/Talk")(iter([b"hello", b"there"])))
        ignoring(lambda: one(b"missing"))
        ignoring(lambda: one(b"break"))
        ignoring(lambda: channel.unary_unary("/shop.v1.Stock/None")(b"x"))
        ignoring(lambda: one(b"slow", timeout=0.2))
        time.sleep(0.6)
        stream = channel.stream_stream("/shop.v1.Stock/Talk")(iter(lambda: time.sleep(0.05) or b"on and on", None))
        next(stream)
        stream.cancel()
        time.sleep(0.1)
        one(b"z" * 20000)


def grpc_threads(recorder, work):
    import grpc
    with grpc.insecure_channel(f"127.0.0.1:{recorder.port}") as channel:
        one = channel.unary_unary("/shop.v1.Stock/One")
        one(b"first")
        threads = [threading.Thread(target=one, args=(b"number %d" % n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


AIO_SERVER = """
import asyncio, sys, grpc
async def one(request, context):
    if request == b"missing": await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    await asyncio.sleep(0.01)
    return b"answer to " + request
async def main():
    server = grpc.aio.server()
    handlers = {"One": grpc.unary_unary_rpc_method_handler(one)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Stock", handlers),))
    server.add_insecure_port("127.0.0.1:" + sys.argv[1]); await server.start(); await server.wait_for_termination()
asyncio.run(main())
"""


def grpc_aio_server(work, port):
    return [sys.executable, "-c", AIO_SERVER, str(port)]


def grpc_aio_calls(recorder, work):
    import asyncio
    import grpc

    async def main():
        async with grpc.aio.insecure_channel(f"127.0.0.1:{recorder.port}") as channel:
            one = channel.unary_unary("/shop.v1.Stock/One")
            await asyncio.gather(*(one(b"number %d" % n) for n in range(10)))
            try:
                await one(b"missing")
            except grpc.RpcError:
                pass
    asyncio.run(main())


GRPC_JS_SERVER = """
const grpc = require('@grpc/grpc-js'), same = x => x;
const method = (name, requestStream, responseStream) => ({path: '/shop.v1.Stock/' + name, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same});
const service = {one: method('One', false, false), many: method('Many', false, true), talk: method('Talk', true, true)};
const server = new grpc.Server();
server.addService(service, {
  one: (call, done) => call.request.toString() === 'missing' ? done({code: grpc.status.NOT_FOUND, details: 'none'}) : done(null, Buffer.from('ok')),
  many: call => { for (let n = 0; n < 3; n++) call.write(Buffer.from('item ' + n)); call.end(); },
  talk: call => { call.on('data', d => call.write(d)); call.on('end', () => call.end()); } });
server.bindAsync('127.0.0.1:' + process.argv[1], grpc.ServerCredentials.createInsecure(), () => {});
"""
GRPC_JS_CLIENT = """
const grpc = require('@grpc/grpc-js'), same = x => x;
const client = new grpc.Client('127.0.0.1:' + process.argv[1], grpc.credentials.createInsecure());
const one = text => new Promise(done => client.makeUnaryRequest('/shop.v1.Stock/One', same, same, Buffer.from(text), () => done()));
const many = () => new Promise(done => client.makeServerStreamRequest('/shop.v1.Stock/Many', same, same, Buffer.from('x')).on('data', same).on('end', done));
const talk = () => new Promise(done => { const c = client.makeBidiStreamRequest('/shop.v1.Stock/Talk', same, same);
  let n = 0; c.on('data', () => { if (++n === 3) c.end(); else c.write(Buffer.from('more')); }); c.on('end', done); c.write(Buffer.from('hello')); });
(async () => { await one('a'); await many(); await talk(); await one('missing'); await Promise.all([1, 2, 3].map(n => one('n' + n))); client.close(); })();
"""


def grpc_js_server(work, port):
    return ["node", "-e", GRPC_JS_SERVER, str(port)]


class Behind:
    """nginx with `grpc_pass` before a gRPC server; what is recorded is on the side that is asked for."""

    def __init__(self, side):
        self.side = side

    def __call__(self, work, port):
        self.work, self.backend = work, record.free_port()
        self.server = record.subprocess.Popen(grpc_server(work, self.backend))
        record.wait_for(self.backend)
        if self.side == "client":
            return self.nginx(port, self.backend)
        # The recorder stands before what is started here: a relay to the server that runs already.
        return [sys.executable, "-c", RELAY, str(port), str(self.backend)]

    def nginx(self, port, backend):
        (self.work / "nginx.conf").write_text(f"""
            daemon off; master_process off; pid {self.work}/pid; error_log stderr;
            events {{}}
            http {{ access_log off; upstream stock {{ server 127.0.0.1:{backend}; keepalive 4; }}
                server {{ listen 127.0.0.1:{port} http2; location / {{ grpc_pass grpc://stock; }} }} }}""")
        return ["nginx", "-p", str(self.work), "-c", str(self.work / "nginx.conf")]

    def calls(self, recorder, work):
        import grpc
        port, proxy = recorder.port, None
        if self.side == "server":
            port = record.free_port()
            proxy = record.subprocess.Popen(self.nginx(port, recorder.port))
            record.wait_for(port)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                one = channel.unary_unary("/shop.v1.Stock/One")
                one(b"first")
                one(b"second")
                ignoring(lambda: one(b"missing"))
        finally:
            for process in filter(None, (proxy, self.server)):
                process.terminate()
                process.wait()


RELAY = """
import socket, sys, threading
def pump(a, b):
    while data := a.recv(65536): b.sendall(data)
    b.shutdown(socket.SHUT_WR)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept(); server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    for pair in ((client, server), (server, client)): threading.Thread(target=pump, args=pair, daemon=True).start()
"""
BEFORE_NGINX, BEHIND_NGINX = Behind("client"), Behind("server")

STOCK = "shop.v1.Stock/"
PROXIED = [STOCK + "One OK", STOCK + "One OK", STOCK + "One NOT_FOUND"]
SCENARIOS = {
    # name: (client, its version, server, its version, exchanges, leaves)
    "curl-nginx": (
        lambda r, w: curl(r, "--http2-prior-knowledge", "BASE/missing/77?a=b"), "curl", nginx_http2_server, "nginx",
        ["GET /missing/{id} 404"], False),
    "nghttp-nginx": (
        nghttp_client, "nghttp", nginx_http2_server, "nginx",
        ["GET /small.txt 200", "GET /users/{id} 200", "GET /users/{id} 200", "GET /teapot 418"], False),
    "curl-upgrade-hypercorn": (
        lambda r, w: curl(r, "--http2", "BASE/users/1", "BASE/users/2"), "curl", hypercorn_server, "hypercorn",
        ["GET /users/{id} 200", "GET /users/{id} 200"], False),
    "httpx-hypercorn": (
        httpx_client, "httpx", hypercorn_server, "hypercorn",
        ["GET /users/{id} 200", "POST /upload 200", "HEAD /users/{id} 200", "GET /large 200", "DELETE /fail 500 error 500"],
        False),
    "h2load-nghttpd": (
        h2load("-n", "24", "-c", "1", "-m", "10"), "h2load", nghttpd_server, "nghttpd",
        ["GET /a 200", "GET /b 200"] * 12, False),
    "node-node": (
        record.node_client(NODE_CLIENT), "node", node_http2_server, "node",
        ["GET /a 200", "POST /trailers 200", "GET /reset error internal_error", "GET /slow",
         "GET /hints 200", "GET /continued 200", "GET /users/{id} 200", "GET /users/{id} 200", "GET /users/{id} 200",
         "GET /users/{id} 200", "GET /teapot 418"], False),
    "grpcio-grpcio": (
        grpc_calls, "grpcio", grpc_server, "grpcio",
        [STOCK + "One OK", STOCK + "Many OK", STOCK + "Gather OK", STOCK + "Talk OK", STOCK + "One NOT_FOUND",
         STOCK + "One UNKNOWN error UNKNOWN", "grpc UNIMPLEMENTED error UNIMPLEMENTED",
         # (Its deadline passed; a replay has no clock.)
         STOCK + "One CANCELLED", STOCK + "Talk CANCELLED", STOCK + "One OK"], False),
    "grpcio-threads-grpcio": (
        grpc_threads, "grpcio", grpc_server, "grpcio", [STOCK + "One OK"] * 9, False),
    "grpcio-aio-grpcio-aio": (
        grpc_aio_calls, "grpcio", grpc_aio_server, "grpcio", [STOCK + "One OK"] * 10 + [STOCK + "One NOT_FOUND"], False),
    "grpcjs-grpcjs": (
        record.node_client(GRPC_JS_CLIENT), "grpcjs", grpc_js_server, "grpcjs",
        [STOCK + "One OK", STOCK + "Many OK", STOCK + "Talk OK", STOCK + "One NOT_FOUND"] + [STOCK + "One OK"] * 3, False),
    "grpcio-nginx": (BEFORE_NGINX.calls, "grpcio", BEFORE_NGINX, "nginx", PROXIED, False),
    "nginx-grpcio": (BEHIND_NGINX.calls, "nginx", BEHIND_NGINX, "grpcio", PROXIED, False),
}


def distribution(name):
    from importlib.metadata import version as installed
    return f"{name} {installed(name)}"


def grpc_js_version():
    script = "console.log('@grpc/grpc-js ' + require('@grpc/grpc-js/package.json').version)"
    return version("node", "-e", script)


record.VERSIONS.update({
    "hypercorn": lambda: distribution("hypercorn"),
    "httpx": lambda: distribution("httpx") + ", " + distribution("h2"),
    "grpcio": lambda: distribution("grpcio"),
    "grpcjs": grpc_js_version,
    "nghttp": lambda: version("nghttp", "--version"),
    "h2load": lambda: version("h2load", "--version"),
    "nghttpd": lambda: version("nghttpd", "--version"),
})

if __name__ == "__main__":
    for wanted in sys.argv[1:] or SCENARIOS:
        record.record(wanted, SCENARIOS[wanted], "http2")
