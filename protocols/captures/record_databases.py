#!/usr/bin/env python3
"""Records golden captures of databases: see README.md beside this file."""

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from record import DEADLINE, HERE, Recorder, free_port, version, wait_for

NODE_PATH = os.environ.get("NODE_PATH", "")
SCENARIOS = {}


class Relay(Recorder):
    """Lets any number of connections through and notes the one that is the `nth`, counting from 0."""

    def __init__(self, port, nth):
        self.nth = nth
        super().__init__(port)

    def run(self):
        for _ in range(self.nth):
            self.connect(self.let)
        noted = self.connect(self.pump)
        threading.Thread(target=self.rest, daemon=True).start()
        for thread in noted:
            thread.join(DEADLINE)
        self.listener.close()

    def rest(self):
        with contextlib.suppress(OSError):
            while True:
                self.connect(self.let)

    def connect(self, pump):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target))
        threads = []
        for source, sink, direction in ((client, server, "request"), (server, client, "response")):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threads.append(threading.Thread(target=pump, args=(source, sink, direction), daemon=True))
            threads[-1].start()
        return threads

    def let(self, source, sink, direction):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def scenario(protocol, name, client, exchanges, leaves=False, server=None, nth=0):
    """The decorated function is the client: it is given the recorder and a work directory."""
    def register(run):
        SCENARIOS[f"{protocol}/{name}"] = (run, client, exchanges, leaves, server or protocol, nth)
        return run
    return register


def python_version(module):
    return lambda: f"{module} {__import__(module).__version__}"


def node(script, *arguments):
    subprocess.run(["node", "-e", script, *map(str, arguments)], check=True, timeout=DEADLINE,
                   env={**os.environ, "NODE_PATH": NODE_PATH})


def node_version(package):
    return lambda: f"{package} " + json.loads((pathlib.Path(NODE_PATH) / package / "package.json").read_text())["version"]


def raw(recorder, *steps):
    """A bare socket: sends each step's bytes, then waits for as many bytes to come, or for that ending."""
    with socket.create_connection(("127.0.0.1", recorder.port)) as sock:
        sock.settimeout(DEADLINE)
        for data, until in steps:
            sock.sendall(data)
            got = b""
            while not (len(got) >= until if isinstance(until, int) else got.endswith(until)):
                part = sock.recv(65536)
                if not part:
                    return
                got += part


@contextlib.contextmanager
def process(command, port, **options):
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        wait_for(port)
        yield port
    finally:
        running.terminate()
        running.wait()


