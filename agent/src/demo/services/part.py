"""A part of the shop of `wirespan demo`. Arguments: port, and what it is: prices are slow at times, payments fail at times."""
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, role = int(sys.argv[1]), sys.argv[2]


class Part(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number = int(self.path.rsplit("/", 1)[-1])
        if role == "prices" and number % 5 == 2:
            time.sleep(0.4)
        failed = role == "payments" and number % 7 == 3
        body = b'{"answer": "no"}\n' if failed else b'{"answer": "yes"}\n'
        self.send_response(500 if failed else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Part).serve_forever()
