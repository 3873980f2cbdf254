"""PostgreSQL."""

import contextlib
import pathlib
import shutil
import subprocess
import sys
import threading
import time

from .common import (
    DEADLINE, SERVERS, as_user, debian_version, free_port, go, jdbc, node, node_version, patiently, process, python_version, scenario,
    version)

PG_BIN = pathlib.Path(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1])


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


SERVERS["postgresql"] = (postgresql_server, lambda: version(str(PG_BIN / "postgres"), "--version"))
SERVERS["postgresql-tls"] = (lambda work: postgresql_server(work, True), SERVERS["postgresql"][1])


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
    "INSERT items error 23505", "SELECT items error 42703", "BATCH SELECT items", "SELECT items",
    "SELECT items error 22012", "SELECT items error pipeline_aborted", "BATCH UPDATE items", "COPY items",
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
    "BEGIN", "BATCH INSERT things", "COMMIT", "INSERT things error 23505", "PREPARE shop error 42703", "PREPARE shop", "COPY \"things\"", "BEGIN",
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


@scenario("postgresql", "jdbc", lambda: "PostgreSQL JDBC " + pathlib.Path("/usr/share/java/postgresql.jar").resolve().stem, [
    "SET", "SET", "CREATE TABLE beans", "INSERT beans", "INSERT beans", "INSERT beans", "INSERT beans",
    "INSERT beans", "INSERT beans", "INSERT beans", "DESCRIBE shop", "BATCH INSERT beans", "INSERT beans error 23505", "BEGIN", "SELECT beans", "SELECT beans",
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


@scenario("postgresql", "lib-pq", debian_version("golang-github-lib-pq-dev"), [
    "CREATE TABLE gopq", "PREPARE shop", "INSERT gopq", "PREPARE shop", "SELECT gopq", "SELECT gopq", "CLOSE shop",
    "INSERT gopq error 23505", "BEGIN", 'COPY "gopq"', "COMMIT"])
def lib_pq(recorder, work):
    go("pq_app.go", recorder.port)


@scenario("postgresql", "pgx", debian_version("golang-github-jackc-pgx-v4-dev"), [
    "CREATE TABLE gopgx", "PREPARE shop", "INSERT gopgx", "INSERT gopgx", "PREPARE shop", "PREPARE shop", "SELECT gopgx",
    "UPDATE gopgx", "PREPARE shop", 'copy "gopgx"', "SELECT nowhere error 42P01"])
def pgx(recorder, work):
    go("pgx_app.go", recorder.port)