def patiently(error, action):
    """A server that listens may still be starting."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return action()
        except error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


# ---- servers: each yields a port ---------------------------------------------------------------------------------

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


PG_BIN = pathlib.Path(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1])


def as_user(user, *command):
    """Servers refuse to run as root."""
    return ["runuser", "-u", user, "--", *map(str, command)] if os.getuid() == 0 else list(map(str, command))


@contextlib.contextmanager
def postgresql_server(work, tls=False):
    port, data = free_port(), work / "pg"
    shutil.chown(work, "postgres")
    subprocess.run(as_user("postgres", PG_BIN / "initdb", "-D", data, "-A", "trust", "-U", "app", "--no-sync", "-E", "UTF8"), check=True, capture_output=True)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={work}", "-c", "fsync=off", "-c", "wal_level=logical"]
    if tls:
        subprocess.run(as_user("postgres", "openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=localhost", "-out", data / "server.crt",
                               "-keyout", data / "server.key"), check=True, capture_output=True)
        options += ["-c", "ssl=on"]
    with process(as_user("postgres", PG_BIN / "postgres", "-D", data, "-p", port, *options), port):
        import psycopg2
        connection = patiently(psycopg2.OperationalError, lambda: psycopg2.connect(host="127.0.0.1", port=port, user="app", dbname="postgres"))
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE ROLE clerk LOGIN PASSWORD 'hunter2'")
        connection.close()
        yield port


@contextlib.contextmanager
def mariadb_server(work, tls=False):
    port, data = free_port(), work / "my"
    shutil.chown(work, "mysql")
    subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=mysql", "--skip-test-db",
                    "--auth-root-authentication-method=normal"], check=True, capture_output=True)
    options = ["--no-defaults", f"--datadir={data}", f"--port={port}", f"--socket={work}/my.sock", "--bind-address=127.0.0.1",
               "--local-infile=1", "--log-bin=wire", "--server-id=7", f"--pid-file={work}/my.pid"]
    if tls:
        subprocess.run(as_user("mysql", "openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=localhost", "-out", data / "server.crt",
                               "-keyout", data / "server.key"), check=True, capture_output=True)
        options += [f"--ssl-cert={data}/server.crt", f"--ssl-key={data}/server.key"]
    with process(as_user("mysql", "mariadbd", *options), port):
        patiently(subprocess.CalledProcessError, lambda: subprocess.run(["mariadb", f"--socket={work}/my.sock", "-u", "root", "-e", """
            CREATE DATABASE shop; CREATE DATABASE other; CREATE USER app@'127.0.0.1' IDENTIFIED BY 'hunter2';
            GRANT ALL ON *.* TO app@'127.0.0.1' WITH GRANT OPTION"""], check=True))
        yield port


@contextlib.contextmanager
def memcached_server(work):
    port = free_port()
    with process(as_user("nobody", "memcached", "-l", "127.0.0.1", "-p", port, "-U", "0"), port):
        yield port


SERVERS = {
    "memcached": (memcached_server, lambda: version("memcached", "--version")),
    "mysql": (mariadb_server, lambda: version("mariadbd", "--version")),
    "mysql-tls": (lambda work: mariadb_server(work, True), lambda: version("mariadbd", "--version")),
    "postgresql": (postgresql_server, lambda: version(str(PG_BIN / "postgres"), "--version")),
    "postgresql-tls": (lambda work: postgresql_server(work, True), lambda: version(str(PG_BIN / "postgres"), "--version")),
    "redis": (redis_server, lambda: version("redis-server", "--version")),
    "redis-cluster": (redis_cluster, lambda: version("redis-server", "--version")),
}


# ---- clients of Redis --------------------------------------------------------------------------------------------

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
    "SET", "GET", "LPUSH error WRONGTYPE", "INCRBY", "MULTI", "INCRBY", "INCRBY", "EXEC", "WATCH", "GET", "MULTI", "SET", "EXEC", "PING"])
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
    "HELLO", "CLIENT MAINT_NOTIFICATIONS error ERR", "CLIENT SETINFO error ERR", "CLIENT SETINFO error ERR", "HSET", "HGETALL", "SADD", "SMEMBERS", "GET", "ZADD", "ZRANGE", "CLIENT TRACKING", "GET", "SET", "PING", "NOSUCH error ERR"])
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
    "hello", "info", "set", "get", "incr", "incr", "get", "multi", "set", "incr error ERR", "exec error EXECABORT", "select", "mget", "incr error ERR"])
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


@scenario("redis", "inline", lambda: "bare socket", ["PING", "SET", "GET", "ECHO", "nonsense error ERR", "QUIT"])
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


# ---- clients of PostgreSQL ---------------------------------------------------------------------------------------

def pg(recorder):
    return {"host": "127.0.0.1", "port": recorder.port, "user": "app", "dbname": "shop"}


@scenario("postgresql", "psycopg2", python_version("psycopg2"), [
    "BEGIN", "CREATE TABLE orders", "INSERT orders", "SELECT orders", "COMMIT", "BEGIN", "INSERT orders error 23505",
    "ROLLBACK", "BEGIN", "COPY orders", "COPY SELECT orders", "BATCH", "DO", "BATCH", "COMMIT", "BEGIN",
    "CREATE USER", "shop error 42601", "ROLLBACK"])
def psycopg2_client(recorder, work):
    import io
    import psycopg2
    c = psycopg2.connect(**pg(recorder))
    cur = c.cursor()
    cur.execute("CREATE TABLE orders (id int PRIMARY KEY, name text)")
    cur.execute("INSERT INTO orders VALUES (%s, %s), (2, 'two')", (1, "secret's"))
    cur.execute("SELECT * FROM orders WHERE name = 'two' AND id IN (1, 2, 3)")
    cur.fetchall()
    c.commit()
    with contextlib.suppress(psycopg2.Error):
        cur.execute("INSERT INTO orders VALUES (1, 'again')")
    c.rollback()
    cur.copy_expert("COPY orders FROM STDIN", io.StringIO("".join(f"{n}\tname {n}\n" for n in range(10, 400))))
    cur.copy_expert("COPY (SELECT * FROM orders) TO STDOUT", io.StringIO())
    cur.execute("SELECT count(*) FROM orders; UPDATE orders SET name = 'x'; DELETE FROM orders WHERE id = 2")
    cur.execute("DO $$ BEGIN RAISE WARNING 'careful'; END $$")
    cur.execute("LISTEN news; NOTIFY news, 'hello'")
    c.commit()
    cur.execute("CREATE USER bob PASSWORD 'hunter2'")
    with contextlib.suppress(psycopg2.Error):
        cur.execute("SELEC 1")
    c.rollback()
    c.close()


@scenario("postgresql", "psycopg3", python_version("psycopg"), [
    "CREATE TABLE items", "INSERT items", "PREPARE shop", "INSERT items", "INSERT items", "INSERT items",
    "INSERT items error 23505", "SELECT items error 42703", "SELECT items", "SELECT items", "SELECT items",
    "SELECT items", "SELECT items", "SELECT items", "SELECT items error 22012",
    "SELECT items error pipeline_aborted", "UPDATE items", "UPDATE items", "UPDATE items", "COPY items",
    "COPY items", "BEGIN", "DECLARE SELECT items", "DESCRIBE shop", "FETCH", "CLOSE", "COMMIT", "SELECT"])
def psycopg3_client(recorder, work):
    import psycopg
    with psycopg.connect(**pg(recorder), autocommit=True) as c:
        c.execute("CREATE TABLE items (id int PRIMARY KEY, name text)")
        c.execute("INSERT INTO items VALUES (%s, %s)", (1, "one"))
        for n in range(2, 5):
            c.execute("INSERT INTO items VALUES (%s, %s)", (n, "many"), prepare=True)
        with contextlib.suppress(psycopg.Error):
            c.execute("INSERT INTO items VALUES (%s, %s)", (2, "again"), prepare=True)
        with contextlib.suppress(psycopg.Error):
            c.execute("SELECT nonsense FROM items WHERE id = %s", (2,))
        with c.pipeline():
            for n in range(5):
                c.execute("SELECT name FROM items WHERE id = %s", (n,))
        with contextlib.suppress(psycopg.Error), c.pipeline():
            c.execute("SELECT 1 FROM items WHERE id = %s", (n,))
            c.execute("SELECT 1 / %s FROM items", (0,))
            c.execute("SELECT 2 FROM items WHERE id = %s", (n,))
        with c.cursor() as cur:
            cur.executemany("UPDATE items SET name = %s WHERE id = %s", [("a", 1), ("b", 2), ("c", 3)])
        with c.cursor().copy("COPY items FROM STDIN") as copy:
            for n in range(100, 110):
                copy.write_row((n, f"copied {n}"))
        with c.cursor().copy("COPY items TO STDOUT") as copy:
            list(copy)
        with c.transaction(), c.cursor("named") as cur:
            cur.execute("SELECT * FROM items")
            cur.fetchmany(2)
        c.execute("SELECT %b::bytea", (b"\x00\xff" * 50,), binary=True)


@scenario("postgresql", "asyncpg", python_version("asyncpg"), [
    "CREATE TABLE things", "PREPARE shop", "INSERT things", "PREPARE shop", "SELECT things", "SELECT things",
    "BEGIN", "INSERT things", "INSERT things", "INSERT things", "INSERT things", "INSERT things", "INSERT things",
    "COMMIT", "INSERT things error 23505", "PREPARE shop error 42703", "PREPARE shop", "COPY \"things\"", "BEGIN",
    "PREPARE shop", "SELECT things", "SELECT things", "SELECT things", "SELECT things", "SELECT things",
    "SELECT things", "CLOSE shop", "COMMIT"])
def asyncpg_client(recorder, work):
    import asyncio
    import asyncpg

    async def run():
        c = await asyncpg.connect(host="127.0.0.1", port=recorder.port, user="app", database="shop", ssl=False)
        await c.execute("CREATE TABLE things (id int PRIMARY KEY, name text)")
        await c.execute("INSERT INTO things VALUES ($1, $2)", 1, "one")
        await c.fetch("SELECT * FROM things WHERE id = $1", 1)
        await c.fetch("SELECT * FROM things WHERE id = $1", 2)
        async with c.transaction():
            await c.executemany("INSERT INTO things VALUES ($1, $2)", [(n, str(n)) for n in range(2, 8)])
        with contextlib.suppress(asyncpg.PostgresError):
            await c.execute("INSERT INTO things VALUES ($1, $2)", 1, "again")
        with contextlib.suppress(asyncpg.PostgresError):
            await c.fetch("SELECT nonsense FROM things")
        await c.copy_records_to_table("things", records=[(n, "copied") for n in range(10, 20)])
        async with c.transaction():
            async for _ in c.cursor("SELECT * FROM things", prefetch=3):
                pass
        await c.close()
    asyncio.run(run())


@scenario("postgresql", "node-pg", node_version("pg"), [
    "CREATE TABLE nodes", "INSERT nodes", "SELECT nodes", "SELECT nodes", "SELECT nodes", "SELECT nodes",
    "SELECT missing error 42P01", "shop"])
def node_pg(recorder, work):
    node("""
    const {Client} = require('pg'); const c = new Client({host: '127.0.0.1', port: +process.argv[1], user: 'app', database: 'shop'});
    (async () => { await c.connect(); await c.query("CREATE TABLE nodes (id int, name text)");
      await c.query('INSERT INTO nodes VALUES ($1, $2)', [1, 'x']);
      for (const n of [1, 2]) await c.query({name: 'by-id', text: 'SELECT * FROM nodes WHERE id = $1', values: [n]});
      await Promise.all([c.query('SELECT 1 FROM nodes'), c.query('SELECT 2 FROM nodes WHERE id = $1', [2])]);
      await c.query('SELECT * FROM missing WHERE id = $1', [1]).catch(() => {});
      await c.query(''); await c.end(); })();
    """, recorder.port)


JDBC = """
import java.sql.*;
public class Client { public static void main(String[] a) throws Exception {
  try (Connection c = DriverManager.getConnection(a[0], "app", "")) {
    c.createStatement().execute("CREATE TABLE beans (id int PRIMARY KEY, name varchar(20))");
    try (PreparedStatement p = c.prepareStatement("INSERT INTO beans VALUES (?, ?)")) {
      for (int n = 0; n < 7; n++) { p.setInt(1, n); p.setString(2, "bean"); p.executeUpdate(); }
      for (int n = 10; n < 15; n++) { p.setInt(1, n); p.setString(2, "bean"); p.addBatch(); }
      p.executeBatch();
      try { p.setInt(1, 1); p.executeUpdate(); } catch (SQLException e) {} }
    c.setAutoCommit(false);
    try (PreparedStatement p = c.prepareStatement("SELECT * FROM beans WHERE id > ?")) {
      p.setFetchSize(4); p.setInt(1, 0); ResultSet r = p.executeQuery(); while (r.next()); }
    c.commit(); } } }
