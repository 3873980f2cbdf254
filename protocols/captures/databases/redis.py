"""Redis."""

import contextlib
import socket
import subprocess
import time

from .common import (
    CLIENTS, DEADLINE, SERVERS, debian_version, free_port, go, node, node_version, process, python_version, raw, scenario, version)


@contextlib.contextmanager
def redis_server(work):
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(work)]
    with process(command, port):
        yield port


@contextlib.contextmanager
def redis_cluster(work):
    """Two nodes, each with half of the slots; the first one's port."""
    with contextlib.ExitStack() as stack:
        ports = []
        for n in (0, 1):
            home, port = work / f"node{n}", free_port()
            home.mkdir()
            command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(home),
                       "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
            ports.append(stack.enter_context(process(command, port)))
        cli = lambda port, *words: subprocess.run(["redis-cli", "-p", str(port), *words], check=True, capture_output=True, text=True).stdout
        bus = [line.split("@")[1].split(" ")[0] for line in cli(ports[1], "cluster", "nodes").splitlines()][0]
        cli(ports[0], "cluster", "addslotsrange", "0", "8191")
        cli(ports[1], "cluster", "addslotsrange", "8192", "16383")
        cli(ports[0], "cluster", "meet", "127.0.0.1", str(ports[1]), bus)
        deadline = time.monotonic() + DEADLINE
        while "cluster_state:ok" not in cli(ports[0], "cluster", "info"):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster does not come up")
            time.sleep(0.1)
        yield ports[0]


SERVERS["redis"] = (redis_server, lambda: version("redis-server", "--version"))
SERVERS["redis-cluster"] = (redis_cluster, lambda: version("redis-server", "--version"))


@scenario("redis", "redis-py", python_version("redis"), [
    "CLIENT SETINFO error ERR", "CLIENT SETINFO error ERR",
    "SET", "GET", "GET", "INCRBY", "LPUSH error WRONGTYPE", "SELECT", "HSET", "HGETALL", "BLPOP", "SET", "DEL", "EVAL",
    "EVALSHA error NOSCRIPT", "CONFIG GET", "SET"])
def redis_py(recorder, work):
    import redis
    r = redis.Redis(port=recorder.port, protocol=2)
    r.set("user:17", "secret value")
    r.get("user:17")
    r.get("missing")
    r.incr("counter")
    with contextlib.suppress(redis.ResponseError):
        r.lpush("user:17", "x")
    r.select(3)
    r.hset("h", mapping={"a": "1", "b": "2"})
    r.hgetall("h")
    r.blpop(["queue"], timeout=0.1)
    r.set("binary", b"\x00\r\n\xff")
    r.delete("h", "binary")
    r.eval("return ARGV[1]", 0, "x")
    with contextlib.suppress(redis.exceptions.NoScriptError):
        r.evalsha("0" * 40, 0)
    r.config_get("maxmemory")
    r.set("large", "x" * 20000)
    r.close()


@scenario("redis", "redis-py-pipelines", python_version("redis"), [
    "CLIENT SETINFO error ERR", "CLIENT SETINFO error ERR",
    "SET", "GET", "LPUSH error WRONGTYPE", "INCRBY", "MULTI INCRBY", "WATCH", "GET", "MULTI SET", "PING"])
def redis_py_pipelines(recorder, work):
    import redis
    r = redis.Redis(port=recorder.port, protocol=2)
    p = r.pipeline(transaction=False)
    p.set("a", 1).get("a").lpush("a", "x").incr("a").execute(raise_on_error=False)
    r.pipeline().incr("a").incr("b").execute()
    with r.pipeline() as p:
        p.watch("a")
        p.get("a")
        p.multi()
        p.set("a", 5)
        p.execute()
        p.unwatch()
    r.ping()
    r.close()


@scenario("redis", "redis-py-resp3", python_version("redis"), [
    "HELLO", "CLIENT MAINT_NOTIFICATIONS error ERR", "CLIENT SETINFO error ERR", "CLIENT SETINFO error ERR", "HSET", "HGETALL", "SADD", "SMEMBERS", "GET", "ZADD", "ZRANGE", "CLIENT TRACKING", "GET", "SET", "PING", "redis error ERR"])
def redis_py_resp3(recorder, work):
    import redis
    r = redis.Redis(port=recorder.port, protocol=3, single_connection_client=True)
    r.hset("h3", mapping={"a": "1", "b": "2"})
    r.hgetall("h3")
    r.sadd("s3", "a", "b")
    r.smembers("s3")
    r.get("missing")
    r.zadd("z3", {"a": 1.5, "b": 2})
    r.zrange("z3", 0, -1, withscores=True)
    r.execute_command("CLIENT", "TRACKING", "ON")
    r.get("a3")
    r.set("a3", "invalidated")
    r.ping()
    with contextlib.suppress(redis.ResponseError):
        r.execute_command("NOSUCH", "secret")
    r.close()


@scenario("redis", "redis-py-pubsub", python_version("redis"), [
    "CLIENT SETINFO error ERR", "CLIENT SETINFO error ERR", "SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE"])
