"""MySQL: MariaDB is the server."""

import contextlib
import pathlib
import shutil
import subprocess

from .common import (
    DEADLINE, SERVERS, as_user, debian_version, free_port, go, jdbc, node, node_version, patiently, process, python, python_version,
    scenario, version)


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


SERVERS["mysql"] = (mariadb_server, lambda: version("mariadbd", "--version"))
SERVERS["mysql-tls"] = (lambda work: mariadb_server(work, True), SERVERS["mysql"][1])


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


@scenario("mysql", "mariadb-python", python_version("mariadb"), [
    "SET", "CREATE TABLE bulks", "PREPARE shop", "BATCH INSERT bulks", "PREPARE shop", "BATCH UPDATE bulks", "PREPARE shop",
    "BATCH UPDATE bulks", "PREPARE shop", "BATCH INSERT bulks error 1062", "RESET shop", "ROLLBACK"])
def mariadb_python(recorder, work):
    python("""
import contextlib, datetime, mariadb, sys
c = mariadb.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", password="hunter2", database="shop")
cur = c.cursor()
cur.execute("CREATE TABLE bulks (id int PRIMARY KEY, name varchar(20), at datetime)")
cur.executemany("INSERT INTO bulks (id, name) VALUES (?, ?)", [(n, None if n % 5 == 2 else f"name {n}") for n in range(60)])
for name in ("new", "newer"):
    cur.executemany("UPDATE bulks SET name = ? WHERE id = ?", [(name, n) for n in range(40)])
with contextlib.suppress(mariadb.Error):
    cur.executemany("INSERT INTO bulks VALUES (?, ?, ?)", [(n, "again", datetime.datetime(2026, 11, 30, 1, 2, 3)) for n in range(3)])
c.rollback()
c.close()
""", recorder.port)


@scenario("mysql", "mariadb-node", node_version("mariadb"), [
    "SET", "CREATE TABLE bulks", "PREPARE shop", "BATCH INSERT bulks", "PREPARE shop", "BATCH UPDATE bulks",
    "BATCH INSERT bulks error 1062"])
def mariadb_node(recorder, work):
    node("""
    const mariadb = require('mariadb');
    (async () => { const c = await mariadb.createConnection({host: '127.0.0.1', port: +process.argv[1], user: 'app', password: 'hunter2', database: 'shop'});
      await c.query('CREATE TABLE bulks (id int PRIMARY KEY, name varchar(20))');
      const all = (count, row) => Array.from({ length: count }, (_, n) => row(n));
      await c.batch('INSERT INTO bulks VALUES (?, ?)', all(60, (n) => [n, n % 5 === 2 ? null : `name ${n}`]));
      await c.batch('UPDATE bulks SET name = ? WHERE id = ?', all(40, (n) => ['new', n]));
      await c.batch('INSERT INTO bulks VALUES (?, ?)', all(3, (n) => [n, 'again'])).catch(() => {});
      await c.end(); })();
    """, recorder.port)


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


@scenario("mysql", "go-sql-driver", debian_version("golang-github-go-sql-driver-mysql-dev"), [
    "CREATE TABLE gomy", "PREPARE shop", "INSERT gomy", "PREPARE shop", "SELECT gomy", "SELECT gomy", "START",
    "INSERT gomy error 1062", "ROLLBACK"])
def go_sql_driver(recorder, work):
    go("mysql_app.go", recorder.port)