"""


def jdbc(url, jar, work):
    (work / "Client.java").write_text(JDBC)
    subprocess.run(["java", "-cp", f"/usr/share/java/{jar}", str(work / "Client.java"), url], check=True, timeout=90)


@scenario("postgresql", "jdbc", lambda: "PostgreSQL JDBC " + pathlib.Path("/usr/share/java/postgresql.jar").resolve().stem, [
    "SET", "SET", "CREATE TABLE beans", "INSERT beans", "INSERT beans", "INSERT beans", "INSERT beans",
    "INSERT beans", "INSERT beans", "INSERT beans", "DESCRIBE shop", "INSERT beans", "INSERT beans", "INSERT beans",
    "INSERT beans", "INSERT beans", "INSERT beans error 23505", "BEGIN", "SELECT beans", "SELECT beans",
    "SELECT beans", "COMMIT"])
def jdbc_pg(recorder, work):
    jdbc(f"jdbc:postgresql://127.0.0.1:{recorder.port}/shop?sslmode=disable", "postgresql.jar", work)


def pgbench(recorder, mode):
    base = [str(PG_BIN / "pgbench"), "-h", "127.0.0.1", "-U", "app"]
    subprocess.run([*base, "-p", str(recorder.target), "-i", "-s", "1", "-q", "shop"], check=True, capture_output=True)
    subprocess.run([*base, "-p", str(recorder.port), "-n", "-c", "1", "-t", "2", "-M", mode, "shop"], check=True, capture_output=True, timeout=DEADLINE)


TRANSACTION = [
    "BEGIN", "UPDATE pgbench_accounts", "SELECT pgbench_accounts", "UPDATE pgbench_tellers",
    "UPDATE pgbench_branches", "INSERT pgbench_history", "END"]
for pgbench_mode in ("simple", "extended", "prepared"):
    # The first transaction of the last mode prepares each statement first.
    pgbench_first = [e for t in TRANSACTION for e in ("PREPARE shop", t)] if pgbench_mode == "prepared" else TRANSACTION
    scenario("postgresql", f"pgbench-{pgbench_mode}", lambda: version(str(PG_BIN / "pgbench"), "--version"),
             pgbench_first + TRANSACTION, nth=1)(lambda recorder, work, mode=pgbench_mode: pgbench(recorder, mode))


CANCELED = """
import contextlib, psycopg2, sys, threading
c = psycopg2.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", dbname="shop")
threading.Timer(0.5, c.cancel).start()
with contextlib.suppress(psycopg2.Error):
    c.cursor().execute("SELECT pg_sleep(10)")
