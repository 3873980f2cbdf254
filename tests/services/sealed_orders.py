# Each request asks PostgreSQL, by a connection of its own with `sslmode=require`: by psycopg (/three/N) or psycopg2 (/two/N), whose
# wheels bring a TLS library each. Arguments: port, PostgreSQL's port.
import http.server
import sys

import psycopg
import psycopg2

where = {"host": "127.0.0.1", "port": int(sys.argv[2]), "user": "app", "dbname": "shop", "sslmode": "require"}


def three(number):
    with psycopg.connect(**where, autocommit=True) as connection:
        return connection.execute("SELECT name FROM orders WHERE id = %s", (number,)).fetchall()


def two(number):
    connection = psycopg2.connect(**where)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM orders WHERE id = %s", (number,))
        rows = cursor.fetchall()
    connection.close()
    return rows


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, driver, number = self.path.split("/")
        body = repr({"three": three, "two": two}[driver](int(number))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