def redis_py_pubsub(recorder, work):
    import redis
    listener = redis.Redis(port=recorder.port, protocol=2).pubsub()
    sender = redis.Redis(port=recorder.target)
    listener.subscribe("news", "sport")
    listener.psubscribe("n*")
    wait = lambda n: [listener.get_message(timeout=5) for _ in range(n)]
    wait(3)
    sender.publish("news", "hello")
    sender.publish("sport", "goal")
    wait(3)
    listener.unsubscribe()
    listener.punsubscribe("n*")
    wait(3)
    listener.close()


@scenario("redis", "ioredis", node_version("ioredis"), [
    "hello", "info", "set", "get", "incr", "incr", "get", "MULTI error ERR", "select", "mget", "incr error ERR"])
def ioredis(recorder, work):
    node("""
    const Redis = require('ioredis'), r = new Redis({port: +process.argv[1], host: '127.0.0.1', disableClientInfo: true});
    (async () => { await r.set('k', 'v'); await r.get('k');
      await r.pipeline().incr('n').incr('n').get('n').exec();
      await r.multi().set('k', 'w').incr().exec().catch(() => {});
      await r.select(2); await r.mget('a', 'b', 'c'); await r.incr().catch(() => {}); r.disconnect(); })();
    """, recorder.port)


@scenario("redis", "redis-benchmark", lambda: version("redis-benchmark", "--version"), ["SET"] * 64, nth=1)
def redis_benchmark(recorder, work):
    # Another connection comes first and asks for the server's configuration.
    subprocess.run(["redis-benchmark", "-p", str(recorder.port), "-c", "1", "-n", "64", "-P", "16", "-q", "-d", "64", "-t", "set"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE)


@scenario("redis", "inline", lambda: "bare socket", ["PING", "SET", "GET", "ECHO", "redis error ERR", "QUIT"])
def inline(recorder, work):
    # A connection that begins with an inline command is not recognised, so the first is a proper one.
    raw(recorder, (b"*1\r\n$4\r\nPING\r\n", b"\r\n"), (b"SET key value\r\n", b"\r\n"), (b"GET key\n", b"value\r\n"),
        (b"ECHO hi\r\nnonsense x\r\n", b"'x' \r\n"), (b"QUIT\r\n", b"OK\r\n"))


@scenario("redis", "monitor", lambda: "bare socket", ["MONITOR", "QUIT"])
def monitor(recorder, work):
    import redis
    with socket.create_connection(("127.0.0.1", recorder.port)) as sock:
        sock.sendall(b"*1\r\n$7\r\nMONITOR\r\n")
        sock.recv(100)
        redis.Redis(port=recorder.target).ping()
        sock.recv(1000)
        sock.sendall(b"*1\r\n$4\r\nQUIT\r\n")
        while sock.recv(1000):
            pass


@scenario("redis", "replica", lambda: version("redis-server", "--version"), ["PING", "REPLCONF", "REPLCONF", "PSYNC"])
def replica(recorder, work):
    import redis
    home = work / "replica"
    home.mkdir()
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(home),
               "--replicaof", "127.0.0.1", str(recorder.port)]
    master = redis.Redis(port=recorder.target)
    with process(command, port):
        master.set("replicated", "x" * 100)
        deadline = time.monotonic() + DEADLINE
        while redis.Redis(port=port).get("replicated") is None and time.monotonic() < deadline:
            time.sleep(0.1)
        master.set("replicated", "y")
        time.sleep(1.2)


@scenario("redis", "client-reply", lambda: "bare socket", ["SET", "CLIENT REPLY", "SET", "GET"])
def client_reply(recorder, work):
    command = lambda *words: b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
    raw(recorder, (command(b"SET", b"a", b"1"), b"OK\r\n"),
        (command(b"CLIENT", b"REPLY", b"SKIP") + command(b"SET", b"a", b"2") + command(b"GET", b"a"), b"2\r\n"))


@scenario("redis", "cluster", lambda: "bare socket",
          ["SET error MOVED", "SET", "GET"], server="redis-cluster")
def cluster(recorder, work):
    command = lambda *words: b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
    raw(recorder, (command(b"SET", b"foo", b"1"), b"\r\n"), (command(b"SET", b"bar", b"1"), b"OK\r\n"), (command(b"GET", b"bar"), b"1\r\n"))


@scenario("redis", "redigo", debian_version("golang-github-gomodule-redigo-dev"), [
    "SET", "INCR", "GET", "MULTI", "redis error ERR"])
def redigo(recorder, work):
    go("redigo_app.go", recorder.port)


@scenario("redis", "ioredis-6", node_version("ioredis"), [
    "hello", "info", "set", "get", "incr", "get", "del", "MULTI", "lpush error WRONGTYPE",
    "rpush", "blpop"])
def ioredis_6(recorder, work):
    """RESP3 from its sixth version on."""
    script = (CLIENTS / "ioredis_app.js").read_text()
    node(script.replace("process.argv[2]", "process.argv[1]"), recorder.port)