c.close()
"""


def canceled(recorder, work):
    """In a process of its own: `cancel` holds the interpreter, and the recorder would wait for it."""
    subprocess.run([sys.executable, "-c", CANCELED, str(recorder.port)], check=True, timeout=DEADLINE)


scenario("postgresql", "canceled", python_version("psycopg2"), ["BEGIN", "SELECT error 57014"])(canceled)
scenario("postgresql", "cancel-request", python_version("psycopg2"), [], nth=1)(canceled)


@scenario("postgresql", "tls", python_version("psycopg2"), [], leaves=True, server="postgresql-tls")
def postgresql_tls(recorder, work):
    import psycopg2
    c = psycopg2.connect(**pg(recorder), sslmode="require")
    c.cursor().execute("SELECT 1")
    c.close()


@scenario("postgresql", "replication", python_version("psycopg2"), [], leaves=True)
def replication(recorder, work):
    import psycopg2
    from psycopg2.extras import LogicalReplicationConnection
    c = psycopg2.connect(**pg(recorder), connection_factory=LogicalReplicationConnection)
    cur = c.cursor()
    cur.create_replication_slot("wire", output_plugin="test_decoding")
    cur.start_replication("wire", decode=True)
    other = psycopg2.connect(**{**pg(recorder), "port": recorder.target})
    other.cursor().execute("CREATE TABLE replicated (id int); INSERT INTO replicated VALUES (1)")
    other.commit()
    deadline = time.monotonic() + DEADLINE
    while cur.read_message() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    cur.send_feedback()
    other.close()
    c.close()


# ---- clients of MySQL --------------------------------------------------------------------------------------------

def my(recorder):
    return {"host": "127.0.0.1", "port": recorder.port, "user": "app", "password": "hunter2", "database": "shop"}


@scenario("mysql", "pymysql", python_version("pymysql"), [
    "SET", "SET", "CREATE TABLE orders", "INSERT orders", "SELECT orders", "COMMIT", "INSERT orders error 1062",
    "INSERT orders", "BATCH", "LOAD orders", "CREATE PROCEDURE refresh", "CALL refresh", "INIT_DB shop",
    "PING other", "USE shop", "SET", "SELECT missing error 1146"])
def pymysql_client(recorder, work):
    import pymysql
    from pymysql.constants import CLIENT
    c = pymysql.connect(**my(recorder), local_infile=True, client_flag=CLIENT.MULTI_STATEMENTS)
    cur = c.cursor()
    cur.execute("CREATE TABLE orders (id int PRIMARY KEY, name text)")
    cur.execute("INSERT INTO orders VALUES (%s, %s), (2, \"two\")", (1, "secret's"))
    cur.execute("SELECT * FROM orders WHERE name = 'two' AND id IN (1, 2, 3)")
    cur.fetchall()
    c.commit()
    with contextlib.suppress(pymysql.Error):
        cur.execute("INSERT INTO orders VALUES (1, 'again')")
    cur.executemany("INSERT INTO orders VALUES (%s, %s)", [(n, f"name {n}") for n in range(10, 300)])
    cur.execute("SELECT * FROM orders; UPDATE orders SET name = 'x'; SELECT 1 FROM orders WHERE id = 2")
    while cur.nextset():
        pass
    (work / "rows.csv").write_text("".join(f"{n}\tloaded\n" for n in range(1000, 1100)))
    cur.execute(f"LOAD DATA LOCAL INFILE '{work}/rows.csv' INTO TABLE orders")
    cur.execute("CREATE PROCEDURE refresh(n int) BEGIN SELECT n; SELECT n + 1; END")
    cur.execute("CALL refresh(5)")
    while cur.nextset():
        pass
    c.select_db("other")
    c.ping()
    cur.execute("USE shop")
    cur.execute("SET PASSWORD = PASSWORD('hunter2')")
    with contextlib.suppress(pymysql.Error):
        cur.execute("SELECT * FROM missing")
    c.close()


@scenario("mysql", "mysqlclient", lambda: f"mysqlclient {__import__('MySQLdb').version_info}", [
    "SET", "SET", "SELECT", "shop error 1064", "CHANGE_USER shop", "PING other", "STATISTICS other", "ROLLBACK"])
def mysqlclient(recorder, work):
    import MySQLdb
    c = MySQLdb.connect(**my(recorder))
    cur = c.cursor()
    cur.execute("SELECT %s, REPEAT('x', 6000)", ("value",))
    cur.fetchall()
    with contextlib.suppress(MySQLdb.Error):
        cur.execute("SELEC")
    c.change_user("app", "hunter2", "other")
    c.ping()
    c.stat()
    c.rollback()
    c.close()


@scenario("mysql", "compressed", lambda: f"mysqlclient {__import__('MySQLdb').version_info}", [], leaves=True)
def mysql_compressed(recorder, work):
    import MySQLdb
    c = MySQLdb.connect(**my(recorder), compress=True)
    c.query("SELECT REPEAT('x', 1000)")
    c.store_result()
    c.close()


@scenario("mysql", "mysql2", node_version("mysql2"), [
    "CREATE TABLE nodes", "PREPARE shop", "INSERT nodes", "INSERT nodes", "INSERT nodes", "PREPARE shop",
    "SELECT nodes", "BATCH SELECT", "PREPARE shop error 1054", "PREPARE shop", "SELECT", "CHANGE_USER shop",
    "PING other"])
def mysql2(recorder, work):
    node("""
    const mysql = require('mysql2/promise');
    (async () => { const c = await mysql.createConnection({host: '127.0.0.1', port: +process.argv[1], user: 'app', password: 'hunter2', database: 'shop', multipleStatements: true});
      await c.query("CREATE TABLE nodes (id int, name varchar(20))");
      for (const n of [1, 2, 3]) await c.execute('INSERT INTO nodes VALUES (?, ?)', [n, 'x']);
      await c.execute('SELECT * FROM nodes WHERE id > ?', [1]);
      await c.query('SELECT 1; SELECT 2');
      await c.execute('SELECT nonsense FROM nodes WHERE id = ?', [1]).catch(() => {});
      await c.execute('SELECT LENGTH(?)', ['y'.repeat(9000)]);
      await c.unprepare('SELECT * FROM nodes WHERE id > ?');
      await c.changeUser({database: 'other'}); await c.ping(); await c.end(); })();
    """, recorder.port)


@scenario("mysql", "jdbc", lambda: "MariaDB Connector/J " + pathlib.Path("/usr/share/java/mariadb-java-client.jar").resolve().stem, [
    "set", "SELECT", "CREATE TABLE beans", "PREPARE shop", "INSERT beans", "INSERT beans", "INSERT beans",
    "INSERT beans", "INSERT beans", "INSERT beans", "INSERT beans", "INSERT beans", "INSERT beans", "INSERT beans",
    "INSERT beans", "INSERT beans", "INSERT beans error 1062", "set", "PREPARE shop", "SELECT beans", "COMMIT"])
def jdbc_mariadb(recorder, work):
    jdbc(f"jdbc:mariadb://127.0.0.1:{recorder.port}/shop?user=app&password=hunter2&useServerPrepStmts=true", "mariadb-java-client.jar", work)


@scenario("mysql", "mariadb", lambda: version("mariadb", "--version"), [
    "CREATE TABLE cli", "SELECT", "INIT_DB shop", "SHOW", "SELECT shop.cli", "SELECT nowhere error 1146"])
def mariadb_cli(recorder, work):
    subprocess.run(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(recorder.port), "-u", "app", "-phunter2", "--skip-ssl", "-A", "-f", "shop",
                    "-e", "CREATE TABLE cli (id int); USE other; SHOW TABLES; SELECT * FROM shop.cli; SELECT * FROM nowhere"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE)


@scenario("mysql", "tls", python_version("pymysql"), [], leaves=True, server="mysql-tls")
def mysql_tls(recorder, work):
    import pymysql
    c = pymysql.connect(**my(recorder), ssl={"check_hostname": False, "verify_mode": "none"})
    c.cursor().execute("SELECT 1")
    c.close()


@scenario("mysql", "replica", lambda: version("mariadb-binlog", "--version"), [
    "SELECT", "SET", "SET"])
def mysql_replica(recorder, work):
    subprocess.run(["mariadb-binlog", "--no-defaults", "-R", "-h", "127.0.0.1", "-P", str(recorder.port), "-u", "app", "-phunter2", "--skip-ssl",
                    "wire.000001"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE)


# ---- clients of memcached ----------------------------------------------------------------------------------------

@scenario("memcached", "pymemcache", python_version("pymemcache"), [
    "set", "get", "get", "add", "replace", "append", "gets", "cas", "cas", "incr", "decr", "touch", "get", "delete", "delete", "set",
    "stats", "version", "flush_all", "set", "incr error CLIENT_ERROR"])
def pymemcache_client(recorder, work):
    from pymemcache.client.base import Client
    from pymemcache.exceptions import MemcacheClientError
    c = Client(("127.0.0.1", recorder.port), default_noreply=False)
    c.set("user:17", b"secret value")
    c.get("user:17")
    c.get("missing")
    c.add("a", b"1")
    c.replace("a", b"2")
    c.append("a", b"3")
    _, token = c.gets("a")
    c.cas("a", b"4", token)
    c.cas("a", b"5", token)
    c.incr("a", 5)
    c.decr("a", 1)
    c.touch("a", 100)
    c.get_many(["a", "user:17", "missing"])
    c.delete("a")
    c.delete("a")
    c.set("large", b"x" * 20000)
    c.stats()
    c.version()
    c.flush_all()
    c.set("quiet", b"text", noreply=True)
    # It closes the connection on an error.
    with contextlib.suppress(MemcacheClientError):
        c.incr("quiet", 1)


@scenario("memcached", "meta", lambda: "bare socket", [
    "ms", "mg", "mg", "mg", "mg", "mn", "ma error CLIENT_ERROR", "md", "mn", "bogus error ERROR", "me"])
def memcached_meta(recorder, work):
    raw(recorder, (b"ms key 5 T90\r\nhello\r\n", b"\r\n"), (b"mg key v t\r\n", b"hello\r\n"), (b"mg missing v\r\n", b"\r\n"),
        (b"mg key s v q\r\nmg missing v q\r\nmn\r\n", b"MN\r\n"), (b"ma key N90 J5\r\n", b"\r\n"),
        (b"md key\r\nmn\r\n", b"MN\r\n"), (b"bogus\r\n", b"\r\n"), (b"me missing\r\n", b"\r\n"))


@scenario("memcached", "bmemcached", lambda: "python-binary-memcached", [
    "set", "get", "get", "add", "incr", "incr", "set", "set", "noop", "get", "get", "get", "delete", "set", "stats", "flush"])
def bmemcached_client(recorder, work):
    import bmemcached
    c = bmemcached.Client((f"127.0.0.1:{recorder.port}",))
    c.set("a", "1")
    c.get("a")
    c.get("missing")
    c.add("a", "2")
    c.incr("n", 1)
    c.incr("n", 1)
    c.set_multi({"x": "1", "y": "2"})
    c.get_multi(["x", "y", "missing"])
    c.delete("a")
    c.set("large", "x" * 9000, compress_level=0)
    c.stats()
    c.flush_all()
    c.disconnect_all()


def record(name, port, work):
    run, client, exchanges, leaves, server, nth = SCENARIOS[name]
    recorder = Relay(port, nth)
    home = work / name.replace("/", "-")
    home.mkdir()
    run(recorder, home)
    recorder.thread.join(DEADLINE)
    capture = {
        "client": client(), "server": SERVERS[server][1](), "recorded": datetime.date.today().isoformat(),
        "leaves": leaves, "exchanges": exchanges, "operations": recorder.operations,
    }
    text = json.dumps(capture, indent=1).replace("[\n   ", "[").replace(",\n   ", ", ").replace("\n  ]", "]")
    (HERE / f"{name}.json").parent.mkdir(exist_ok=True)
    (HERE / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(recorder.operations)} operations", flush=True)


if __name__ == "__main__":
    chosen = [name for name in SCENARIOS if not sys.argv[1:] or any(name.startswith(a) for a in sys.argv[1:])]
    for kind in dict.fromkeys(SCENARIOS[name][4] for name in chosen):
        with tempfile.TemporaryDirectory() as directory:
            work = pathlib.Path(directory)
            work.chmod(0o777)
            with SERVERS[kind][0](work) as port:
                for name in chosen:
                    if SCENARIOS[name][4] == kind:
                        record(name, port, work)
