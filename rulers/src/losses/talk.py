"""Numbered requests whose responses bear the same number, as fast as they go: `talk.py PROTOCOL WHERE SECONDS`.

WHERE is a port or the path of a Unix socket. Each connection is used by one thread that waits for each answer. After the load, on
the same connections, come exchanges with pauses. Says how many took place under load and slowly, and when the latter began.
"""
import socket
import sys
import threading
import time

PROTOCOL, WHERE, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
CONNECTIONS, CALM, PAUSE = 3, 12, 0.03
# What a number may be at most: it must fit into what the protocol has room for.
SPACE = {"http": 190, "postgresql": 9000, "mariadb": 9000, "redis": 3, "memcached": 2}[PROTOCOL]


class Wire:
    """A connection on which every exchange is one write, and reads until `complete`."""

    def __init__(self):
        if WHERE.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(WHERE)
        else:
            self.socket = socket.create_connection(("127.0.0.1", int(WHERE)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request, complete):
        self.socket.sendall(request)
        answer = b""
        while not complete(answer):
            more = self.socket.recv(65536)
            if not more:
                sys.exit(f"{PROTOCOL}: closed after {answer!r}")
            answer += more


def http():
    wire = Wire()
    return lambda n: wire.exchange(b"GET /v/%d HTTP/1.1\r\nHost: a\r\n\r\n" % n, lambda a: a.endswith(b"\r\n\r\nok"))


def redis():
    wire = Wire()
    # Nothing, an error of one kind, an error of another.
    words = [[b"GET", b"none"], [b"LPUSH", b"text", b"x"], [b"GETRANGE", b"x"]]
    requests = [b"*%d\r\n" % len(w) + b"".join(b"$%d\r\n%s\r\n" % (len(x), x) for x in w) for w in words]
    wire.exchange(b"*3\r\n$3\r\nSET\r\n$4\r\ntext\r\n$1\r\nt\r\n", lambda a: a.endswith(b"\r\n"))
    return lambda n: wire.exchange(requests[n], lambda a: a.endswith(b"\r\n"))


def memcached():
    wire = Wire()
    wire.exchange(b"set text 0 0 1\r\nt\r\n", lambda a: a.endswith(b"\r\n"))
    requests = [b"get none\r\n", b"incr text 1\r\n"]
    return lambda n: wire.exchange(requests[n], lambda a: a.endswith(b"\r\n"))


def postgresql():
    import psycopg

    where = dict(host=WHERE.rsplit("/", 1)[0], port=WHERE.rsplit(".", 1)[1]) if WHERE.startswith("/") else dict(host="127.0.0.1", port=WHERE)
    connection = psycopg.connect(dbname="shop", user="app", autocommit=True, prepare_threshold=None, **where)

    def call(n):
        try:
            connection.execute("DO $$ BEGIN RAISE EXCEPTION 'n' USING ERRCODE = 'U%04d'; END $$" % n)
        except psycopg.Error as error:
            assert error.sqlstate == "U%04d" % n

    return call


def mariadb():
    import pymysql

    if WHERE.startswith("/"):
        connection = pymysql.connect(unix_socket=WHERE, user="root", database="shop")
    else:
        connection = pymysql.connect(host="127.0.0.1", port=int(WHERE), user="app", password="hunter2", database="shop")
    cursor = connection.cursor()

    def call(n):
        try:
            cursor.execute("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %d" % (10000 + n))
        except pymysql.Error as error:
            assert error.args[0] == 10000 + n

    return call


def talk(call, number, go):
    state, n = 12345 + number, 0
    while go():
        # Numbers without a pattern: a shift by any distance shows.
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        n += 1
        call((state >> 8) % SPACE)
    return n


def work(number, counts):
    call = {"http": http, "redis": redis, "memcached": memcached, "postgresql": postgresql, "mariadb": mariadb}[PROTOCOL]()
    until = time.monotonic() + SECONDS
    counts[number] = talk(call, number, lambda: time.monotonic() < until)
    ready.wait()
    # (Whoever comes last; all others are past their load, too.)
    calm[0] = max(calm[0], time.time_ns())
    time.sleep(0.3)
    calls = iter(range(CALM + 1))
    talk(call, number, lambda: time.sleep(PAUSE) or next(calls) < CALM)


ready = threading.Barrier(CONNECTIONS)
counts, calm = [0] * CONNECTIONS, [0]
threads = [threading.Thread(target=work, args=(n, counts)) for n in range(CONNECTIONS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(counts), CONNECTIONS * CALM, calm[0], flush=True)
